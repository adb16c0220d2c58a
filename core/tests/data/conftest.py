"""What these tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from flash.data.files import FileData, FilePreprocess


def _written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.fixture
def written() -> Callable[..., Any]:
    """Writes a file, and returns its path."""
    return _written


class Numbers(FilePreprocess):
    extensions, noun = (".txt",), "note"

    def open_sample(self, source: Any) -> Tensor:
        return torch.tensor([float(Path(source).read_text())])


class NumberData(FileData):
    preprocess_cls = Numbers


@pytest.fixture
def number_data() -> type[FileData]:
    """Data of files with a number each."""
    return NumberData


@pytest.fixture
def notes() -> list[str]:
    for name, text in (("1.txt", "1"), ("2.txt", "2"), ("broken.txt", "x"), ("3.txt", "3")):
        Path("notes").mkdir(exist_ok=True)
        Path("notes", name).write_text(text)
    return ["1.txt", "2.txt", "broken.txt", "3.txt", "gone.txt"]
