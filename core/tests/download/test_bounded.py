"""Archives made to take memory and time without end: what is read of them is counted, never timed."""

from __future__ import annotations

import bz2
import io
import tarfile
import tracemalloc
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flash.download import _archive, download_data
from flash.download._archive import unpack
from flash.download._archive_formats import is_archive
from flash.download._bounded import TarStream
from flash.errors import DownloadError, UnsafeArchiveError

MIB = 1 << 20
ZEROS = bz2.compress(bytes(32 * MIB))


@contextmanager
def at_most(limit: int) -> Iterator[None]:
    """Hold the memory that is allocated at a time to a limit."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit


@pytest.fixture
def decompressed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The positions that were read up to."""
    positions = [0]
    read = TarStream.read

    def counted(self: TarStream, size: int = -1) -> bytes:
        found = read(self, size)
        positions.append(self.tell())
        return found

    monkeypatch.setattr(TarStream, "read", counted)
    return positions


def header(name: str = "a", kind: bytes = tarfile.REGTYPE, size: int = 0, content: bytes = b"") -> bytes:
    """A header as it is in an archive, and its content."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size or len(content)
    return info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)


def written(file: Path, *parts: bytes) -> Path:
    file.write_bytes(b"".join(parts))
    return file


KINDS = [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", [b"", header()])
def test_a_header_that_claims_to_be_huge_is_refused_before_it_is_read(
    tmp_path: Path, target: Path, kind: bytes, first: bytes
) -> None:
    huge = bz2.compress(first + header(kind=kind, size=1 << 30))
    archive = written(tmp_path / "a.tar.bz2", huge, ZEROS, ZEROS, bz2.compress(bytes(1024)))
    with at_most(8 * MIB), pytest.raises(UnsafeArchiveError, match=r"a header has 1073741824 bytes, more than 262144"):
        unpack(archive, target, max_bytes=1000, progress=False)
    with at_most(8 * MIB):
        assert is_archive(archive.rename(tmp_path / "nosuffix"))
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("size", [-1, -600, -(1 << 40)])
def test_a_header_of_a_negative_size_is_refused_before_it_is_read(tmp_path: Path, target: Path, size: int) -> None:
    archive = written(tmp_path / "a.tar", header(kind=tarfile.GNUTYPE_LONGNAME, size=size), header())
    with pytest.raises(UnsafeArchiveError, match=f"a header has {size} bytes"):
        unpack(archive, target, progress=False)


def test_headers_of_headers_are_refused(tmp_path: Path, target: Path) -> None:
    long_name = header(kind=tarfile.GNUTYPE_LONGNAME, content=b"x\0")
    archive = written(tmp_path / "a.tar", long_name * 5000, header(), bytes(1024))
    with pytest.raises(UnsafeArchiveError, match="a member has more than 8 headers, or 1000 attributes"):
        unpack(archive, target, progress=False)


def test_attributes_that_each_member_would_copy_are_refused(tmp_path: Path, target: Path) -> None:
    records = b"".join(b"12 %06d=x\n" % number for number in range(2000))
    parts = header(kind=tarfile.XGLTYPE, content=records), header() * 10, bytes(1024)
    with pytest.raises(UnsafeArchiveError, match="or 1000 attributes"):
        unpack(written(tmp_path / "a.tar", *parts), target, progress=False)


def test_names_and_attributes_as_honest_archives_have_them_are_read(tmp_path: Path, target: Path) -> None:
    long_name = "/".join(["x" * 250] * 4)
    with tarfile.open(tmp_path / "a.tar.xz", "w:xz", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo(long_name)
        info.size, info.pax_headers = 3, {"SCHILY.xattr.user.note": "y" * 60_000}
        archive.addfile(info, io.BytesIO(b"abc"))
    assert unpack(tmp_path / "a.tar.xz", target, max_bytes=3, progress=False) == ["x" * 250]
    assert (target / long_name).read_text() == "abc"


@pytest.mark.parametrize("streams", [2, 8])
def test_what_follows_the_end_mark_is_read_up_to_a_limit(
    tmp_path: Path, target: Path, decompressed: list[int], streams: int
) -> None:
    whole = bz2.compress(header(content=b"x") + bytes(1024))
    archive = written(tmp_path / "a.tar.bz2", whole, ZEROS * streams)
    with at_most(8 * MIB), pytest.raises(UnsafeArchiveError, match=r"belong to no member, such as behind its end mark"):
        unpack(archive, target, max_bytes=1000, progress=False)
    assert max(decompressed) < 5 * MIB


def test_padding_as_tapes_have_it_is_read(tmp_path: Path, target: Path) -> None:
    archive = written(tmp_path / "a.tar.bz2", bz2.compress(header(content=b"x") + bytes(2 * MIB)))
    assert unpack(archive, target, progress=False) == ["a"]


def test_a_member_whose_content_is_larger_than_it_says_is_refused(
    tmp_path: Path, target: Path, decompressed: list[int]
) -> None:
    sparse = tarfile.TarInfo("a")
    sparse.type, sparse.size = tarfile.GNUTYPE_SPARSE, 1 << 30
    block = bytearray(sparse.tobuf(tarfile.GNU_FORMAT))
    block[483:495] = b"00000000001\0"  # the size of the file on the disk
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    archive = written(tmp_path / "a.tar.bz2", bz2.compress(bytes(block)), ZEROS * 32, bz2.compress(bytes(1024)))
    with pytest.raises(DownloadError, match="takes 1073741824 bytes, but has 1"):
        unpack(archive, target, progress=False)
    assert max(decompressed) < 5 * MIB


def test_members_without_end_are_refused(tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_archive, "_MIN_LIST_BYTES", 100_000)
    archive = written(tmp_path / "a.tar.bz2", bz2.compress(header(content=b"") * 1000 + bytes(1024)))
    with pytest.raises(UnsafeArchiveError, match="the list of its members takes more than 100000 bytes"):
        unpack(archive, target, progress=False)
    honest = written(tmp_path / "a.tar", header() * 1000, bytes(1024))
    assert unpack(honest, target, progress=False) == ["a"], "as many members in a file that is as large as they are"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("a/" * 16_000 + "f", "a path has more than 4096 bytes"),
        ("ä" * 2049, "a path has more than 4096 bytes"),
        ("a/" * 1000 + "f", "a path is more than 128 folders deep"),
        ("a/" * 128 + "f", "a path is more than 128 folders deep"),
        ("a/" + "ä" * 128, "a name has more than 255 bytes"),
    ],
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_path_that_not_every_system_can_hold_is_refused_at_once(
    pack: Any, target: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str, sentence: str
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(unicodedata, "normalize", _counted(unicodedata.normalize, calls))
    link = pack.symlink("s", "x")
    archive = pack.zip("a.zip", (name, "")) if kind == "zip" else pack.tar("a.tar", link, pack.entry(name))
    with pytest.raises(UnsafeArchiveError, match=sentence) as raised:
        unpack(archive, target, progress=False)
    assert len(str(raised.value)) < 600
    assert len(calls) < 10
    assert list(target.iterdir()) == []


def _counted(call: Callable[..., Any], calls: list[str]) -> Callable[..., Any]:
    def counted(*args: Any) -> Any:
        calls.append(args[-1])
        return call(*args)

    return counted


def test_the_checks_of_paths_cost_no_more_than_their_length(
    pack: Any, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(unicodedata, "normalize", _counted(unicodedata.normalize, calls))
    deep = "a/" * 100
    members = [pack.symlink("s", "x"), *(pack.entry(f"{deep}{number}") for number in range(10))]
    assert unpack(pack.tar("a.tar", *members), target, progress=False) == ["a", "s"]
    assert len(calls) < 100 + 20 * 101, "each folder once, and each member once or twice"


def test_a_deep_path_leaves_the_archive_and_its_record_alone(tmp_path: Path, pack: Any, target: Path) -> None:
    archive = pack.tar("a.tar", pack.entry("a/" * 1000 + "f"))
    with pytest.raises(UnsafeArchiveError, match="Nothing was written"):
        download_data(archive.as_uri(), target, progress=False)
    assert sorted(path.name for path in target.iterdir()) == [".a.tar.download", "a.tar"]


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("mode", [0, 0o120777])
def test_a_zip_member_that_is_larger_than_it_says_is_refused_before_it_is_in_memory(
    pack: Any, target: Path, packing: int, mode: int
) -> None:
    archive = pack.zip("a.zip", ("a", "0" * (64 * MIB)), packing=packing, mode=mode)
    data = archive.read_bytes()
    place = data.index(b"PK\x01\x02") + 24  # the size in the list of members
    archive.write_bytes(data[:place] + (1000).to_bytes(4, "little") + data[place + 4 :])
    with at_most(24 * MIB), pytest.raises(DownloadError, match="cannot be unpacked"):
        unpack(archive, target, max_bytes=1000, progress=False)
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_large_zip_member_is_written_whole_in_pieces(pack: Any, target: Path, packing: int) -> None:
    text = "0123456789" * (3 * MIB)
    archive = pack.zip("a.zip", ("a", text), packing=packing)
    with at_most(24 * MIB):
        unpack(archive, target, progress=False)
    assert (target / "a").read_text() == text


def test_a_zip_member_that_asks_for_a_huge_dictionary_is_refused(pack: Any, target: Path) -> None:
    archive = pack.zip("a.zip", ("a", "0" * 100), packing=zipfile.ZIP_LZMA)
    data = bytearray(archive.read_bytes())
    place = data.index(b"\x05\x00\x5d") + 3
    data[place : place + 4] = b"\xff\xff\xff\xff"
    archive.write_bytes(data)
    with pytest.raises(UnsafeArchiveError, match="a member needs 4294967295 bytes of memory"):
        unpack(archive, target, progress=False)


@pytest.mark.parametrize("begin", ["BZh", "\x1f\x8b", "\ufeffx"])
def test_a_tar_whose_first_member_is_named_like_a_compressed_file_is_read(tmp_path: Path, begin: str) -> None:
    info = tarfile.TarInfo("a")
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[: len(begin)] = begin.encode("latin-1", "replace")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    with TarStream(written(tmp_path / "a", bytes(block), bytes(1024))) as stream:
        assert stream.read(512) == block
