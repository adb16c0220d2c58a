"""Download a file: into a folder, unpacked, or to a path."""

from __future__ import annotations

import os
import re
from pathlib import Path

from flash.download._archive import unpack
from flash.download._archive_formats import is_archive
from flash.download._disk import digest, disk_errors
from flash.download._record import DownloadRecord
from flash.download._remote import Remote, file_name
from flash.download._transfer import Transfer
from flash.errors import ConfigurationError

__all__ = ["download_data", "fetch"]


def download_data(
    url: str,
    path: str | os.PathLike[str] = "data/",
    *,
    sha256: str | None = None,
    extract: bool = True,
    max_unpacked_bytes: int | None = None,
    progress: bool = True,
    timeout: float = 30.0,
    retries: int = 4,
    max_bytes: int | None = None,
) -> Path:
    """Download a file into a folder and, if it is an archive, unpack it there.

    Existing files are not downloaded again: a file with the right ``sha256``; without one, a file that
    was downloaded from this URL and still has its size, or that was put there by hand. An archive is not unpacked
    again while all of its top-level entries exist; delete those that should be restored. An interrupted
    download is resumed by the next call. Several processes may call this concurrently: one downloads, the
    others wait for it. The record for this is a small hidden file in the same folder, ``.<name>.download``.

    Args:
        url: An ``http``, ``https`` or ``file`` URL. A user and password before the host are sent as
            HTTP basic authentication and never shown.
        path: The folder, created if it is missing. The file in it is named after the URL.
        sha256: The expected checksum of the file, in hexadecimal.
        extract: Unpack zip archives, and tar archives, uncompressed or compressed by gzip, bz2 or xz. A file with
            any other suffix is not unpacked, even if it is a zip inside (``.npz``, ``.docx``). Listing the
            members takes no more memory and time than an honest archive of its size needs, whatever they claim.
        max_unpacked_bytes: Reject an archive that unpacks to more. The default is the free space on the disk.
        progress: Whether to show progress bars.
        timeout: Timeout in seconds without a response of the server.
        retries: Number of consecutive retries after a transient failure, such as a lost connection.
        max_bytes: Stop at a file that is larger, whatever size the server announces, and keep nothing of it. The
            default is the free space on the disk.

    Returns:
        The folder if an archive was unpacked into it, else the file.

    Raises:
        DownloadError: The file cannot be downloaded, has more than ``max_bytes``, or is a damaged archive; or the disk
            is full.
        ChecksumError: The file is not the expected one.
        UnsafeArchiveError: The archive would write outside the folder, or unpack to more than is allowed; or its
            headers, paths or members are larger or more than those of honest archives.

    Example:
        >>> import tempfile
        >>> website, data = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp())
        >>> _ = (website / "labels.csv").write_text("ant,bee")
        >>> download_data((website / "labels.csv").as_uri(), data, progress=False).name
        'labels.csv'
    """
    remote, folder = Remote.parse(url), Path(path).expanduser()
    file = folder / file_name(remote.url)
    expected = _checked_arguments(sha256, timeout, retries, max_bytes)
    with _open_record(file) as record:
        if not _is_there(file, remote, record, expected):
            Transfer(
                remote, file, record, timeout=timeout, retries=retries, progress=progress, max_bytes=max_bytes
            ).run(expected)
        if not extract or not is_archive(file):
            return file
        _unpack_once(file, folder, record, max_unpacked_bytes, progress)
    return folder


def fetch(
    url: str,
    destination_file: str | os.PathLike[str],
    *,
    sha256: str | None = None,
    progress: bool = True,
    timeout: float = 30.0,
    retries: int = 4,
    max_bytes: int | None = None,
) -> Path:
    """Download one file to a path, without unpacking it.

    Existing files, interrupted downloads, checksums and locks are handled as in :func:`download_data`.

    Args:
        url: An ``http``, ``https`` or ``file`` URL.
        destination_file: The path of the file; missing folders are created.
        sha256: The expected checksum, in hexadecimal.
        progress: Whether to show a progress bar.
        timeout: Timeout in seconds without a response of the server.
        retries: Number of consecutive retries after a transient failure.
        max_bytes: As in :func:`download_data`.

    Returns:
        The path of the file.

    Raises:
        DownloadError: The file cannot be downloaded, or has more than ``max_bytes``.
        ChecksumError: The file is not the expected one.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "model.pt").write_bytes(b"weights")
        >>> fetch((folder / "model.pt").as_uri(), folder / "cache" / "mine.pt", progress=False).read_bytes()
        b'weights'
    """
    remote, file = Remote.parse(url), Path(destination_file).expanduser()
    expected = _checked_arguments(sha256, timeout, retries, max_bytes)
    with _open_record(file) as record:
        if not _is_there(file, remote, record, expected):
            Transfer(
                remote, file, record, timeout=timeout, retries=retries, progress=progress, max_bytes=max_bytes
            ).run(expected)
    return file


def _checked_arguments(sha256: str | None, timeout: float, retries: int, max_bytes: int | None) -> str | None:
    """Validate the arguments and return the checksum in lower case."""
    if max_bytes is not None and max_bytes < 0:
        raise ConfigurationError(f"Expected max_bytes to be at least 0, got {max_bytes}.")
    if timeout <= 0 or retries < 0:
        raise ConfigurationError(f"Expected timeout > 0 and retries >= 0, got {timeout=} and {retries=}.")
    if sha256 is None:
        return None
    if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise ConfigurationError(f"Expected sha256 as 64 hexadecimal digits, got {sha256!r}.")
    return sha256.lower()


def _open_record(file: Path) -> DownloadRecord:
    with disk_errors(file.parent, lambda: None, "Free some space and call again."):
        if file.is_dir():
            raise ConfigurationError(f"Cannot write the file {file}: it is a folder. Choose another path.")
        file.parent.mkdir(parents=True, exist_ok=True)
    return DownloadRecord(file)


def _is_there(file: Path, remote: Remote, record: DownloadRecord, sha256: str | None) -> bool:
    if not file.is_file():
        return False
    if sha256 is not None:
        return digest(file) == sha256
    stored = record.facts.get("file")
    return stored is None or stored == {"source": remote.identity, "size": file.stat().st_size}


def _unpack_once(file: Path, folder: Path, record: DownloadRecord, max_bytes: int | None, progress: bool) -> None:
    stat = file.stat()
    archive = [stat.st_size, stat.st_mtime_ns]
    done = record.facts.get("unpacked") or {}
    if done.get("archive") == archive and all((folder / name).exists() for name in done["names"]):
        return
    reserved = {file.name, record.path.name}
    names = unpack(file, folder, max_bytes=max_bytes, reserved=reserved, suffix=record.suffix, progress=progress)
    record.update(unpacked={"archive": archive, "names": names})
