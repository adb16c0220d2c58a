"""Sources of a checkpoint: a file, a URL, a folder for the Hub, or a repository of the Hub."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

from flash.download import HubOptions, fetch, fetch_repository
from flash.errors import CheckpointError, ConfigurationError
from flash.serialization.files import MapLocation, read_file
from flash.serialization.folders import DESCRIPTION, WEIGHTS, is_checkpoint_folder, read_folder

__all__ = ["is_checkpoint_name", "read_checkpoint"]

# A name of the Hub, optionally with a revision; a file with one of these endings is not meant as one.
_REPOSITORY = re.compile(r"(?P<name>[A-Za-z0-9_][\w.-]*/[\w.-]+)(?:@(?P<revision>[\w./-]+))?", re.ASCII)
_OF_FILES = (".ckpt", ".pt", ".pth", ".bin", ".pkl", ".safetensors", ".zip", ".json")


def read_checkpoint(
    source: str | Path, map_location: MapLocation = "cpu", *, allowed: Iterable[Any] = (), **hub: Unpack[HubOptions]
) -> dict[str, Any]:
    """Read a checkpoint without executing code.

    The checksums in it are verified, so that a flipped bit is an error.

    Args:
        source: A file; an http(s) URL of one; a folder of :func:`~flash.serialization.write_folder`; or, as a string,
            a repository of the Hub: ``"owner/name"`` or ``"owner/name@revision"``, where nothing of that name is here.
        map_location: Device of the tensors, as in ``torch.load``.
        allowed: Additional classes that a file may hold, as in ``torch.serialization.safe_globals``.
        hub: How a repository is downloaded: ``revision``, ``cache_dir``, ``token``, ``local_files_only`` and
            ``endpoint``, as of huggingface_hub.

    Raises:
        UnsafeCheckpointError: If loading would execute code.
        CheckpointError: If there is no such file or folder, or it is damaged or is not a checkpoint.
        ConfigurationError: If a revision is asked for of what is no repository, or a package is not installed.
        DownloadError: If a URL or a repository cannot be downloaded.
    """
    name = str(source)
    if name.startswith(("http://", "https://")):
        _refuse_revision(name, hub)
        with tempfile.TemporaryDirectory() as temporary:
            return read_file(fetch(name, Path(temporary) / "checkpoint"), name, map_location, allowed)
    path = Path(source)
    try:
        found, is_folder = path.is_file(), path.is_dir()
    except (OSError, ValueError) as error:  # Such as a name that is too long, or has a null byte.
        raise CheckpointError(
            f"Expected a checkpoint at {path}, but it cannot be opened: {error}. Pass the path of a file."
        ) from error
    if found or is_folder:
        _refuse_revision(name, hub)
    if found and path.name in (DESCRIPTION, WEIGHTS) and is_checkpoint_folder(path.parent):
        raise CheckpointError(
            f"Expected a folder that task.save_pretrained wrote, but {path} is a file in one. Pass the folder: "
            f"{path.parent}."
        )
    if found:
        return read_file(path, str(path), map_location, allowed)
    if is_folder and is_checkpoint_folder(path):
        return read_folder(path, str(path), map_location)
    if is_folder:
        raise CheckpointError(
            f"Expected a checkpoint at {path}, but it is a folder. Pass the path of a file in it, or a folder that "
            f"task.save_pretrained wrote: one with {DESCRIPTION}."
        )
    repository = None if isinstance(source, Path) else _as_repository(name)
    if repository is not None:
        repository_name, revision = repository
        asked = hub.get("revision")
        if revision is not None and asked not in (None, revision):
            raise ConfigurationError(
                f"Expected one revision of {repository_name}, but got {revision!r} in the name and revision={asked!r}. "
                "Leave one of them out."
            )
        options: HubOptions = hub if revision is None else {**hub, "revision": revision}
        folder = fetch_repository(repository_name, [DESCRIPTION, WEIGHTS], **options)
        return read_folder(folder, name, map_location)
    if "://" in name:
        raise CheckpointError(
            f"Expected a file or an http(s) URL, but got {name}. Download it first, and pass its path."
        )
    raise CheckpointError(
        f"Expected a checkpoint at {path}, but there is no such file. Check the path; relative ones start at "
        f"{Path.cwd()}."
    )


def is_checkpoint_name(source: str | Path) -> bool:
    """Return whether :func:`read_checkpoint` finds a checkpoint by a name, or would look for it on the Hub.

    Example:
        >>> is_checkpoint_name("owner/name"), is_checkpoint_name("runs/task.ckpt"), is_checkpoint_name("a1_in1k")
        (True, False, False)
    """
    if str(source).startswith(("http://", "https://")) or Path(source).is_file():
        return True
    return is_checkpoint_folder(Path(source)) or (isinstance(source, str) and _as_repository(source) is not None)


def _as_repository(name: str) -> tuple[str, str | None] | None:
    """Return the name and the revision of a repository, if that is what a text can only mean."""
    match = _REPOSITORY.fullmatch(name)
    if match is None or match["name"].lower().endswith(_OF_FILES) or Path(name).parent.is_dir():
        return None
    return match["name"], match["revision"]


def _refuse_revision(name: str, hub: HubOptions) -> None:
    if hub.get("revision") is not None:
        raise ConfigurationError(
            f"Expected a repository of the Hub to take revision {hub['revision']!r} of, but {name} is on this machine "
            "or at a URL of its own. Leave revision out."
        )
