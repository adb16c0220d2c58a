"""Download files of a repository of the Hugging Face Hub by huggingface_hub, and say in words what prevents it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypedDict

from flash.errors import CheckpointError, ConfigurationError, DownloadError

__all__ = ["HubOptions", "explaining_hub_errors", "fetch_repository", "hub_library"]

_TIMEOUT = 10.0


class HubOptions(TypedDict, total=False):
    """How a repository is downloaded, with the names and meanings of huggingface_hub."""

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


class _UnreachableError(DownloadError):
    """The Hub gave no answer, which says nothing about the repository."""


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

    def fetch(**options: Any) -> Path:
        options |= {"revision": revision, "cache_dir": cache_dir, "token": token, "endpoint": endpoint}
        return Path(hub.snapshot_download(repository, allow_patterns=list(names), **options))

    # In this mode nothing may be asked of the Hub, which the user knows.
    local = local_files_only or hub.constants.HF_HUB_OFFLINE
    with explaining_hub_errors(repository, revision=revision, endpoint=endpoint):
        try:
            if not local:
                _check(hub, repository, revision=revision, token=token, endpoint=endpoint)
            folder = fetch(local_files_only=local)
        except _UnreachableError as error:
            with contextlib.suppress(hub.errors.LocalEntryNotFoundError):
                folder = fetch(local_files_only=True)
                warnings.warn(f"{error} The files of an earlier download are taken: {folder}.", stacklevel=2)
                return _complete(folder, names, repository)
            raise
    return _complete(folder, names, repository)


def _check(hub: ModuleType, repository: str, *, revision: str | None, token: Any, endpoint: str | None) -> None:
    """Ask for the repository: a download would take what is in the cache in silence, whatever the Hub answers."""
    with explaining_hub_errors(repository, revision=revision, endpoint=endpoint):
        hub.HfApi(endpoint=endpoint, token=token).model_info(repository, revision=revision, timeout=_TIMEOUT)


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
    repository: str, *, revision: str | None = None, endpoint: str | None = None, uploads: bool = False
) -> Iterator[None]:
    """Context manager: raise a DownloadError in words in place of what huggingface_hub raises.

    Args:
        repository: ``"owner/name"``.
        revision: The revision that is asked for.
        endpoint: The address of the Hub.
        uploads: Whether files are uploaded.

    Raises:
        DownloadError: In place of the error.
    """
    hub = hub_library(f"the repository {repository!r}")
    errors = hub.errors
    host = endpoint or hub.constants.ENDPOINT
    login = "log in with `hf auth login`, or pass token=..."
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
        raise DownloadError(
            f"Expected {repository} in the cache of the Hub, since connections are turned off (local_files_only, or "
            "the variable HF_HUB_OFFLINE), but it is not there, and there is no file or folder of that name. Download it "
            "once with a connection, or pass the path of a folder."
        ) from error
    except errors.HFValidationError as error:
        raise ConfigurationError(
            f"Expected the name of a repository, such as 'owner/name', but got {repository!r}: {_first_line(error)}."
        ) from error
    except (errors.HfHubHTTPError, errors.LocalTokenNotFoundError) as error:
        raise DownloadError(_answer(repository, host, login, error, uploads)) from error
    except Exception as error:  # The base class of errors of the network differs between versions.
        raise _UnreachableError(
            f"Expected an answer of {host} about {repository}, but it cannot be reached ({type(error).__name__}: "
            f"{_first_line(error)}). Check the network"
            + ("." if uploads else ", or pass the path of a file or folder.")
        ) from error


def _answer(repository: str, host: str, login: str, error: Any, uploads: bool) -> str:
    """Return a sentence on what the Hub answered."""
    status = getattr(getattr(error, "response", None), "status_code", 401)
    if uploads and status in (401, 403):
        return (
            f"Expected the right to write to {repository}, but {host} refuses it ({_first_line(error)}). With a token "
            f"that may write, {login}; and check the owner in the name."
        )
    if status in (401, 403, 404):
        return (
            f"Expected a file, a folder or a repository {repository}, but there is no such file or folder here, and "
            f"{host} shows no such repository ({status}). Check the name; for a private one, {login}."
        )
    return f"Expected files of {repository}, but {host} answered with an error: {_first_line(error)}. Try again later."


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
