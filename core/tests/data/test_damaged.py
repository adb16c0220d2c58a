"""Files that cannot be opened are left out where that is wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flash.errors import ConfigurationError, DataError


def test_files_that_cannot_be_opened_are_left_out_where_that_is_wanted(notes: list[str], number_data: Any) -> None:
    columns = {"file": notes, "mood": ["a", "b", "a", "b", "a"]}
    data = number_data.from_data_frame("file", "mood", columns, notes_root="notes", on_bad_sample="skip")
    assert [float(value) for value, _ in (data.train_dataset[row] for row in range(3))] == [1, 2, 3]
    assert [Path(name).name for name, _ in data.train_dataset.bad_samples] == ["broken.txt", "gone.txt"]
    with pytest.raises(DataError, match="such as notes/gone.txt. Check the paths and notes_root"):
        number_data.from_data_frame("file", "mood", columns, root="notes")
    with pytest.raises(ConfigurationError, match="Expected on_bad_sample to be 'error' or 'skip', but got 'drop'"):
        number_data.from_data_frame("file", "mood", columns, on_bad_sample="drop")
