"""Damaged archives, as ``download_data`` gets them: unpacked whole, or an error, and nothing outside the folder."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from flash import download_data

from .corpus import OTHERS, Damaged, damaged_bytes, damaged_members, other_formats, outcome

pytestmark = [pytest.mark.unit, pytest.mark.slow]

#: How many damaged files there are of each kind; docs/promises.md has the sums.
BYTES, MEMBERS, NAMES = 48, 16, 12
FORMATS = (".zip", ".tar", ".tar.gz")
COUNTS = {suffix: BYTES + NAMES + OTHERS + (MEMBERS if suffix == ".zip" else 0) for suffix in FORMATS}
COUNT = sum(COUNTS.values())
CONTENTS = {
    f"pets/{name}/{number}.txt": f"{name} {number}\n".encode() * 40 for name in ("ant", "bee") for number in "12"
}
# Names of members that no archive may write: outside the folder, devices, links.
BAD_NAMES = ("../out.txt", "/tmp/flash-out.txt", "pets/../../out.txt", "..\\out.txt", "C:\\out.txt", "a\0b", "a" * 5000)


def archive(suffix: str, contents: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    if suffix == ".zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in contents.items():
                packed.writestr(name, content)
        return file.getvalue()
    with tarfile.open(fileobj=file, mode="w") as packed:
        for name, content in contents.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            packed.addfile(header, io.BytesIO(content))
    return file.getvalue() if suffix == ".tar" else gzip.compress(file.getvalue(), mtime=0)


def damaged(suffix: str, marker: Path) -> Iterator[Damaged]:
    content = archive(suffix, CONTENTS)
    yield from damaged_bytes(content, 9, BYTES)
    if suffix == ".zip":
        yield from damaged_members(content, 10, MEMBERS)
    rng = random.Random(11)
    for number in range(NAMES):
        name = BAD_NAMES[number % len(BAD_NAMES)]
        where = rng.randrange(len(CONTENTS) + 1)
        items = list(CONTENTS.items())
        yield Damaged(f"{name!r:.40} inside", archive(suffix, dict([*items[:where], (name, b"out"), *items[where:]])))
    yield from other_formats(marker)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_damaged_archive_is_unpacked_whole_or_an_error(suffix: str, tmp_path: Path) -> None:
    marker, source = tmp_path / "code ran", tmp_path / "source"
    source.mkdir()
    wrong = []
    damages = list(damaged(suffix, marker))
    assert len(damages) == COUNTS[suffix]
    for number, damage in enumerate(damages):
        file, folder = source / f"pets{suffix}", tmp_path / f"folder{number}" / "data"
        file.write_bytes(damage.content)
        result = outcome(
            lambda folder=folder, file=file: download_data(file.as_uri(), folder, progress=False),  # type: ignore[misc]
            lambda _, folder=folder, damage=damage: _is_right(folder, damage, suffix),  # type: ignore[misc]
        )
        wrong += [f"{damage.name}: {result.wrong}"] if result.wrong else []
        beside = [each.name for each in folder.parent.iterdir()] if folder.parent.exists() else []
        wrong += [f"{damage.name}: wrote {beside}"] if beside not in ([], ["data"]) else []
        if result.sentence:
            left = [path for path in folder.rglob("*") if path.is_file() and "pets/" in str(path.relative_to(folder))]
            wrong += [f"{damage.name}: an error, and yet there is {left}"] if left else []
    assert not wrong, "\n".join(wrong)
    assert not marker.exists()
    assert not Path("/tmp/flash-out.txt").exists()


def _is_right(folder: Path, damage: Damaged, suffix: str) -> bool:
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    found = {name: content for name, content in found.items() if name.startswith("pets/")}
    if found == CONTENTS:
        return True
    # What is another archive, whole in itself, is unpacked as it is; a tar file checks its headers alone.
    whole = zipfile.is_zipfile(io.BytesIO(damage.content)) or damage.content.startswith((b"readme", b"PK"))
    return whole or suffix == ".tar"
