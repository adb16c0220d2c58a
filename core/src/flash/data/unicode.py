"""Refuse texts with half of a character (a lone surrogate), which no file and no tokenizer can hold."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from flash.data.messages import show
from flash.errors import DataError

__all__ = ["check_encodable"]

_HALF = re.compile("[\ud800-\udfff]")


def check_encodable(values: Iterable[Any], what: str) -> None:
    r"""Raise an error if a text among some values has half of a character.

    ``json.loads`` and ``os.listdir`` return such texts, of damaged files and of names in an unknown encoding.

    Args:
        values: One value per row, of any type.
        what: What has these rows, for the message, such as ``"column 'city' of the train table"``.

    Raises:
        DataError: If there is such a text; the message shows the first, and its row.

    Example:
        >>> check_encodable(["très bien", 7, None], "column 'note'")
    """
    rows = list(values)
    try:
        # One call for all of them, since this is done for each column of each table.
        "".join([text for text in rows if isinstance(text, str)]).encode()
    except UnicodeEncodeError as error:
        row, text = next((row, text) for row, text in enumerate(rows) if isinstance(text, str) and _HALF.search(text))
        raise DataError(
            f"Expected text that UTF-8 can encode in {what}, but {show(_Shown(text))} (number {row}, counted "
            "from 0) has half of a character. Read the data again in its encoding, or replace it: "
            "text.encode(errors='replace').decode()."
        ) from error


class _Shown:
    """A text whose representation shows what cannot be encoded as its number."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return ascii(self.text)
