"""Fixtures that these tests share: exports of Label Studio, written as its documentation shows them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., Path]:
    """Writes tasks to a JSON file: ``export(tasks, name="export.json")``."""

    def write(tasks: Any, name: str = "export.json") -> Path:
        file = tmp_path / name
        file.write_text(json.dumps(tasks), encoding="utf-8")
        return file

    return write


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with six images of 40 x 20 pixels, ``0.png`` to ``5.png``, dark ones with even numbers."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 60, (20, 40, 3)) + 150 * (number % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    return folder
