"""A domain of a third party, and tables of its points."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))

from points_domain import PointClassifier


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """The same random weights in each test."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def points(tmp_path: Path) -> str:
    """A table of five points, one without a y."""
    path = tmp_path / "points.csv"
    path.write_text("x;y\n1;2\n-3;4.5\n0;\n7;-8\n2;2\n")
    return str(path)


@pytest.fixture
def classifier() -> Callable[..., Any]:
    """Makes a classifier of points."""

    def make(**options: Any) -> PointClassifier:
        return PointClassifier(labels=["left", "right", "top"], model=nn.Linear(2, 3), **options)

    return make
