"""Download files of a repository of the Hugging Face Hub by huggingface_hub, and say in words what prevents it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypedDict

from flash.errors import CheckpointError, ConfigurationError, DownloadError, UnreachableError

__all__ = ["HubOptions", "explaining_hub_errors", "fetch_repository", "hub_library"]

_TIMEOUT = 10.0


class HubOptions(TypedDict, total=False):
    """Options of the download of a repository, with the names and meanings of huggingface_hub."""

    #: A branch, a tag or a commit; by default the newest commit.
    revision: str | None
    #: The folder of downloaded files; by default that of huggingface_hub.
    cache_dir: str | Path | None
    #: A token, or whether the one of ``hf auth login`` is sent; by default it is, where there is one.
    token: str | bool | None
    #: Whether only the cache is looked into.
    local_files_only: bool
    #: The address of the Hub; by default that of the variable ``HF_ENDPOINT``, or the public one.
    endpoint: str | None


def fetch_repository(
    repository: str,
    names: Sequence[str],
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    endpoint: str | None = None,
) -> Path:
    """Return a folder with files of a repository, from the cache where they are in it already.

    If the Hub cannot be reached, files that were downloaded before are taken, with a warning.

    Args:
        repository: ``"owner/name"``.
        names: The files to download; all others are left out.
        revision: As in :class:`HubOptions`, like the others.
        cache_dir: The folder of downloaded files.
        token: The token.
        local_files_only: Whether only the cache is looked into.
        endpoint: The address of the Hub.

    Raises:
        DownloadError: If the files cannot be downloaded, and are not in the cache.
        CheckpointError: If the repository has no such files.
        ConfigurationError: If huggingface_hub is not installed.
    """
    hub = hub_library(f"the repository {repository!r}")
    # Some functions of huggingface_hub have a default of their own.
    endpoint = endpoint or hub.constants.ENDPOINT

    def fetch(is_local: bool) -> Path:
        options: dict[str, Any] = {"revision": revision, "cache_dir": cache_dir, "token": token, "endpoint": endpoint}
        found = hub.snapshot_download(repository, allow_patterns=list(names), local_files_only=is_local, **options)
        return _complete(Path(found), names, repository)

    if local_files_only or hub.constants.HF_HUB_OFFLINE:
        with explaining_hub_errors(repository, revision=revision, endpoint=endpoint):
            return fetch(is_local=True)
    try:
        with explaining_hub_errors(repository, revision=revision, endpoint=endpoint, connects=True):
            # A download alone would take what is in the cache in silence, whatever the Hub answers.
            hub.HfApi(endpoint=endpoint, token=token).model_info(repository, revision=revision, timeout=_TIMEOUT)
            return fetch(is_local=False)
    except UnreachableError as error:
        try:
            folder = fetch(is_local=True)
        except (CheckpointError, hub.errors.LocalEntryNotFoundError):
            raise error from None
        warnings.warn(f"{error} The files of an earlier download are taken: {folder}.", stacklevel=2)
        return folder


def _complete(folder: Path, names: Sequence[str], repository: str) -> Path:
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(
            f"Expected a repository that task.push_to_hub wrote, but {repository} has no {' and no '.join(missing)}. "
            "It is of another program, or incomplete: check the name, or push it again."
        )
    return folder


def hub_library(what: str) -> ModuleType:
    """Return huggingface_hub.

    Args:
        what: What it is needed for.

    Raises:
        ConfigurationError: If it is not installed.
    """
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
    except ImportError as error:
        raise ConfigurationError(
            f"Expected huggingface_hub, which {what} is up- or downloaded with, but it is not installed: "
            'pip install "flash-core[hub]". If a file or a folder is meant, check its path.'
        ) from error
    return huggingface_hub


@contextlib.contextmanager
def explaining_hub_errors(
    repository: str,
    *,
    revision: str | None = None,
    endpoint: str | None = None,
    connects: bool = False,
    uploads: bool = False,
) -> Iterator[None]:
    """Context manager: raise a DownloadError in words in place of what huggingface_hub raises.

    Args:
        repository: ``"owner/name"``.
        revision: The revision that is asked for.
        endpoint: The address of the Hub.
        connects: Whether the Hub is asked, so that what is neither there nor in the cache could not be reached.
        uploads: Whether files are uploaded.

    Raises:
        DownloadError: In place of the error; an UnreachableError if there was no answer.
        ConfigurationError: If the name is none of a repository.
    """
    hub = hub_library(f"the repository {repository!r}")
    errors = hub.errors
    host = endpoint or hub.constants.ENDPOINT
    login = "log in with `hf auth login`, or pass a token"
    try:
        yield
    except (CheckpointError, ConfigurationError, DownloadError):
        raise
    except errors.GatedRepoError as error:
        raise DownloadError(
            f"Expected access to {repository}, but it is gated: its owners decide who may use it. Ask for access at "
            f"{host}/{repository}, and {login}."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise DownloadError(
            f"Expected a branch, tag or commit of {repository}, but {host} has no revision {revision!r}. Look at "
            f"{host}/{repository}/commits, or leave revision out for the newest one."
        ) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        if connects:
            raise UnreachableError(_unreachable(repository, host, error, uploads)) from error
        if uploads:
            raise DownloadError(
                f"Expected a connection to {host}, to upload to {repository}, but connections are turned off. Unset "
                "HF_HUB_OFFLINE, or save a folder with task.save_pretrained(folder), and upload it later."
            ) from error
        raise DownloadError(
            f"Expected {repository} in the cache of the Hub, since connections are turned off (local_files_only or "
            "HF_HUB_OFFLINE), but it is not there, and there is no file or folder of that name. Download it "
            "once with a connection, or pass the path of a folder."
        ) from error
    except errors.HFValidationError as error:
        raise ConfigurationError(
            f"Expected the name of a repository, such as 'owner/name', but got {repository!r}: {_first_line(error)}."
        ) from error
    except (errors.HfHubHTTPError, errors.LocalTokenNotFoundError) as error:
        raise DownloadError(_answer(repository, host, login, error, uploads)) from error
    except Exception as error:  # The base class of errors of the network differs between versions.
        raise UnreachableError(_unreachable(repository, host, error, uploads)) from error


def _unreachable(repository: str, host: str, error: Exception, uploads: bool) -> str:
    otherwise = "." if uploads else ", or pass the path of a file or folder."
    return (
        f"Expected an answer of {host} on {repository}, but it cannot be reached ({type(error).__name__}: "
        f"{_first_line(error)}). Check the network{otherwise}"
    )


def _answer(repository: str, host: str, login: str, error: Any, uploads: bool) -> str:
    """Return a sentence on what the Hub answered."""
    status = getattr(getattr(error, "response", None), "status_code", 401)
    if uploads and status in (401, 403, 404):
        return (
            f"Expected the right to write to {repository}, but {host} refuses it ({_first_line(error)}). "
            f"{login.capitalize()} that may write; and check the owner in the name."
        )
    if status in (401, 403, 404):
        return (
            f"Expected a file, a folder or a repository {repository}, but there is no such file or folder here, and "
            f"{host} shows no such repository ({status}). Check the name; for a private one, {login}."
        )
    later = "Try again later." if uploads else "Try again later, or pass local_files_only=True for an earlier download."
    advice = later if status >= 500 or status == 429 else "Check what was asked for."
    return f"Expected an answer on {repository}, but {host} answered with an error: {_first_line(error)}. {advice}"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
