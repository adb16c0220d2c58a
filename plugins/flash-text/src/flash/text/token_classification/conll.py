"""Files of the shared tasks of CoNLL: a word with its tag in each line, and an empty line behind each sentence."""

from __future__ import annotations

import os
import re
from pathlib import Path

from flash.data.messages import show
from flash.errors import DataError

from ..encoder import conll_columns

__all__ = ["is_conll", "read_conll"]

# The beginning of a file that is looked at.
_HEAD = 1 << 14
_TAG = re.compile(r"O|[BIESLU]-\S+")


def read_conll(
    file: str | Path,
    *,
    word_column: int = 0,
    tag_column: int | None = -1,
    sep: str | None = None,
    encoding: str = "utf-8-sig",
) -> tuple[list[list[str]], list[list[str]] | None]:
    r"""Read the sentences of a file, such as ``eng.train`` of CoNLL-2003.

    Each line has a word and its tag, and maybe other columns between them, separated by a tab or by spaces. An empty
    line ends a sentence. Lines of documents (``-DOCSTART-``) are left out.

    Args:
        file: The file.
        word_column: The column of words, counted from 0.
        tag_column: The column of tags, by default the last one; ``None`` to read words alone.
        sep: The separator of the columns; by default a tab if a line has one, and else spaces.
        encoding: The encoding of the file.

    Returns:
        The words of each sentence, and their tags.

    Raises:
        DataError: If there is no such file, it has no sentence, or a line has not as many columns as others.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "train.conll"
        >>> _ = file.write_text("-DOCSTART- -X- O\n\nAda NNP B-PER\nslept VBD O\n\nYes UH O\n")
        >>> read_conll(file)
        ([['Ada', 'slept'], ['Yes']], [['B-PER', 'O'], ['O']])
    """
    sentences: list[list[str]] = [[]]
    tags: list[list[str]] = [[]]
    count: int | None = None
    for number, line, columns in conll_columns(_text(Path(file).expanduser(), encoding), sep):
        if not columns:
            if sentences[-1]:
                sentences.append([])
                tags.append([])
            continue
        count = len(columns) if count is None else count
        if len(columns) != count:
            raise DataError(
                f"Expected {count} columns in line {number} of {file}, as in its first line, but got {len(columns)}: "
                f"{show(line)}. Correct it, or name the separator: sep='\\t'."
            )
        for column in (word_column, *(() if tag_column is None else (tag_column,))):
            if not -count <= column < count or (tag_column is not None and count < 2):
                raise DataError(
                    f"Expected a word and its tag in each line of {file}, in the columns {word_column} and "
                    f"{tag_column}, but line {number} has {count}: {show(line)}. Name the columns and their separator: "
                    "word_column=0, tag_column=-1, sep=' '."
                )
        sentences[-1].append(columns[word_column])
        if tag_column is not None:
            tags[-1].append(columns[tag_column])
    if not sentences[-1]:
        sentences.pop()
        tags.pop()
    if not sentences:
        raise DataError(f"Expected at least one sentence in {file}, but it has none.")
    return sentences, None if tag_column is None else tags


def is_conll(file: Path) -> bool:
    """Return whether a file begins with lines of a word and its tag, some of which mark an entity.

    Args:
        file: The file.
    """
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD)
    except OSError:
        return False
    text = head.decode("utf-8-sig", errors="ignore")
    # The last line may be cut off.
    whole = text.rpartition("\n")[0] if len(head) == _HEAD else text
    words = [columns for _, _, columns in conll_columns(whole) if columns]
    widths, tags = {len(row) for row in words}, {row[-1] for row in words}
    return len(widths) == 1 and min(widths) > 1 and tags != {"O"} and all(map(_TAG.fullmatch, tags))


def _text(file: Path, encoding: str) -> str:
    if not os.path.isfile(file):  # reading a pipe would wait for ever
        raise DataError(f"Expected {file} to be a file with a word in each line, but there is no such file.")
    try:
        return file.read_text(encoding=encoding)
    except (OSError, ValueError, LookupError) as error:
        raise DataError(
            f"Expected {file} to be a text file, but it cannot be read: {error}. Name its encoding: encoding='latin-1'."
        ) from error
