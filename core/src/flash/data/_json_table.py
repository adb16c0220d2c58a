"""Parse tables in JSON: lists of objects, objects of columns, and JSON Lines.

An exported folder has a copy of this file, which therefore needs nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from flash.errors import DataError

__all__ = ["parse_json"]


class _MisfitError(ValueError):
    """A JSON text that is not a table."""


def parse_json(text: str, name: str, *, field: str | None = None, lines: bool | None = None) -> dict[str, list[Any]]:
    r"""Parse a JSON text into columns; missing keys of an object are ``None``.

    Args:
        text: The content of a file.
        name: The file, for error messages.
        field: The key that holds the rows, if they are inside an object.
        lines: Whether it is JSON Lines; by default tried if the text is not a single JSON value.

    Raises:
        DataError: If the text is empty, not JSON, or not in one of these formats.

    Example:
        >>> parse_json('{"a": 1}\n{"b": [2]}\n', "t.jsonl")
        {'a': [1, None], 'b': [None, [2]]}
    """
    if not text.strip():
        raise DataError(f"Expected a table in {name}, but the file is empty.")
    try:
        found = _parse_lines(text) if lines else _parse(text, lines)
    except (ValueError, RecursionError) as error:  # thousands of brackets in each other
        reason = str(error).rstrip(".")
        raise DataError(
            f"Expected JSON in {name}, a list of objects or an object in each line, but: {reason}. Correct it, or "
            "download or write the file again."
        ) from error
    if field is not None:
        found = _inside(found, field, name)
    if isinstance(found, list) and all(isinstance(row, dict) for row in found):
        return _columns_of_rows(found)
    if isinstance(found, dict) and found:
        nested = [isinstance(value, list | dict) for value in found.values()]
        if all(isinstance(values, list) for values in found.values()):
            return _columns(found, name)
        if not any(nested):
            return _columns_of_rows([found])
    raise DataError(
        f"Expected a list of objects, or an object of columns, in {name}, but got another kind of JSON. "
        "Where the rows are inside an object, name what holds them: field='data'."
    )


def _columns_of_rows(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: _without_nan([row.get(name) for row in rows]) for name in names}


def _without_nan(values: Sequence[Any]) -> list[Any]:
    return [None if isinstance(value, float) and value != value else value for value in values]


def _columns(found: dict[str, list[Any]], name: str) -> dict[str, list[Any]]:
    lengths = sorted({len(values) for values in found.values()})
    if len(lengths) > 1:
        raise DataError(f"Expected columns of one length in {name}, but got lengths {lengths}.")
    return {title: _without_nan(values) for title, values in found.items()}


def _parse(text: str, lines: bool | None) -> Any:
    try:
        return _load(text)
    except json.JSONDecodeError:
        if lines is False or not text.lstrip().startswith("{") or "\n" not in text.strip():
            raise
        return _parse_lines(text)


def _parse_lines(text: str) -> list[Any]:
    # Not splitlines: U+2028 and others are not line ends in JSON Lines, and may occur in strings.
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                row = _load(line)
            except ValueError as error:
                raise _MisfitError(f"line {number} is none ({error}).") from error
            if not isinstance(row, dict):
                raise _MisfitError(f"line {number} is no object, but {line.strip()[:40]!r}.")
            rows.append(row)
    return rows


def _load(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _MisfitError(f"an object has the key {twice!r} twice.")
    return made


def _inside(found: Any, field: str, name: str) -> Any:
    if isinstance(found, dict) and field in found:
        return found[field]
    known = f"it has {', '.join(map(repr, found))}" if isinstance(found, dict) else "it is a list"
    raise DataError(f"Expected an object with {field!r} in {name}, but {known}.")
