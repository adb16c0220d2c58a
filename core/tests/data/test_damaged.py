"""Files that cannot be opened are left out where that is wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from flash.data.files import FileData, FilePreprocess
from flash.errors import ConfigurationError, DataError


class Numbers(FilePreprocess):
    extensions, noun = (".txt",), "note"

    def open_sample(self, source: Any) -> Tensor:
        return torch.tensor([float(Path(source).read_text())])


class NumberData(FileData):
    preprocess_cls = Numbers


@pytest.fixture
def notes() -> list[str]:
    for name, text in (("1.txt", "1"), ("2.txt", "2"), ("broken.txt", "x"), ("3.txt", "3")):
        Path("notes").mkdir(exist_ok=True)
        Path("notes", name).write_text(text)
    return ["1.txt", "2.txt", "broken.txt", "3.txt", "gone.txt"]


def test_files_that_cannot_be_opened_are_left_out_where_that_is_wanted(notes: list[str]) -> None:
    columns = {"file": notes, "mood": ["a", "b", "a", "b", "a"]}
    data = NumberData.from_data_frame("file", "mood", columns, notes_root="notes", on_bad_sample="skip")
    assert [float(value) for value, _ in (data.train_dataset[row] for row in range(3))] == [1, 2, 3]
    assert [Path(name).name for name, _ in data.train_dataset.bad_samples] == ["broken.txt", "gone.txt"]
    with pytest.raises(DataError, match="such as notes/gone.txt. Check the paths and notes_root"):
        NumberData.from_data_frame("file", "mood", columns, root="notes")
    with pytest.raises(ConfigurationError, match="Expected on_bad_sample to be 'error' or 'skip', but got 'drop'"):
        NumberData.from_data_frame("file", "mood", columns, on_bad_sample="drop")
