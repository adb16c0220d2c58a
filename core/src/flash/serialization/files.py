"""Checkpoint files: read without executing code, written atomically."""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import secrets
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeAlias

import torch

from flash.errors import CheckpointError, FlashError, UnsafeCheckpointError

try:
    import fcntl
except ImportError:  # pragma: no cover  # Windows, which keeps open files from being removed by itself
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "MapLocation",
    "explaining_write_errors",
    "is_free",
    "link_or_copy",
    "read_file",
    "replacing",
    "replacing_together",
    "scratch_file",
    "sync",
    "try_lock",
    "write_checkpoint",
    "writing",
    "writing_folder",
]

#: The device of loaded tensors, as ``torch.load`` takes it.
MapLocation: TypeAlias = str | torch.device | dict[str, str] | Callable[..., Any] | None

_SECONDS_TO_LOCK = 10
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}\.tmp")


class _Bytes:
    """Placeholder of ``bytes``, which pickles call for empty content: any other call would take memory."""

    def __new__(cls, *arguments: Any) -> Any:
        if arguments:
            raise pickle.UnpicklingError("Unsupported: a call of bytes")
        return b""


# Types of serializable values that torch 2.5 does not allow by itself, as later versions do; and empty bytes. The
# unpickler finds a class by its module and name.
_HARMLESS = (set, complex, type("bytes", (_Bytes,), {"__module__": "builtins"}))


def read_file(path: Path, name: str, map_location: MapLocation, allowed: Iterable[Any] = ()) -> dict[str, Any]:
    """Read the file of a checkpoint without executing code; the checksums of the archive are verified.

    Args:
        path: The file.
        name: What the user calls it, for error messages.
        map_location: Device of the tensors, as in ``torch.load``.
        allowed: Additional classes that the file may hold, as in ``torch.serialization.safe_globals``.

    Raises:
        UnsafeCheckpointError: If loading would execute code.
        CheckpointError: If the file is damaged or is not a checkpoint.
    """
    try:
        _compare_checksums(path)
        with torch.serialization.safe_globals([*_HARMLESS, *allowed]):
            checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        if any(word in str(error) for word in ("Unsupported", "GLOBAL", "weights_only")):
            raise UnsafeCheckpointError(
                f"Expected a checkpoint of serializable values, but loading {name} would execute code, so it was "
                f"refused ({_refusal(error)}). Ask its author for a checkpoint that holds tensors, numbers and strings "
                "only."
            ) from error
        raise CheckpointError(_damaged(name)) from error
    # For files that are damaged or of another kind, torch, pickle and zipfile raise errors of nearly any type.
    except Exception as error:
        raise CheckpointError(_damaged(name)) from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(_damaged(name))
    return checkpoint


def _refusal(error: Exception) -> str:
    """Return what the unpickler refused, without torch's advice to load the file unsafely."""
    said = [line for line in str(error).splitlines() if line.strip() and not line.startswith("Check the documentation")]
    reason = said[-1].rpartition("WeightsUnpickler error: ")[2]
    return reason.partition(" was not an allowed global")[0].strip().rstrip(".")


def _compare_checksums(path: Path) -> None:
    # torch.load does not verify them.
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                raise zipfile.BadZipFile("a checksum differs")


def _damaged(name: str) -> str:
    return (
        f"Expected a checkpoint, but {name} is truncated or damaged, or is another kind of file. "
        "Copy or download it again, or use an earlier checkpoint."
    )


def write_checkpoint(
    checkpoint: Mapping[str, Any], path: str | Path, *, folder_argument: str = "Trainer(default_root_dir=...)"
) -> None:
    """Write a checkpoint atomically: the file at ``path`` is always either the old one or the complete new one.

    Args:
        checkpoint: Serializable values.
        path: The file; its folder is created.
        folder_argument: Where the user chose the folder, for error messages.

    Raises:
        CheckpointError: If the file cannot be written, such as when the disk is full; the old file is untouched.
    """
    with writing(path, what="checkpoint", folder_argument=folder_argument) as file:
        torch.save(dict(checkpoint), file)


@contextlib.contextmanager
def writing(
    path: str | Path, mode: str = "wb", *, what: str = "file", folder_argument: str, encoding: str | None = None
) -> Iterator[IO[Any]]:
    """Open a file to write it atomically, with one error for whatever may prevent that.

    Args:
        path: The file; its folder is created.
        mode: As in ``open``.
        what: What the file is, for the error message.
        folder_argument: Where the user chose the folder, for the error message.
        encoding: As in ``open``.

    Raises:
        CheckpointError: If the file cannot be written, such as when the disk is full; the old file is untouched.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with writing(folder / "runs" / "first.txt", "w", folder_argument="folder=") as file:
        ...     _ = file.write("done")
        >>> (folder / "runs" / "first.txt").read_text()
        'done'
    """
    target = Path(path)
    with explaining_write_errors(target, what=what, folder_argument=folder_argument):
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target, mode, encoding) as file:
            yield file


@contextlib.contextmanager
def explaining_write_errors(path: str | Path, *, what: str = "file", folder_argument: str) -> Iterator[None]:
    """Context manager: raise an error in words if a file cannot be written.

    Args:
        path: The file.
        what: What the file is.
        folder_argument: Where the user chose the folder.

    Raises:
        CheckpointError: If the operating system refuses to write, or torch cannot.

    Example:
        >>> with explaining_write_errors("runs/history.json", folder_argument="BaseSolver(folder=...)"):
        ...     raise OSError("No space left on device")
        Traceback (most recent call last):
        ...
        flash.errors.CheckpointError: The file runs/history.json could not be written: No space left on device. An \
older file of that name is untouched. Free some space, or choose another folder with BaseSolver(folder=...).
    """
    try:
        yield
    except FlashError:
        raise
    except (OSError, RuntimeError) as error:
        in_place = f"{Path(path).parent} is not a folder, or below a file"
        reason = in_place if isinstance(error, FileExistsError | NotADirectoryError) else error
        raise CheckpointError(
            f"The {what} {path} could not be written: {reason}. An older file of that name is untouched. "
            f"Free some space, or choose another folder with {folder_argument}."
        ) from error


@contextlib.contextmanager
def replacing(target: Path, mode: str = "wb", encoding: str | None = None) -> Iterator[IO[Any]]:
    """Open a temporary file that atomically replaces ``target`` once it is complete and synced to disk.

    At any time ``target`` is either the old file or the complete new one. The temporary file is in the same folder and
    has a unique name; temporary files that a killed process left behind are removed.

    Args:
        target: The file to write.
        mode: As in ``open``.
        encoding: As in ``open``.
    """
    with replacing_together([target], mode, encoding) as (file,):
        yield file


@contextlib.contextmanager
def replacing_together(
    targets: Sequence[Path], mode: str = "wb", encoding: str | None = None
) -> Iterator[list[IO[Any]]]:
    """Open temporary files that replace ``targets``, in their order, once all of them are complete and synced to disk.

    What fails while they are written, such as a full disk, leaves all targets as they were.

    Args:
        targets: The files to write, all in one folder.
        mode: As in ``open``.
        encoding: As in ``open``.
    """
    folder = targets[0].parent
    _remove_left_behind(folder)
    temporaries = [_temporary(target) for target in targets]
    try:
        with contextlib.ExitStack() as opened:
            files = [opened.enter_context(each.open(mode, encoding=encoding)) for each in temporaries]
            for file in files:
                if fcntl is not None:
                    fcntl.flock(file, fcntl.LOCK_EX)
            yield files
            for file in files:
                file.flush()
                os.fsync(file.fileno())
        for temporary, target in zip(temporaries, targets, strict=True):
            temporary.replace(target)
    finally:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)
    sync(folder)


def is_free(folder: Path) -> bool:
    """Return whether a folder can be written as a new one: it does not exist yet, or is empty.

    Args:
        folder: Its path.

    Example:
        >>> is_free(Path("a/folder/that/is/not/there")), is_free(Path(__file__))
        (True, False)
    """
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


@contextlib.contextmanager
def writing_folder(path: str | Path, *, what: str = "folder", folder_argument: str) -> Iterator[Path]:
    """Context manager: a temporary folder to fill, which becomes a new folder once it is complete and synced to disk.

    It lies beside the new folder and has a unique name; those that killed processes left behind are removed.

    Args:
        path: A folder that does not exist yet, or is empty; the folders above it are created.
        what: What the folder is, for the error message.
        folder_argument: Where the user chose the folder, for the error message.

    Raises:
        CheckpointError: If the folder cannot be written, such as when the disk is full; there is none then.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "exported"
        >>> with writing_folder(target, folder_argument="folder=") as folder:
        ...     _ = (folder / "model").write_text("weights")
        ...     target.exists()
        False
        >>> [file.name for file in target.iterdir()]
        ['model']
    """
    target = Path(path)
    with explaining_write_errors(target, what=what, folder_argument=folder_argument):
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_behind(target.parent)
        temporary = _temporary(target)
        temporary.mkdir()
    try:
        with explaining_write_errors(target, what=what, folder_argument=folder_argument), _locked(temporary):
            yield temporary
            for file in temporary.rglob("*"):
                sync(file)
            os.replace(temporary, target)  # noqa: PTH105  # onto an empty folder too
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    sync(target.parent)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Context manager: hold the lock of a folder; Windows has none, and keeps open files from being removed."""
    if fcntl is None:  # pragma: no cover
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def scratch_file(folder: str | Path | None, name: str) -> IO[bytes]:
    """Open a new file for data that this process needs no longer than it lives; whoever opens it also removes it.

    It has a unique name, and is locked while it is open; files that killed processes left behind are removed.

    Args:
        folder: Its folder; by default the one for temporary files.
        name: What is in it, the first part of its name.

    Returns:
        The file, open for writing and reading, without a buffer.

    Example:
        >>> file = scratch_file(None, "columns")
        >>> file.write(b"rows")
        4
        >>> file.close()
        >>> Path(file.name).unlink()
    """
    place = Path(tempfile.gettempdir() if folder is None else folder)
    _remove_left_behind(place)
    file = _temporary(place / name).open("x+b", buffering=0)
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX)
    return file


def try_lock(path: Path) -> IO[str] | None:
    """Lock a file for the program that calls this, until the returned file is closed or the program ends.

    Args:
        path: The file, in a folder that exists; it is made.

    Returns:
        The open file; ``None`` if another program has locked it. Windows has no such locks, and so never returns it.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "lock"
        >>> with try_lock(path):
        ...     try_lock(path) is None
        True
    """
    file = path.open("w")
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return None
    return file


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link a file atomically, or copy it where links are not supported; replacing the source keeps the target.

    Args:
        source: The file.
        target: Its second name; a file of that name is replaced.
    """
    _remove_left_behind(target.parent)
    temporary = _temporary(target)
    try:
        os.link(source, temporary)
        temporary.replace(target)
    except OSError:
        with source.open("rb") as file, replacing(target) as copy:
            shutil.copyfileobj(file, copy)
    finally:
        # Also after success: a rename onto another link of the same file keeps both names.
        temporary.unlink(missing_ok=True)


def _temporary(target: Path) -> Path:
    # A name that the system just allows has no room for more; 50 characters have at most 200 bytes.
    return target.with_name(f".{target.name[:50]}.{secrets.token_hex(8)}.tmp")


def _remove_left_behind(folder: Path) -> None:
    """Remove temporary files and folders of this module whose process is no longer alive, whatever their target was.

    A training writes each checkpoint under a name of its own.
    """
    for left in folder.glob(".*.tmp"):
        if not _TEMPORARY.fullmatch(left.name) or left.is_symlink():
            continue
        with contextlib.suppress(OSError):
            descriptor = os.open(left, os.O_RDONLY)
            try:
                # A live writer holds the lock, except in the moment between opening and locking.
                if fcntl is not None:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - os.fstat(descriptor).st_mtime > _SECONDS_TO_LOCK:
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
            finally:
                os.close(descriptor)


def sync(path: Path) -> None:
    """Sync a file or a folder to disk, where the system can.

    Args:
        path: The file; or the folder, so that it has the names of its files after a power failure too.
    """
    # A rename is durable only once the folder is synced; Windows cannot sync folders.
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
