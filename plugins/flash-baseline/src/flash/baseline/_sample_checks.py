"""The checks of texts and images."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flash.data.messages import show, show_some
from flash.errors import DataError

from ._balance import balance_findings
from ._columns import Column
from ._images import picture_of, similar_images
from ._skill import goal_of, skill
from .results import Finding, row_name

__all__ = ["sample_findings"]

_SHOWN_ROWS = 10
_MANY_DUPLICATES = 0.01
_FEW_SAMPLES = 30
# Characters of a text that are compared but for case and punctuation, so that the time is bounded.
_COMPARED = 4000
_WORDS = re.compile(r"[^\W_]+")
_TOKENS = re.compile(r"[^\W_]+|[^\w\s]+")
# Texts of each class that are searched for words that give it away.
_SEARCHED = 2000
_FEWEST_OF_CLASS = 20
_IN_CLASS = 0.99
_ELSEWHERE = 0.005
_NEARLY = "some nearly the same as earlier ones (but for case and punctuation, or size and compression)"
_DIFFERS_BY_CLASS = 0.5
_GIVES_AWAY = 0.9


@dataclass(frozen=True)
class _Samples:
    """All samples, one part after the other.

    Args:
        values: The samples.
        labels: The label of each.
        parts: The part of each.
        names: What identifies each.
        noun: What an image shows.
    """

    values: Sequence[Any]
    labels: Sequence[Any]
    parts: Sequence[str]
    names: Sequence[Any]
    noun: str = "image"

    @property
    def picture(self) -> str:
        """The name of an image in messages."""
        return picture_of(self.noun)

    @property
    def train(self) -> str:
        return "train" if "train" in self.parts else self.parts[0]

    def of(self, kind: type) -> list[int]:
        return [place for place, value in enumerate(self.values) if isinstance(value, kind)]

    def count(self, part: str) -> int:
        return sum(each == part for each in self.parts)


def sample_findings(
    parts: Mapping[str, Sequence[Any]],
    targets: Mapping[str, Sequence[Any]],
    names: Mapping[str, Sequence[Any]] | None = None,
    noun: str = "image",
) -> Iterator[Finding]:
    """Yield what was found in texts and images; the arguments are those of ``check_samples``."""
    for part, values in parts.items():
        if len(values) != len(targets.get(part, ())):
            raise DataError(
                f"Expected one target per sample of {part}, but got {len(values)} samples and "
                f"{len(targets.get(part, ()))} targets. Pass the targets of the same samples."
            )
    if not any(len(values) for values in parts.values()):
        raise DataError("Expected at least one sample, but got none. Pass the samples of train.")
    samples = _Samples(
        [value for values in parts.values() for value in values],
        [_label(label) for part in parts for label in targets[part]],
        [part for part, values in parts.items() for _ in values],
        [_name(part, place, value, names) for part, values in parts.items() for place, value in enumerate(values)],
        noun,
    )
    for check in (_duplicates, _balance, _words, _shape, _empty, _size):
        yield from check(samples)


def _label(label: Any) -> Hashable:
    """Return a label, or several, as something to compare and count."""
    if hasattr(label, "tolist"):
        label = label.tolist()
    return tuple(map(str, label)) if isinstance(label, list | tuple | set | frozenset) else label


def _name(part: str, place: int, value: Any, names: Mapping[str, Sequence[Any]] | None) -> Any:
    if names is not None:
        return names[part][place]
    return str(value) if isinstance(value, os.PathLike) else row_name(place, part)


# --- Duplicates -----------------------------------------------------------------------------------------------------


def _duplicates(samples: _Samples) -> Iterator[Finding]:
    exact = _content(samples)
    yield from _said(samples, exact, "copies of earlier ones", "duplicates")
    near = _near(samples, exact)
    yield from _said(samples, near, _NEARLY, "near duplicates")
    yield from _contradictions(samples, exact)


def _content(samples: _Samples) -> list[Hashable]:
    """Return a key per sample that is the same for those of equal content."""
    files = samples.of(os.PathLike)
    sizes = Counter(_size_of(samples.values[place]) for place in files)
    keys: list[Hashable] = []
    for place, value in enumerate(samples.values):
        if isinstance(value, os.PathLike):
            # Only files of one size can be equal.
            size = _size_of(value)
            keys.append(("file", _digest(value)) if sizes[size] > 1 and size >= 0 else ("file", place))
        elif isinstance(value, np.ndarray):
            keys.append((value.shape, hashlib.blake2b(np.ascontiguousarray(value).tobytes()).digest()))
        elif isinstance(value, str):
            keys.append(value if value.strip() else ("empty", place))
        else:
            keys.append(repr(value))
    return keys


def _size_of(path: Any) -> int:
    """Return the size of a file, -1 if it is missing: whoever reads the samples reports that."""
    try:
        return Path(path).stat().st_size
    except OSError:
        return -1


def _digest(path: Any) -> bytes:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "blake2b").digest() if hasattr(hashlib, "file_digest") else _read_digest(file)


def _read_digest(file: Any) -> bytes:
    digest = hashlib.blake2b()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.digest()


def _near(samples: _Samples, exact: Sequence[Hashable]) -> list[Hashable]:
    """Return a key per sample that is the same for those that look the same and are not equal."""
    keys: list[Hashable] = [("alone", place) for place in range(len(exact))]
    seen: set[Hashable] = set()
    first = [place for place, key in enumerate(exact) if not (key in seen or seen.add(key))]  # type: ignore[func-returns-value]
    for place in first:
        value = samples.values[place]
        if isinstance(value, str):
            words = " ".join(_WORDS.findall(value[:_COMPARED].casefold()))
            keys[place] = (words, max(len(value) - _COMPARED, 0)) if words else keys[place]
    images = [place for place in first if isinstance(samples.values[place], np.ndarray)]
    for one, other in similar_images([samples.values[place] for place in images]):
        keys[images[other]] = keys[images[one]]
    return keys


def _said(samples: _Samples, keys: Sequence[Hashable], what: str, kind: str) -> Iterator[Finding]:
    first: dict[Hashable, int] = {}
    within: dict[str, list[int]] = defaultdict(list)
    between: dict[str, list[int]] = defaultdict(list)
    in_train = {key for key, part in zip(keys, samples.parts, strict=True) if part == samples.train}
    seen: set[tuple[str, Hashable]] = set()
    for place, (key, part) in enumerate(zip(keys, samples.parts, strict=True)):
        if (part, key) in seen:
            within[part].append(place)
        elif part != samples.train and key in in_train:
            between[part].append(place)
        seen.add((part, key))
        first.setdefault(key, place)
    for part, places in within.items():
        yield Finding(
            kind,
            "info" if len(places) < _MANY_DUPLICATES * samples.count(part) else "warning",
            f"Expected samples that differ, but there are {what}: {len(places):,} of {samples.count(part):,} {part} "
            f"samples, such as {_said_name(samples, places[0])}, which is like "
            f"{_said_name(samples, first[keys[places[0]]])}. A model is tested on what it has seen if copies are on "
            "both sides of a split. Remove them.",
            rows=[samples.names[place] for place in places[:_SHOWN_ROWS]],
        )
    for part, places in between.items():
        yield Finding(
            f"{kind} between parts",
            "info" if len(places) < _MANY_DUPLICATES * samples.count(part) else "warning",
            f"Expected {part} samples that are not among those of {samples.train}, but there are {what}: "
            f"{len(places):,} of {samples.count(part):,}, such as {_said_name(samples, places[0])}, which is like "
            f"{_said_name(samples, first[keys[places[0]]])} of {samples.train}. The score on them says nothing about "
            f"new samples. Remove them from {samples.train}.",
            rows=[samples.names[place] for place in places[:_SHOWN_ROWS]],
        )


def _said_name(samples: _Samples, place: int) -> str:
    """Return the name of a sample in a sentence: a row, or a file in quotes."""
    name = samples.names[place]
    return name if str(name).startswith("row ") else show(name)


def _contradictions(samples: _Samples, keys: Sequence[Hashable]) -> Iterator[Finding]:
    if not _is_classified(samples):
        return
    labels: dict[Hashable, set[Any]] = defaultdict(set)
    for key, label in zip(keys, samples.labels, strict=True):
        labels[key].add(label)
    places = [place for place, key in enumerate(keys) if len(labels[key]) > 1]
    if places:
        yield Finding(
            "contradictions",
            "warning",
            f"Expected one label for equal samples, but {len(places):,} samples are equal to one with another label, "
            f"such as {_said_name(samples, places[0])} with {show_some(sorted(map(str, labels[keys[places[0]]])))}. No "
            "model can be right on all of them. Correct or remove them.",
            rows=[samples.names[place] for place in places[:_SHOWN_ROWS]],
        )


# --- Labels ---------------------------------------------------------------------------------------------------------


def _is_classified(samples: _Samples) -> bool:
    return not any(label is None or (isinstance(label, float) and not label.is_integer()) for label in samples.labels)


def _balance(samples: _Samples) -> Iterator[Finding]:
    if not _is_classified(samples):
        return
    counts: dict[str, Counter[str]] = {part: Counter() for part in dict.fromkeys(samples.parts)}
    for part, label in zip(samples.parts, samples.labels, strict=True):
        counts[part].update(map(str, label if isinstance(label, tuple) else (label,)))
    yield from balance_findings(counts, samples.train)


def _train_classes(samples: _Samples) -> Column | None:
    """Return the labels of the train samples as a column, unless they are numbers or lists."""
    labels = [label for label, part in zip(samples.labels, samples.parts, strict=True) if part == samples.train]
    if not _is_classified(samples) or any(isinstance(label, tuple) for label in labels):
        return None
    return _as_column("class", labels)


def _as_column(name: str, values: Sequence[Any]) -> Column:
    places = {value: place for place, value in enumerate(dict.fromkeys(values))}
    return Column(name, list(places), np.array([places[value] for value in values], dtype=np.int64))


def _words(samples: _Samples) -> Iterator[Finding]:
    """Find words that are in all texts of one class and in no others."""
    classes = _train_classes(samples)
    if classes is None or len(classes.values) < 2:
        return
    random = np.random.default_rng(0)
    values = [value for value, part in zip(samples.values, samples.parts, strict=True) if part == samples.train]
    found: list[Counter[str]] = []
    sizes: list[int] = []
    for code in range(len(classes.values)):
        places = [place for place in np.flatnonzero(classes.codes == code) if isinstance(values[place], str)]
        chosen = random.permutation(places)[:_SEARCHED].tolist()
        counts: Counter[str] = Counter()
        for place in chosen:
            counts.update(set(_TOKENS.findall(values[place][:_COMPARED].casefold())))
        found.append(counts)
        sizes.append(len(chosen))
    total = sum(found, Counter())
    for code, counts in enumerate(found):
        others = sum(sizes) - sizes[code]
        if sizes[code] < _FEWEST_OF_CLASS or not others:
            continue
        marks = [
            word
            for word, count in counts.items()
            if count >= _IN_CLASS * sizes[code] and total[word] - count <= _ELSEWHERE * others
        ]
        if marks:
            yield Finding(
                "leak",
                "warning",
                f"Expected no word that gives the class away, but {show_some(sorted(marks))} is in nearly all texts of "
                f"the class {show(classes.values[code])} and in nearly none of the others (of a sample of "
                f"{sum(sizes):,} texts). Remove it, unless new texts have it too.",
            )


def _shape(samples: _Samples) -> Iterator[Finding]:
    """Find sizes, formats and lengths that differ by class."""
    classes = _train_classes(samples)
    if classes is None or len(classes) < 2 * _FEWEST_OF_CLASS or len(classes.values) < 2:
        return
    values = [value for value, part in zip(samples.values, samples.parts, strict=True) if part == samples.train]
    measures: list[tuple[type, str, Callable[[Any], Any]]] = [
        (np.ndarray, f"the size of {samples.picture}", lambda image: f"{image.shape[1]} x {image.shape[0]} pixels"),
        (np.ndarray, f"the width of {samples.picture}", lambda image: int(image.shape[1])),
        (np.ndarray, f"the height of {samples.picture}", lambda image: int(image.shape[0])),
        (np.ndarray, f"whether {samples.picture} is gray", _is_gray),
        (os.PathLike, "the extension of a file", lambda path: Path(path).suffix.lower()),
        (os.PathLike, "the size of a file", _size_of),
        (str, "the length of a text", len),
    ]
    goal = goal_of(classes, True, np.random.default_rng(0))
    for kind, what, measure in measures:
        if all(isinstance(value, kind) for value in values):
            value = skill(_as_column(what, [measure(each) for each in values]), goal)
            if value >= _DIFFERS_BY_CLASS:
                yield Finding(
                    "leak",
                    "warning" if value >= _GIVES_AWAY else "info",
                    f"Expected {what} to say little about its class, but it alone removes {value:.0%} of the errors on "
                    "samples held out. A model may learn it in place of what is shown. Make the samples of all classes "
                    "alike in it.",
                )
                return


def _is_gray(image: Any) -> bool:
    return image.ndim == 2 or image.shape[2] == 1 or bool((image[..., :1] == image[..., 1:]).all())


def _empty(samples: _Samples) -> Iterator[Finding]:
    places = [place for place in samples.of(str) if not samples.values[place].strip()]
    if places:
        yield Finding(
            "empty texts",
            "warning" if len(places) >= _MANY_DUPLICATES * len(samples.values) else "info",
            f"Expected texts with words, but {len(places):,} of {len(samples.values):,} are empty. Remove them.",
            rows=[samples.names[place] for place in places[:_SHOWN_ROWS]],
        )


def _size(samples: _Samples) -> Iterator[Finding]:
    for part in dict.fromkeys(samples.parts):
        if samples.count(part) < _FEW_SAMPLES:
            yield Finding(
                "few samples",
                "info",
                f"Expected at least {_FEW_SAMPLES} {part} samples, but there are {samples.count(part)}. Scores have "
                "wide intervals. Add samples before you believe them.",
            )
