"""From the body of a request to samples for ``task.predict``; a text is never opened as a path or URL."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from email.message import Message
from itertools import chain
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import orjson
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser

from flash.data.messages import show
from flash.data.requests import FieldType, RequestField, RequestFields
from flash.data.tables import check_encodable
from flash.errors import DataError

from .errors import RequestError
from .limits import Limits

__all__ = ["KEYS", "Decoder", "Samples", "takes_uploads"]

#: The key of the samples of each kind in a JSON body.
KEYS: Final = {
    "table": "rows",
    "text": "texts",
    "numbers": "rows",
    "image": "images",
    "audio": "recordings",
    "file": "files",
}

# In a request with many wrong samples, so many are named.
_MOST_ERRORS = 20
# An array of numbers has no more dimensions than this.
_MOST_DIMENSIONS = 8
_ISO_DATE = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)(Z|[+-]\d{2}:?\d{2})?)?", re.ASCII
)
# pandas counts nanoseconds in 64 bits, between these years.
_FIRST_YEAR, _LAST_YEAR = 1678, 2261
# It counts them from zero in a duration too.
_MOST_SECONDS = 2**63 // 10**9 - 1
# A float has all whole numbers up to here.
_EXACT = 2**53


class Samples:
    """The samples of a request.

    Args:
        values: One per sample, as ``task.predict`` takes them in a list; of a row the values of its fields, in order.
        places: The place of each in the request.
        folder: A folder of temporary files that is removed when they were predicted.
    """

    def __init__(self, values: Sequence[Any], places: Sequence[str], folder: Any = None) -> None:
        self.values = values
        self.places = places
        self._folder = folder

    def __len__(self) -> int:
        return len(self.values)

    def close(self) -> None:
        """Remove temporary files."""
        if self._folder is not None:
            self._folder.cleanup()


def takes_uploads(fields: RequestFields) -> bool:
    """Return whether samples are files.

    Example:
        >>> takes_uploads(RequestFields("image")), takes_uploads(RequestFields("text"))
        (True, False)
    """
    return fields.kind in ("image", "audio", "file")


class Decoder:
    """Checks the bodies of requests, and decodes them.

    Args:
        fields: What a sample is.
        limits: How many there may be.

    Example:
        >>> decoder = Decoder(RequestFields("text"), Limits())
        >>> decoder.decode("application/json", b'{"texts": ["/etc/passwd"]}').values
        ['/etc/passwd']
    """

    def __init__(self, fields: RequestFields, limits: Limits) -> None:
        self.fields = fields
        self.key = KEYS[fields.kind]
        self._limits = limits
        self._columns = [(each.name, self._converter(each), each.may_be_missing) for each in fields.fields]
        self._plain_columns = _PlainColumns(fields.fields, limits.max_text) if fields.kind == "table" else None
        self._sample: Callable[[Any], Any] = {
            "table": self._row,
            "text": self._pair if fields.fields else self._text,
            "image": self._content,
            "audio": self._content,
            "file": self._content,
            "numbers": _array,
        }[fields.kind]

    def decode(self, content_type: str, body: bytes) -> Samples:
        """Return the samples of a request.

        Args:
            content_type: The header.
            body: The whole body.

        Raises:
            RequestError: If the body is not what it should be, with the places that are wrong.
        """
        kind, _, parameters = content_type.partition(";")
        kind = kind.strip().lower()
        if kind == "multipart/form-data" and takes_uploads(self.fields):
            return self._of_uploads(_uploads(parameters, body, self._limits.max_rows))
        if kind != "application/json":
            wanted = "application/json" + (" or multipart/form-data" if takes_uploads(self.fields) else "")
            raise RequestError(415, f"Expected a body of type {wanted}, but got {show(kind) if kind else 'none'}.")
        plain = (
            None if self._plain_columns is None else self._plain_columns.rows_of(body, self.key, self._limits.max_rows)
        )
        # Whatever is not plain is looked at value by value, and may be wrong.
        return self._of_json(_json(body)) if plain is None else Samples(plain, _Places(self.key, len(plain)))

    # ------------------------------------------------------------------ JSON

    def _of_json(self, content: Any) -> Samples:
        key = self.key
        if type(content) is not dict or key not in content:
            got = _keys(content) if type(content) is dict else _kind(content)
            raise RequestError(422, f'Expected a JSON object such as {{"{key}": [...]}}, but got {got}.')
        if len(content) > 1:
            others = ", ".join(show(name) for name in content if name != key)
            raise RequestError(422, f'Expected {{"{key}": [...]}} alone, but got {others} too. Leave it out.')
        given = content[key]
        if type(given) is not list or not given:
            got = "an empty list" if given == [] else _kind(given)
            raise RequestError(422, f'Expected a list of at least one sample in "{key}", but got {got}.')
        self._check_count(len(given))
        values, wrong = [], []
        for row, sample in enumerate(given):
            try:
                values.append(self._sample(sample))
            except _WrongValueError as error:
                wrong.append((f"{key}[{row}]{error.place}", str(error)))
                if len(wrong) == _MOST_ERRORS:
                    break
        if wrong:
            raise _of_places(wrong)
        samples = Samples(values, _Places(key, len(values)))
        if takes_uploads(self.fields):
            return self._of_uploads([("", content) for content in values], samples.places)
        return samples

    def _check_count(self, count: int) -> None:
        most = self._limits.max_rows
        if count > most:
            raise RequestError(
                413,
                f"Expected at most {most:,} samples in a request, but got {count:,}. Send them in several requests, or "
                "start the service with a larger --max_rows.",
            )

    def _row(self, row: Any) -> tuple[Any, ...]:
        if type(row) is not dict:
            raise _WrongValueError(f"Expected an object with a value for each column, but got {_kind(row)}.")
        found = []
        for name, convert, may_be_missing in self._columns:
            if name not in row and not may_be_missing:
                raise _WrongValueError(
                    f"Expected a value for {show(name)}, but there is none. Pass null if it is not known.", name
                )
            value = row.get(name)
            try:
                found.append(None if value is None else convert(value))
            except _WrongValueError as error:
                raise _WrongValueError(str(error), name) from None
        return tuple(found)

    def _pair(self, pair: Any) -> tuple[str, ...]:
        if type(pair) is not dict:
            names = ", ".join(show(name) for name, _, _ in self._columns)
            raise _WrongValueError(f"Expected an object with the texts {names}, but got {_kind(pair)}.")
        texts = []
        for name, _, _ in self._columns:
            try:
                texts.append(self._text(pair.get(name)))
            except _WrongValueError as error:
                raise _WrongValueError(str(error), name) from None
        return tuple(texts)

    def _text(self, value: Any) -> str:
        if type(value) is not str:
            raise _WrongValueError(f"Expected a text, but got {_kind(value)}.")
        return self._checked(value)

    def _checked(self, text: str) -> str:
        if len(text) > self._limits.max_text:
            raise _WrongValueError(
                f"Expected a text of at most {self._limits.max_text:,} characters, but got {len(text):,}. Shorten it."
            )
        if not text.isascii():
            try:
                check_encodable((text,), "the request")
            except DataError as error:
                raise _WrongValueError(str(error)) from error
        return text

    def _content(self, value: Any) -> bytes:
        if type(value) is not str:
            raise _WrongValueError(f"Expected the bytes of a file as text in base64, but got {_kind(value)}.")
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise _WrongValueError(
                f"Expected the bytes of a file as text in base64, but got {show(value)}: {error}. A path or an address "
                "is not opened here: send what is in the file."
            ) from error

    def _converter(self, field: RequestField) -> Callable[[Any], Any]:
        return {
            "number": _number,
            "category": self._category,
            "date": _date,
            "duration": _duration,
            "text": self._cell,
        }[field.type]

    def _category(self, value: Any) -> Any:
        if type(value) is str:
            return self._checked(value)
        if type(value) is bool:
            return value
        if type(value) is int:
            # Beside fractions of other rows it would be rounded.
            return value if abs(value) <= _EXACT else self._checked(str(value))
        if type(value) is float:
            return _number(value)
        raise _WrongValueError(f"Expected a category, a text or a number, but got {_kind(value)}.")

    def _cell(self, value: Any) -> Any:
        return self._text(value) if type(value) is str else self._category(value)

    # ------------------------------------------------------------------ files

    def _of_uploads(self, files: Sequence[tuple[str, bytes]], places: Sequence[str] | None = None) -> Samples:
        """Return uploaded files, each with its name, as samples: what a stranger calls a file is no path here."""
        places = _Places(self.key, len(files)) if places is None else places
        wrong = []
        for place, (_, content) in zip(places, files, strict=True):
            try:
                if not content:
                    raise DataError("Expected a file, but it is empty (0 bytes).")
                if self.fields.check is not None:
                    self.fields.check(content)
            except DataError as error:
                wrong.append((place, str(error)))
        if wrong:
            raise _of_places(wrong[:_MOST_ERRORS])
        if self.fields.kind != "file":
            return Samples([content for _, content in files], places)
        folder = TemporaryDirectory(prefix="flash-serve-")
        try:
            paths = [
                _written(Path(folder.name, f"{number}{self._suffix(name)}"), content)
                for number, (name, content) in enumerate(files)
            ]
        except BaseException:
            folder.cleanup()
            raise
        return Samples(paths, places, folder)

    def _suffix(self, name: str) -> str:
        known = sorted(self.fields.extensions)
        found = Path(name).suffix.lower() if name.isprintable() else ""
        if found in known:
            return found
        return known[0] if len(known) == 1 else ""


class _PlainColumns:
    """The rows of a request whose values need no look at each: their types tell that they are right."""

    def __init__(self, fields: Sequence[RequestField], max_text: int) -> None:
        names = [each.name for each in fields]
        values: Callable[[Any], Any] = itemgetter(*names)
        # Of a single name it returns the value alone.
        self._values = values if len(names) > 1 else lambda row: (values(row),)
        # Columns of a type are looked at together.
        self._places: dict[FieldType, list[int]] = {}
        for place, field in enumerate(fields):
            self._places.setdefault(_ALIKE.get(field.type, field.type), []).append(place)
        self._max_text = max_text

    def rows_of(self, body: bytes, key: str, most: int) -> list[tuple[Any, ...]] | None:
        """Return the rows of a body of JSON; ``None`` if it is not certain that all is right.

        Args:
            body: The body.
            key: That of the rows.
            most: The number of rows of a request.
        """
        try:
            # Five times as fast as the standard library; it refuses whatever is not strictly JSON and UTF-8, and
            # numbers that no float holds.
            content = orjson.loads(body)
        except orjson.JSONDecodeError:
            return None
        given = content.get(key) if type(content) is dict and len(content) == 1 else None
        if type(given) is not list or not 0 < len(given) <= most or set(map(type, given)) != {dict}:
            return None
        try:
            rows = list(map(self._values, given))
        except KeyError:
            return None
        columns = list(zip(*rows, strict=True))
        for kind, places in self._places.items():
            found = [columns[place] for place in places]
            if not (self._are_cells(found) if kind == "category" else _ARE_PLAIN[kind](_joined(found))):
                return None
        return rows

    def _are_cells(self, columns: Sequence[Sequence[Any]]) -> bool:
        """Return whether the values of each column are short texts, or whole numbers that a float has."""
        values = _joined(columns)
        kinds = set(map(type, values))
        if kinds <= _TEXTS:
            return max(map(len, filter(None, values)), default=0) <= self._max_text
        if len(columns) > 1:
            return all(self._are_cells([each]) for each in columns)
        # A fraction may have been a whole number of more digits.
        return kinds <= _WHOLE and _are_exact(values)


_NONE = type(None)
_NUMBERS, _TEXTS, _WHOLE = {int, float, _NONE}, {str, _NONE}, {int, _NONE}


def _joined(columns: Sequence[Sequence[Any]]) -> Sequence[Any]:
    return columns[0] if len(columns) == 1 else list(chain.from_iterable(columns))


def _are_exact(values: Sequence[Any]) -> bool:
    """Return whether a float has all the whole numbers."""
    whole = [each for each in values if type(each) is int]
    return not whole or (max(whole) <= _EXACT and min(whole) >= -_EXACT)


def _are_numbers(values: Sequence[Any]) -> bool:
    kinds = set(map(type, values))
    return kinds <= _NUMBERS and (int not in kinds or _are_exact(values))


def _are_durations(values: Sequence[Any]) -> bool:
    return _are_numbers(values) and all(each is None or abs(each) <= _MOST_SECONDS for each in values)


def _are_dates(values: Sequence[Any]) -> bool:
    try:
        return all(each is None or _date(each) is each for each in set(values))
    except (_WrongValueError, TypeError):  # such as a list, which has no hash
        return False


# A category may be what a text may be.
_ALIKE: Final[dict[FieldType, FieldType]] = {"text": "category"}
_ARE_PLAIN: Final = {"number": _are_numbers, "date": _are_dates, "duration": _are_durations}


class _WrongValueError(Exception):
    """A value of a sample that is wrong, with its place in the sample."""

    def __init__(self, sentence: str, name: str | None = None) -> None:
        super().__init__(sentence)
        self.place = "" if name is None else f".{name}"


class _Places(Sequence[str]):
    """The places of the samples of a request, ``rows[0]`` and so on."""

    def __init__(self, key: str, count: int) -> None:
        self._key, self._count = key, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        return f"{self._key}[{range(self._count)[index]}]"


def _of_places(wrong: Sequence[tuple[str, str]]) -> RequestError:
    place, sentence = wrong[0]
    more = f" {len(wrong) - 1} more samples are wrong." if len(wrong) > 1 else ""
    return RequestError(422, f"{place}: {sentence}{more}", wrong)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_no_constant)
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError as error:  # not UTF-8, not JSON, or a whole number of thousands of digits
        reason = str(error)
    raise RequestError(400, f"Expected JSON, but the body is none: {reason}.")


def _no_constant(name: str) -> Any:
    raise ValueError(f"JSON has no {name}; null is for what is not known")


def _number(value: Any) -> float:
    if type(value) in (int, float, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
        raise _WrongValueError("Expected a number that fits into 64 bits, but got a larger one.")
    advice = "Send it without quotes." if type(value) is str else "Send one, or null."
    raise _WrongValueError(f"Expected a number, but got {_kind(value)}. {advice}")


def _duration(value: Any) -> float:
    seconds = _number(value)
    if abs(seconds) > _MOST_SECONDS:
        raise _WrongValueError(
            f"Expected a duration of at most 292 years, as its number of seconds, but got {_kind(value)}."
        )
    return seconds


def _date(value: Any) -> str:
    found = _ISO_DATE.fullmatch(value) if type(value) is str else None
    try:
        if found is None:
            raise ValueError
        if not _FIRST_YEAR <= dt.date.fromisoformat(found[1]).year <= _LAST_YEAR:
            raise ValueError
        if found[2] is not None:
            dt.time.fromisoformat(found[2].partition(".")[0])
    except ValueError:
        raise _WrongValueError(
            f"Expected a date such as 2024-12-31 or 2024-12-31T18:30, but got {_kind(value)}."
        ) from None
    return str(value)


def _array(value: Any) -> Any:
    if not _is_numbers(value, _MOST_DIMENSIONS):
        raise _WrongValueError(f"Expected a number, or lists of numbers, but got {_kind(value)}.")
    try:
        array = np.asarray(value, dtype=np.float64)
    except (ValueError, OverflowError) as error:
        raise _WrongValueError(f"Expected lists of numbers of one length, but they are not: {error}.") from error
    if not np.isfinite(array).all():
        raise _WrongValueError("Expected numbers that fit into 64 bits, but got a larger one.")
    return array


def _is_numbers(value: Any, depth: int) -> bool:
    if type(value) is list:
        return depth > 0 and bool(value) and all(_is_numbers(each, depth - 1) for each in value)
    return type(value) in (int, float)


def _kind(value: Any) -> str:
    """Return what a value is in JSON, for messages."""
    if value is None:
        return "null"
    if type(value) is str:
        return f"the text {show(value)}"
    if type(value) in (int, float, bool):
        return f"{json.dumps(value)[:40]}"
    return "a list" if type(value) is list else f"an object with {_keys(value)}"


def _keys(content: Mapping[str, Any]) -> str:
    return f"the keys {', '.join(show(name) for name in list(content)[:5])}" if content else "no keys"


# ---------------------------------------------------------------------- multipart


def _uploads(parameters: str, body: bytes, most: int) -> list[tuple[str, bytes]]:
    """Return the name and the content of each file of a form."""
    message = Message()
    message["content-type"] = f"multipart/form-data;{parameters}"
    boundary = message.get_param("boundary")
    if not isinstance(boundary, str) or not boundary or not boundary.isascii():
        raise RequestError(400, "Expected a boundary in the type multipart/form-data, but there is none.")
    form = _Form(most)
    try:
        parser = MultipartParser(boundary.encode(), form.callbacks)
        parser.write(body)
        parser.finalize()
    except MultipartParseError as error:
        raise RequestError(400, f"Expected a body of type multipart/form-data, but it is broken: {error}.") from error
    if not form.is_complete:
        raise RequestError(400, "Expected a body of type multipart/form-data, but it ends too early. Send it again.")
    if not form.files:
        raise RequestError(422, "Expected at least one file in the form, but there is none.")
    return form.files


class _Form:
    """The files of a form, from the callbacks of its parser."""

    def __init__(self, most: int) -> None:
        self.files: list[tuple[str, bytes]] = []
        self.is_complete = False
        self._most = most
        self._parts = 0
        self._field, self._value, self._content = bytearray(), bytearray(), bytearray()
        self._disposition = ""

    @property
    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: self._content.extend(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._complete,
        }

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > self._most:
            raise RequestError(
                413,
                f"Expected at most {self._most:,} files in a request, but got more. Send them in several requests, or "
                "start the service with a larger --max_rows.",
            )
        self._content, self._disposition = bytearray(), ""

    def _end_header(self) -> None:
        if bytes(self._field).lower() == b"content-disposition":
            self._disposition = bytes(self._value).decode("utf-8", "replace")
        self._field, self._value = bytearray(), bytearray()

    def _end(self) -> None:
        message = Message()
        message["content-disposition"] = self._disposition.replace("\r", " ").replace("\n", " ")
        name = message.get_filename()
        if name is not None:
            self.files.append((name, bytes(self._content)))

    def _complete(self) -> None:
        self.is_complete = True


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
