"""Make damaged files from sound ones: by a seed, so that each run has the same, and any can be made again alone."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import random
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from flash.errors import FlashError

__all__ = [
    "OTHERS",
    "Damaged",
    "damaged_bytes",
    "damaged_json",
    "damaged_members",
    "damaged_values",
    "other_formats",
    "outcome",
]

#: How many files :func:`other_formats` makes.
OTHERS = 35

# What stands in the place of a value; each differs from it in its type or in its shape.
_WRONG: tuple[Any, ...] = (
    *(None, "x", -1, 3.5, float("nan"), True, b"bytes", [], {}, [None], {"a": 1}, (1, 2), 10**30),
    torch.zeros(0),
    torch.zeros(3, 5, dtype=torch.int8),
)
_DEPTH = 900


class Damaged(NamedTuple):
    """A damaged file: what was done to it, and what it holds."""

    name: str
    content: bytes


class _Payload:
    """An object whose unpickling would write a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


def damaged_bytes(content: bytes, seed: int, count: int) -> Iterator[Damaged]:
    """Truncate, flip, overwrite, insert, remove, double: as disks, networks and editors do."""
    rng = random.Random(seed)
    yield Damaged("empty", b"")
    yield Damaged("zeros", bytes(len(content)))
    yield Damaged("one byte missing", content[:-1])
    yield Damaged("start missing", content[1:])
    yield Damaged("noise", rng.randbytes(len(content)))
    for number in range(count - 5):
        where = rng.randrange(len(content))
        length = rng.choice([1, 2, 7, 64, 512])
        end = min(where + length, len(content))
        match number % 6:
            case 0:
                yield Damaged(f"truncated at {where}", content[:where])
            case 1:
                flipped = bytearray(content)
                flipped[where] ^= 1 << rng.randrange(8)
                yield Damaged(f"a bit flipped at {where}", bytes(flipped))
            case 2:
                yield Damaged(f"zeros from {where} to {end}", content[:where] + bytes(end - where) + content[end:])
            case 3:
                yield Damaged(
                    f"noise from {where} to {end}", content[:where] + rng.randbytes(end - where) + content[end:]
                )
            case 4:
                yield Damaged(f"removed from {where} to {end}", content[:where] + content[end:])
            case _:
                yield Damaged(f"doubled from {where} to {end}", content[:end] + content[where:])


def damaged_members(content: bytes, seed: int, count: int) -> Iterator[Damaged]:
    """Change the members of a zip file, whose checksums are right again: swapped, missing, empty, inflated, renamed."""
    rng = random.Random(seed)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    names = list(members)
    for number in range(count):
        one, other = rng.sample(names, 2)
        changed = dict(members)
        kind = ("swapped", "missing", "empty", "cut", "inflated", "renamed", "flipped", "grown")[number % 8]
        match kind:
            case "swapped":
                changed[one], changed[other] = changed[other], changed[one]
            case "missing":
                del changed[one]
            case "empty":
                changed[one] = b""
            case "cut":
                changed[one] = changed[one][: len(changed[one]) // 2]
            case "inflated":
                changed[one] = bytes(1 << 24)
            case "renamed":
                changed[f"{one}_"] = changed.pop(one)
            case "flipped":
                # Of the pickle alone: other weights of the same size cannot be told from those that were meant.
                one = next((name for name in names if name.endswith("data.pkl")), one)
                flipped = bytearray(changed[one])
                flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
                changed[one] = bytes(flipped)
            case _:
                changed[one] += rng.randbytes(rng.choice([1, 4096]))
        yield Damaged(f"{one} {kind}" + (f" with {other}" if kind == "swapped" else ""), _zipped(changed))


def damaged_values(value: dict[str, Any], seed: int, count: int, write: Callable[[Any], bytes]) -> Iterator[Damaged]:
    """Put something of another type in the place of a value, remove one, or nest it too deeply."""
    rng = random.Random(seed)
    # A parameter without a state in the optimizer is one that had no gradient.
    places = [place for place in _places(value) if place[-2:-1] != ("state",) or not isinstance(place[-1], int)]
    # Each key of the outer levels in any case, and some of the values inside.
    outer = [place for place in places if len(place) <= 2]
    for number in range(count):
        place = outer[number // 2] if number // 2 < len(outer) else rng.choice(places)
        if number % 2:
            what, changed = "missing", _without(value, place)
        elif number % 14 == 12:
            what, changed = "nested", _with(value, place, _nested(_DEPTH))
        else:
            now = _at(value, place)
            wrong = rng.choice([each for each in _WRONG if _kind(each) != _kind(now)])
            what, changed = f"{wrong!r:.30}", _with(value, place, wrong)
        try:
            yield Damaged(f"{'/'.join(map(str, place))}: {what}", write(changed))
        except RecursionError:  # pickle itself refuses to write that deep
            yield Damaged(f"{'/'.join(map(str, place))}: {what}", write(_with(value, place, _nested(50))))


def damaged_json(content: bytes, seed: int, count: int) -> Iterator[Damaged]:
    """Change values of a JSON text, as :func:`damaged_values` does."""
    wrong = tuple(each for each in _WRONG if not isinstance(each, torch.Tensor | bytes))
    yield from damaged_values(json.loads(content), seed, count, lambda each: json.dumps(each, default=str).encode())
    yield Damaged("another value", json.dumps(wrong).encode())


def other_formats(marker: Path) -> Iterator[Damaged]:
    """Files of other formats under the name, some of which would create ``marker`` if code in them ran."""
    payload = _Payload(marker)
    for protocol in (0, 2, 4):
        yield Damaged(f"a pickle with code, protocol {protocol}", pickle.dumps(payload, protocol))
        yield Damaged(
            f"a pickle with code inside, protocol {protocol}", pickle.dumps({"state_dict": payload}, protocol)
        )
    for name, value in {"code": payload, "code inside": {"state_dict": {"weight": payload}}}.items():
        for new in (True, False):
            yield Damaged(f"a file of torch with {name}, {new}", _of_torch(value, new))
    yield Damaged("an array of objects", _of_numpy(np.array([payload], dtype=object)))
    yield Damaged("an array", _of_numpy(np.zeros(3)))
    arrays = io.BytesIO()
    np.savez(arrays, weight=np.zeros(3))
    yield Damaged("arrays", arrays.getvalue())
    objects = io.BytesIO()
    np.savez(objects, weight=np.array([payload], dtype=object))
    yield Damaged("arrays of objects", objects.getvalue())
    for name, value in {"a tensor": torch.zeros(2), "a list": [1], "a number": 1, "nothing": {}}.items():
        yield Damaged(f"a file of torch with {name}", _of_torch(value))
    yield Damaged("a file of torch of before 1.6", _of_torch({"state_dict": {"weight": torch.zeros(2)}}, False))
    yield Damaged("deep brackets", b"[" * 100_000)
    yield Damaged("JSON", b'{"state_dict": {"weight": [1, 2]}}')
    yield Damaged("a page", b"<!DOCTYPE html><html><title>404 Not Found</title></html>")
    yield Damaged("a pointer of Git LFS", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 867179\n")
    yield Damaged("a text", "Grüße\n".encode())
    yield Damaged("compressed", gzip.compress(b"0" * 10_000))
    yield Damaged("a zip file", _zipped({"readme.txt": b"hello"}))
    yield Damaged("a zip file without members", _zipped({}))
    yield Damaged("a tar file", _tarred({"readme.txt": b"hello"}))
    yield Damaged("a database", b"SQLite format 3\x00" + bytes(84))
    yield Damaged("HDF5", b"\x89HDF\r\n\x1a\n" + bytes(88))
    header = json.dumps({"weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    yield Damaged("safetensors", len(header).to_bytes(8, "little") + header + bytes(8))
    yield Damaged("a safetensors header of an exabyte", (1 << 60).to_bytes(8, "little") + header)
    yield Damaged("Parquet that ends at once", b"PAR1" + bytes(20) + b"PAR1")
    yield Damaged("a PNG that ends at once", b"\x89PNG\r\n\x1a\n")
    yield Damaged("a JPEG that ends at once", b"\xff\xd8\xff\xe0")


class Outcome(NamedTuple):
    """The outcome of a damaged file: the sentence of an error, and what is wrong with it, if anything."""

    sentence: str | None = None
    wrong: str | None = None


def outcome(call: Callable[[], Any], is_right: Callable[[Any], bool]) -> Outcome:
    """Call what reads a damaged file, and judge it: the value of the sound file, or an error of Flash in a sentence.

    Args:
        call: Reads the file.
        is_right: Whether what it returned is what the sound file gives.
    """
    try:
        found = call()
    except FlashError as error:
        said = str(error)
        says_what = any(word in said for word in ("xpected", "annot", "efused"))
        is_sentence = len(said) > 40 and says_what and said.rstrip()[-1] in ".)?"
        return Outcome(said, None if is_sentence else f"no sentence: {said}")
    except BaseException as error:  # Whatever comes is what the test is about.
        return Outcome(None, f"{type(error).__name__}: {error!s:.200}")
    return Outcome(None, None if is_right(found) else "passed, and is not what the sound file gives")


# ---------------------------------------------------------------------- helpers


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items)[:40]:
        yield (*place, key)
        yield from _places(item, (*place, key))


def _at(value: Any, place: tuple[Any, ...]) -> Any:
    return _at(value[place[0]], place[1:]) if place else value


def _kind(value: Any) -> type:
    """The type of a value; a number in the place of another number is no damage that can be seen."""
    is_number = type(value) is int or (isinstance(value, torch.Tensor) and value.ndim == 0)
    return float if is_number else type(value)


def _with(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[place[0]] = _with(changed[place[0]], place[1:], new)
    return changed


def _without(value: Any, place: tuple[Any, ...]) -> Any:
    changed = dict(value) if isinstance(value, dict) else list(value)
    if len(place) == 1:
        del changed[place[0]]
    else:
        changed[place[0]] = _without(changed[place[0]], place[1:])
    return changed


def _nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


def _of_torch(value: Any, new: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=new)
    return file.getvalue()


def _of_numpy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def _zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content, zipfile.ZIP_DEFLATED if len(content) > 1 << 20 else zipfile.ZIP_STORED)
    return file.getvalue()


def _tarred(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return file.getvalue()
