"""The formats, quantization, the command, and the hooks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from points_domain import Points, PointTask
from torch import nn

from flash import DataModule
from flash.cli import main
from flash.core.classification import ClassificationTask
from flash.core.export import ExportedPart
from flash.errors import ConfigurationError, ExportError
from flash.plugins import get_host


def changes_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "export.json").read_text())["changes"]["model"]
    return found


def test_the_extra_is_named_where_a_package_is_missing(
    classifier: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(
        ConfigurationError, match=r'Expected the package onnxscript .* pip install "flash-export\[onnx\]"'
    ):
        classifier().export(tmp_path / "out", "onnx")


def test_names_of_onnx_are_those_of_the_description(classifier: Callable[..., Any], tmp_path: Path) -> None:
    session = onnxruntime.InferenceSession(classifier().export(tmp_path / "out", "onnx") / "model.onnx")
    assert [(each.name, each.type) for each in session.get_inputs()] == [("input", "tensor(float)")]
    assert [each.name for each in session.get_outputs()] == ["probabilities"]


class TestQuantization:
    def test_weights_are_smaller_and_the_change_is_stated(self, tmp_path: Path) -> None:
        model = nn.Sequential(nn.Linear(2, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 3))
        task = ClassificationTask(3, model=model, preprocess=Points())
        folder = task.export(tmp_path / "out", "onnx", quantize=True)
        found = changes_of(folder)
        assert found["weights"] == "int8"
        assert found["bytes"] == (folder / "model.onnx").stat().st_size
        assert found["bytes"] < 0.4 * found["bytes_before"]
        assert found["measured_on"] == "random inputs"
        assert 0 < found["largest_difference"] < 0.1
        assert 0 <= found["changed_predictions"] < 0.5
        assert not [*folder.glob("*.whole")]

    def test_accuracy_is_that_on_the_data(self, tmp_path: Path) -> None:
        inputs = torch.randn(40, 2)
        model = nn.Linear(2, 2)
        with torch.no_grad():
            targets = model(inputs).argmax(1)
        targets[:10] = 1 - targets[:10]
        data = DataModule.from_tensors(inputs, targets, inputs, targets)
        task = ClassificationTask(2, model=model)
        with pytest.warns(UserWarning, match="Expected to write predict.py too"):
            folder = task.export(tmp_path / "out", "onnx", inputs=inputs, quantize=True, data=data)
        found = changes_of(folder)
        assert found["measured_on"] == "40 samples of the val data"
        assert found["accuracy_before"] == 0.75
        assert found["accuracy"] == pytest.approx(0.75, abs=0.25)
        session = onnxruntime.InferenceSession(folder / "model.onnx")
        (probabilities,) = session.run(None, {"input": inputs.numpy()})
        assert found["accuracy"] == (probabilities.argmax(1) == targets.numpy()).mean()

    def test_accuracy_of_several_classes_each_is_that_of_whole_rows(self, tmp_path: Path) -> None:
        inputs = torch.randn(40, 2)
        model = nn.Linear(2, 3)
        with torch.no_grad():
            targets = (model(inputs) > 0).long()
        targets[:10, 0] = 1 - targets[:10, 0]
        data = DataModule.from_tensors(inputs, targets, inputs, targets)
        task = ClassificationTask(3, model=model, multi_label=True)
        with pytest.warns(UserWarning, match="Expected to write predict.py too"):
            found = changes_of(task.export(tmp_path / "out", "onnx", inputs=inputs, quantize=True, data=data))
        assert found["accuracy_before"] == 0.75
        session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx")
        # The range of a batch decides how its numbers are rounded.
        probabilities = np.concatenate([session.run(None, {"input": part.numpy()})[0] for part in inputs.split(16)])
        assert found["accuracy"] == ((probabilities > task.threshold) == targets.numpy()).all(1).mean()

    def test_outputs_of_several_sizes_are_an_error(self, tmp_path: Path) -> None:
        class Found(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return x

        class Finding(PointTask):
            def exported_parts(self, inputs: Any) -> dict[str, ExportedPart]:
                (part,) = super().exported_parts(inputs).values()
                return {"model": replace(part, align=lambda expected, got: (expected, got))}

        with pytest.raises(
            ExportError, match="whose change can be measured, but a Finding has outputs of several sizes"
        ):
            Finding(Found()).export(tmp_path / "out", "onnx", quantize=True)

    def test_other_tasks_have_a_difference_alone(self, tmp_path: Path) -> None:
        found = changes_of(PointTask(nn.Linear(2, 4)).export(tmp_path / "out", "onnx", quantize=True))
        assert "changed_predictions" not in found
        assert np.isfinite(found["largest_difference"])

    def test_data_without_held_out_samples_is_an_error(self, classifier: Callable[..., Any], tmp_path: Path) -> None:
        data = DataModule.from_tensors(torch.randn(4, 2), torch.tensor([0, 1, 0, 1]))
        with pytest.raises(ConfigurationError, match="Expected data with validation or test samples, on which the"):
            classifier().export(tmp_path / "out", "onnx", quantize=True, data=data)

    def test_data_alone_is_an_error(self, classifier: Callable[..., Any], tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="Expected data together with quantize=True, but got it alone."):
            classifier().export(tmp_path / "out", "onnx", data=object())


class TestCommand:
    def test_a_folder_is_required(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as raised:
            main(["export", "task.ckpt"])
        assert raised.value.code == 2
        assert "the following arguments are required: -o/--output" in capsys.readouterr().err

    def test_a_checkpoint_that_is_missing_is_an_error_in_words(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["export", str(tmp_path / "no.ckpt"), "-o", str(tmp_path / "out")]) != 0
        assert "there is no such file" in capsys.readouterr().err


def test_the_formats_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["components", "exporters"]) == 0
    lines = [line.split()[:3] for line in capsys.readouterr().out.splitlines()[1:]]
    assert lines == [["onnx", "*", "flash-export"], ["pt2", "*", "flash-export"]]


def test_the_command_is_listed() -> None:
    assert get_host().commands()["export"].provider.dist == "flash-export"
