"""A sample in a request to a service: what a preprocess takes from a stranger, without opening a path or a URL."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

from flash.errors import ConfigurationError

__all__ = ["FieldType", "RequestField", "RequestFields", "RequestKind", "RequestRows"]

#: What a value of a sample is: a number; one of some categories, of which a network may know only some; a date, as text
#: of ISO 8601; a duration, as its number of seconds; or any text.
FieldType: TypeAlias = Literal["number", "category", "date", "duration", "text"]

#: What a sample is, and so what ``task.predict`` gets for a request with several samples:
#:
#: - ``"table"``: :class:`RequestRows`, a sequence of dicts, one per row, with a value for each field: a number, a text,
#:   a bool or ``None``.
#: - ``"text"``: a list of texts; with several fields a list of tuples of texts.
#: - ``"image"``: a list of the bytes of image files.
#: - ``"audio"``: a list of the bytes of recordings.
#: - ``"file"``: a list of paths of temporary files, one per uploaded file.
#: - ``"numbers"``: an array of floats, one row per sample.
RequestKind: TypeAlias = Literal["table", "text", "image", "audio", "file", "numbers"]


@dataclass(frozen=True)
class RequestField:
    """A named value of a sample.

    Args:
        name: The name, such as that of a column.
        type: What the value is.
        values: The categories that the network knows; another one is no error.
        may_be_missing: Whether it may be left out of a request.
        typical: A value to begin with in a form, such as the median of the train rows.

    Raises:
        ConfigurationError: If the type is unknown.

    Example:
        >>> RequestField("city", "category", ("Oslo", "Rome")).may_be_missing
        False
    """

    name: str
    type: FieldType
    values: Sequence[str] = ()
    may_be_missing: bool = False
    typical: Any = None

    def __post_init__(self) -> None:
        if self.type not in get_args(FieldType):
            raise ConfigurationError(
                f"Expected the type of a field of a request to be one of {', '.join(get_args(FieldType))}, but "
                f"{self.name!r} has {self.type!r}. Use 'text' for anything else."
            )


@dataclass(frozen=True)
class RequestFields:
    """Description of a sample in a request; the result of :meth:`flash.Preprocess.request_fields`.

    Args:
        kind: What a sample is, which decides what ``task.predict`` gets.
        fields: The values of a row, or the texts of a pair.
        extensions: The extensions of files, such as ``".wav"``; empty for all.
        check: Called with the bytes of each file, to reject one from a stranger before it is opened, by a
            :class:`~flash.errors.DataError`; it has to be fast.

    Raises:
        ConfigurationError: If the kind is unknown, or a table has no fields.

    Example:
        >>> RequestFields("table", (RequestField("age", "number", typical=40),)).kind
        'table'
    """

    kind: RequestKind
    fields: Sequence[RequestField] = ()
    extensions: Collection[str] = ()
    check: Callable[[bytes], None] | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(RequestKind):
            raise ConfigurationError(
                f"Expected the kind of samples of a request to be one of {', '.join(get_args(RequestKind))}, but got "
                f"{self.kind!r}. Use 'file' for uploads and 'numbers' for arrays."
            )
        if self.kind == "table" and not self.fields:
            raise ConfigurationError(
                "Expected the fields of the rows of a table, but got none. Name them: RequestFields('table', "
                "[RequestField('age', 'number'), ...])."
            )

    def to_json(self) -> dict[str, Any]:
        """Return all but the check, as JSON can hold it; :meth:`from_json` undoes it.

        Example:
            >>> RequestFields("text").to_json()
            {'kind': 'text', 'fields': [], 'extensions': []}
        """
        fields = [{**vars(each), "values": list(each.values)} for each in self.fields]
        return {"kind": self.kind, "fields": fields, "extensions": sorted(self.extensions)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], check: Callable[[bytes], None] | None = None) -> RequestFields:
        """Return the description that :meth:`to_json` wrote.

        Args:
            content: What it wrote; of any origin.
            check: The check of files.

        Raises:
            ValueError: If it is something else.

        Example:
            >>> RequestFields.from_json({"kind": "text", "fields": [], "extensions": []}).kind
            'text'
        """
        try:
            fields = tuple(RequestField(**{**each, "values": tuple(each["values"])}) for each in content["fields"])
            are_texts = all(_are_texts([each.name, *each.values]) for each in fields)
            if not are_texts or not _are_texts(content["extensions"]):
                raise TypeError("a name or a category is no text")
            return cls(content["kind"], fields, tuple(content["extensions"]), check)
        except (ConfigurationError, KeyError, TypeError) as error:
            raise ValueError(f"Expected what RequestFields.to_json writes, but got something else: {error}") from error


class RequestRows(Sequence[dict[str, Any]]):
    """Rows of a table in a request: dicts, made when they are asked for, and columns for who reads all rows at once.

    Args:
        names: The names of the columns.
        rows: The values of each row, in the order of the names.

    Example:
        >>> rows = RequestRows(["age", "city"], [(30, "Oslo"), (40, None)])
        >>> rows[1], rows.columns
        ({'age': 40, 'city': None}, {'age': [30, 40], 'city': ['Oslo', None]})
    """

    def __init__(self, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        self.names = names
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return RequestRows(self.names, self._rows[index])
        return dict(zip(self.names, self._rows[index], strict=True))

    @cached_property
    def columns(self) -> dict[str, list[Any]]:
        """The values of each column."""
        columns = map(list, zip(*self._rows, strict=True)) if self._rows else ([] for _ in self.names)
        return dict(zip(self.names, columns, strict=True))


def _are_texts(values: Any) -> bool:
    return all(isinstance(each, str) for each in values)
