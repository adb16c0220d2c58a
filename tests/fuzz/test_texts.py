"""Texts and labels of any content, in memory and in files."""

from __future__ import annotations

import csv
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from flash.errors import FlashError
from flash.text import TextClassificationData

TEXTS = st.text(max_size=12)


@given(pairs=st.lists(st.tuples(TEXTS, TEXTS.map(str.strip).filter(bool)), min_size=1, max_size=8))
def test_lists_keep_texts_and_labels(pairs: list[tuple[str, str]]) -> None:
    texts, labels = map(list, zip(*pairs, strict=True))
    try:
        data = TextClassificationData.from_lists(texts, labels)
    except FlashError:
        return
    assert set(data.labels) == set(labels)
    assert len(data.train_dataset) == len(texts)


@given(pairs=st.lists(st.tuples(TEXTS, st.sampled_from(["001", "1.10", "None", "nan", "TRUE", "no"])), min_size=2))
def test_files_give_what_lists_give(pairs: list[tuple[str, str]], tmp_path: Path) -> None:
    texts, labels = map(list, zip(*pairs, strict=True))
    file = tmp_path / "t.csv"
    try:
        with file.open("w", newline="", encoding="utf-8") as out:
            csv.writer(out).writerows([["text", "label"], *pairs])
        of_file = TextClassificationData.from_csv("text", "label", train_file=file)
    except (FlashError, UnicodeEncodeError):  # half of a character cannot be written
        return
    assert of_file.labels == TextClassificationData.from_lists(texts, labels).labels
    assert len(of_file.train_dataset) == len(texts)
