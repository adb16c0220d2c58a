"""Checkpoints that released versions wrote load, and predict what they predicted then."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import flash
from flash.image import ObjectDetector

HERE = Path(__file__).parent / "released"
FILES = sorted(HERE.glob("*/*.ckpt"))


def _load_maker() -> Any:
    specification = importlib.util.spec_from_file_location("make_checkpoints", HERE / "make.py")
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


make = _load_maker()


@pytest.fixture(autouse=True)
def _tiny() -> Iterator[None]:
    ObjectDetector.backbones.register("tiny", make.tiny_detector)
    yield
    ObjectDetector.backbones.remove("tiny")


def raw_inputs(name: str) -> Any:
    if name.startswith("Tabular"):
        return make.NEW_ROWS
    if name == "ObjectDetector":
        return list((make.images().permute(0, 2, 3, 1) * 255).byte().numpy())
    return make.images() if name.startswith("Image") else make.TEXTS


def numbers(results: list[Any]) -> Any:
    return [list(each.values()) if isinstance(each, dict) else [each] for each in results]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_an_old_checkpoint_loads_and_predicts_the_same(file: Path) -> None:
    torch.set_num_threads(1)
    task = flash.Task.load_from_checkpoint(file)
    assert type(task).__name__ == file.stem
    wanted = json.loads(file.with_suffix(".json").read_text())
    found = make.as_numbers(task.predict(raw_inputs(file.stem), output=wanted["output"]))
    for one, other in zip(numbers(found), numbers(wanted["results"]), strict=True):
        for value, expected in zip(one, other, strict=True):
            if isinstance(expected, str):
                assert value == expected
            else:
                np.testing.assert_allclose(value, expected, rtol=1e-3, atol=1e-4)


def test_each_task_has_a_file_of_0_1_0() -> None:
    assert {file.stem for file in FILES if file.parent.name == "0.1.0"} == {
        *("ImageClassifier", "ImageEmbedder", "ObjectDetector"),
        *("SummarizationTask", "TextClassifier", "TextEmbedder", "TranslationTask"),
        *("TabularClassifier", "TabularRegressor"),
    }
