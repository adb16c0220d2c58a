"""Tags of words, such as ``B-PER`` and ``O``: their schemes, and the entities that they stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from flash.data.messages import show, show_some
from flash.errors import ConfigurationError, DataError
from flash.serialization import made_from

from ..encoder import OUTSIDE, Entity, entities_of

__all__ = [
    "OUTSIDE",
    "Entity",
    "TagLabels",
    "TagScheme",
    "checked_scheme",
    "describe_entities",
    "entities_of",
    "find_scheme",
    "kinds_of",
    "to_bio",
]

#: How tags mark entities. In all, ``O`` is no entity. ``"bio"`` (IOB2): ``B-PER`` begins each entity, ``I-PER`` goes on
#: with it. ``"iob1"``: ``I-PER`` begins it too, and ``B-PER`` only right after an entity of the same label.
#: ``"bioes"``: ``E-PER`` is its last word, ``S-PER`` its only one; ``L-`` and ``U-`` (BILOU) are read alike.
TagScheme: TypeAlias = Literal["bio", "iob1", "bioes"]

#: The tag of words that are in no entity.
_ALIASES = {"L": "E", "U": "S"}
_WHOLE = "a B- at the start and an E- at the end of each entity of several words, and S- for one word,"
_PREFIXES = {"bio": "BI", "iob1": "BI", "bioes": "BIES"}


def checked_scheme(scheme: Any) -> str:
    """Return the name of a scheme, or ``"auto"``.

    Raises:
        ConfigurationError: If it is another one.
    """
    known = ("auto", *get_args(TagScheme))
    if scheme not in known:
        raise ConfigurationError(f"Expected scheme to be one of {', '.join(known)}, but got {scheme!r}.")
    return str(scheme)


def _parts(tag: str, where: str) -> tuple[str, str]:
    """Return the prefix and the label of a tag; both are empty for ``O``."""
    if tag == OUTSIDE:
        return "", ""
    prefix, dash, label = tag.partition("-")
    prefix = _ALIASES.get(prefix, prefix)
    if not dash or not label or prefix not in ("B", "I", "E", "S"):
        raise DataError(
            f"Expected tags such as 'B-PER', 'I-PER' and 'O' in {where}, but got {show(tag)}. Write the prefix B- "
            "before the label of the first word of an entity, and I- before that of the others."
        )
    return prefix, label


def find_scheme(rows: Sequence[Sequence[str]], where: str = "the train data") -> TagScheme:
    """Return the scheme of tags.

    Args:
        rows: The tags of each sentence.
        where: The name of the data in messages.

    Raises:
        DataError: If a tag is malformed, or the tags fit no scheme.

    Example:
        >>> find_scheme([["B-PER", "I-PER", "O"]]), find_scheme([["I-PER", "B-PER"]]), find_scheme([["S-PER", "O"]])
        ('bio', 'iob1', 'bioes')
    """
    begins_with_i = begins_with_b = False
    for tags in rows:
        before = ("", "")
        for tag in tags:
            prefix, label = _parts(tag, where)
            if prefix in ("E", "S"):
                return "bioes"
            follows = before[1] == label
            begins_with_i |= prefix == "I" and not follows
            begins_with_b |= prefix == "B" and not follows
            before = prefix, label
    # Where both begin entities, reading the tags as BIO finds the I- that has no B- before it.
    return "iob1" if begins_with_i and not begins_with_b else "bio"


def to_bio(tags: Sequence[str], scheme: TagScheme, where: str = "the train data") -> list[str]:
    """Return tags of any scheme as those of ``"bio"``.

    Args:
        tags: The tags of a sentence.
        scheme: Their scheme.
        where: The name of the data in messages.

    Raises:
        DataError: If a tag is malformed, or does not fit to the one before it.

    Example:
        >>> to_bio(["I-PER", "I-PER", "B-PER", "O"], "iob1")
        ['B-PER', 'I-PER', 'B-PER', 'O']
        >>> to_bio(["B-PER", "E-PER", "S-LOC"], "bioes")
        ['B-PER', 'I-PER', 'B-LOC']
    """
    found = []
    before, before_label = "", ""
    for place, tag in enumerate(tags):
        prefix, label = _parts(tag, where)
        is_open = before_label == label and before in ("B", "I")
        if prefix and prefix not in _PREFIXES[scheme]:
            raise _misfit(tag, place, where, f"tags of the scheme {scheme!r}")
        if scheme == "bio" and prefix == "I" and not is_open:
            raise _misfit(tag, place, where, "each I- after a B- or I- of the same label")
        if scheme == "bioes":
            # An entity that was begun goes on until its E-, and only there.
            goes_on = prefix in ("I", "E")
            if goes_on != (before in ("B", "I")) or (goes_on and before_label != label):
                raise _misfit(tag, place, where, _WHOLE)
        begins = prefix in ("B", "S") or (prefix == "I" and not is_open)
        found.append(f"{'B' if begins else 'I'}-{label}" if prefix else OUTSIDE)
        before, before_label = prefix, label
    if scheme == "bioes" and before in ("B", "I"):
        raise _misfit(tags[-1], len(tags) - 1, where, _WHOLE)
    return found


def _misfit(tag: str, place: int, where: str, wanted: str) -> DataError:
    return DataError(
        f"Expected {wanted} in {where}, but word {place} (counted from 0) has {show(tag)}. Correct it, or name the "
        "scheme of all data: scheme='bio', 'iob1' or 'bioes'."
    )


def kinds_of(tags: Sequence[str]) -> list[str]:
    """Return the labels of the entities that tags mark, each once, in their order.

    Example:
        >>> kinds_of(["O", "B-LOC", "I-LOC", "B-PER"])
        ['LOC', 'PER']
    """
    return list(dict.fromkeys(tag.partition("-")[2] for tag in tags if tag != OUTSIDE))


def describe_entities(sentence: Any, entities: Sequence[Entity]) -> str:
    """Return the entities of a sentence as a person reads them, such as ``"Ada (PER), London (LOC)"``.

    Args:
        sentence: The :class:`~flash.text.token_classification.sentences.Sentence`.
        entities: Its entities.
    """
    words = sentence.words
    return ", ".join(f"{' '.join(words[one.start : one.stop])} ({one.label})" for one in entities)


@dataclass(frozen=True)
class TagLabels:
    """The tags of train data in order, and their scheme; a tag is encoded as its index.

    Args:
        labels: ``"O"``, and the tags ``B-`` and ``I-`` of each label of entities, in alphabetical order of the labels.
        scheme: The scheme of the tags in the data.
        names: The tags by their index in the data, if the data has indices of named classes.

    Example:
        >>> tags = TagLabels.learn([["B-PER", "I-PER"], ["O"]])
        >>> tags.labels, tags.encode([["O", "B-PER"]], "val")[0].tolist()
        (['O', 'B-PER', 'I-PER'], [0, 1])
    """

    #: What the targets are.
    kind: ClassVar[Literal["classes", "numbers"]] = "classes"

    labels: list[str]
    scheme: TagScheme = "bio"
    names: list[str] | None = None

    @classmethod
    def learn(cls, targets: Any, names: Sequence[Any] | None = None, scheme: str = "auto") -> TagLabels:
        """Learn the tags of train data.

        Args:
            targets: The tags of each sentence: text, or indices of ``names``.
            names: The tags by their index.
            scheme: The scheme, or ``"auto"`` to find it.

        Raises:
            DataError: If a tag is malformed, the tags fit no scheme, or there is no entity.
        """
        known = None if names is None else [str(name) for name in names]
        rows = [_named(row, known, _where("train", number)) for number, row in enumerate(targets)]
        found: TagScheme = find_scheme(rows) if scheme == "auto" else scheme  # type: ignore[assignment]  # checked
        bio = [to_bio(row, found, _where("train", number)) for number, row in enumerate(rows)]
        # Names say what other stages may have, too.
        labels = {tag.partition("-")[2] for row in [*bio, known or []] for tag in row if tag != OUTSIDE}
        if not any(tag != OUTSIDE for row in bio for tag in row):
            raise DataError(
                "Expected entities in the train data, but all of its words have the tag 'O'. Check the column of tags."
            )
        tags = [f"{prefix}-{label}" for label in sorted(labels) for prefix in "BI"]
        return cls([OUTSIDE, *tags], found, known)

    def encode(self, targets: Any, stage: str) -> list[npt.NDArray[np.int16]]:
        """Return the index of each tag, an array for each sentence.

        Args:
            targets: The tags of each sentence.
            stage: The stage, for messages.

        Raises:
            DataError: If a tag is malformed, does not fit the scheme, or its label was not in the train data.
        """
        indices = {tag: index for index, tag in enumerate(self.labels)}
        rows = []
        for number, target in enumerate(targets):
            where = _where(stage, number)
            tags = to_bio(_named(target, self.names, where), self.scheme, where)
            unknown = next((tag for tag in tags if tag not in indices), None)
            if unknown is not None:
                raise DataError(
                    f"Expected entities with the labels of the train data, {show_some(self.entity_labels)}, in "
                    f"{where}, but got the tag {show(unknown)}. Add such entities to the train data, or correct it."
                )
            rows.append(np.array([indices[tag] for tag in tags], dtype=np.int16))
        return rows

    @property
    def entity_labels(self) -> list[str]:
        """The labels of entities, in alphabetical order."""
        return kinds_of(self.labels)

    def facts(self) -> dict[str, Any]:
        """Return the facts about the targets that a task needs."""
        return {"num_classes": len(self.labels), "labels": list(self.labels)}

    def to_serializable(self) -> dict[str, Any]:
        """Return the state as serializable values, for a checkpoint."""
        names = {} if self.names is None else {"names": self.names}
        return {"labels": self.labels, "scheme": self.scheme, **names}

    @classmethod
    def from_serializable(cls, plain: Mapping[str, Any]) -> TagLabels:
        """Restore an object from the result of :meth:`to_serializable`."""
        return made_from(cls, plain)


def _where(stage: str, row: int) -> str:
    return f"row {row} (counted from 0) of the {stage} data"


def _named(row: Sequence[Any], names: Sequence[str] | None, where: str) -> list[str]:
    """Return tags as text."""
    if all(isinstance(tag, str) for tag in row):
        return list(row)
    if names is None:
        odd = next(tag for tag in row if not isinstance(tag, str))
        raise DataError(
            f"Expected tags as text, such as 'B-PER', in {where}, but got {show(odd)}. Indices need a dataset whose "
            "column says their names (ClassLabel)."
        )
    outside = [tag for tag in row if isinstance(tag, bool) or not 0 <= int(tag) < len(names)]
    if outside:
        raise DataError(f"Expected indices of {len(names)} tags in {where}, but got {show(outside[0])}.")
    return [names[int(tag)] for tag in row]
