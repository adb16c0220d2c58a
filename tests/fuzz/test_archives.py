"""Archives with members of any names: unpacked as the modules of Python read them, or an error; nothing outside."""

from __future__ import annotations

import io
import tarfile
import tempfile
import zipfile
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from flash import download_data
from flash.errors import FlashError

PARTS = st.sampled_from(["a", "b", "..", ".", "", "A", "é", "e\u0301", "con", "C:", "a\\b", "~", " "])
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
MEMBERS = st.lists(st.tuples(NAMES, st.binary(max_size=6)), min_size=1, max_size=5)
LINKS = st.lists(
    st.tuples(NAMES, NAMES, st.sampled_from([tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])), max_size=2
)


def unpacked(content: bytes, suffix: str) -> dict[str, bytes] | None:
    """The files that ``download_data`` unpacks, by path; ``None`` after an error, which leaves none."""
    with tempfile.TemporaryDirectory() as outer:
        source, folder = Path(outer, f"in{suffix}"), Path(outer, "one", "two", "data")
        source.write_bytes(content)
        try:
            download_data(source.as_uri(), folder, progress=False)
        except FlashError:
            found = None
        else:
            files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
            own = (source.name, f".{source.name}.download")
            found = {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name not in own}
        outside = [path for path in Path(outer).rglob("*") if folder not in path.parents and path.is_file()]
        assert outside == [source]
        for link in (path for path in folder.rglob("*") if path.is_symlink()):
            assert folder.resolve() in (link.resolve(), *link.resolve().parents)
        return found


@given(members=MEMBERS)
@example(members=[("a", b"1"), ("a/b", b"2")])
@example(members=[("../a", b"1")])
def test_zip_files_are_unpacked_as_they_are_or_not_at_all(members: list[tuple[str, bytes]]) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members:
            info = zipfile.ZipInfo("x")
            info.filename = name
            with archive.open(info, "w") as member:  # writestr fails for an empty name
                member.write(content)
    found = unpacked(file.getvalue(), ".zip")
    if found is not None:
        # The last of several members of a name is the one that stays.
        wanted = {"/".join(_steps(name)): content for name, content in members if not name.endswith("/")}
        assert found == wanted


@given(members=MEMBERS, links=LINKS)
@example(members=[("a/b", b"1")], links=[("a", "..", tarfile.SYMTYPE)])
def test_tar_files_are_unpacked_inside_the_folder_or_not_at_all(
    members: list[tuple[str, bytes]], links: list[tuple[str, str, bytes]]
) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members:
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
        for name, target, kind in links:
            header = tarfile.TarInfo(name)
            header.type, header.linkname = kind, target
            archive.addfile(header)
    found = unpacked(file.getvalue(), ".tar")
    if found is not None and not links:
        assert set(found.values()) <= {content for _, content in members}


@given(content=st.binary(max_size=200), suffix=st.sampled_from([".zip", ".tar", ".tar.gz", ".tgz", ".txz"]))
def test_any_bytes_are_no_archive_or_one(content: bytes, suffix: str) -> None:
    unpacked(content, suffix)


def _steps(name: str) -> list[str]:
    return [step for step in name.split("/") if step not in ("", ".")]
