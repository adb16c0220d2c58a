"""The parts of a task that go into an exported file, as plugins that write files ask for them."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from flash import Postprocess, Preprocess, Task
from flash.core.classification import ClassificationTask
from flash.core.export import InferenceNetwork, portable_of
from flash.core.regression import RegressionTask
from flash.data.portable import Portable, TensorSpec
from flash.errors import ConfigurationError, PluginError, UnknownNameError
from flash.plugins import Exporter, hookimpl, isolated_plugins

INPUTS = TensorSpec("float32", ("batch", 2))
CALLS: list[Any] = []


def record(task: Task, folder: Any, **options: Any) -> Any:
    CALLS.append((task, folder, options))
    return folder


class Plugin:
    @hookimpl
    def flash_exporters(self) -> Any:
        yield Exporter("acme", target=f"{record.__module__}:record", summary="A format.")


class Halved(Preprocess):
    def per_batch_transform_on_device(self, batch: Any) -> Any:
        return batch / 2

    def portable(self) -> Portable:
        return Portable(INPUTS, encoder="acme.encoder", requires=("acme",))


def test_the_format_of_a_plugin_gets_the_task_and_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, record.__module__, SimpleNamespace(record=record))
    task = Task(nn.Linear(2, 1))
    CALLS.clear()
    with isolated_plugins(Plugin()):
        assert str(task.export("out", "acme", quantize=True)) == "out"
        with pytest.raises(UnknownNameError, match="'acne' is not among the formats of export. Did you mean 'acme'?"):
            task.export("out", "acne")
    assert [(task, "out", {"inputs": None, "quantize": True})] == CALLS


def test_without_a_plugin_the_error_says_what_to_install() -> None:
    expected = (
        "Expected a plugin that exports tasks as 'onnx', but there is none. flash.export is provided by a plugin that"
    )
    with (
        isolated_plugins(),
        pytest.raises(PluginError, match=f"{expected} is not installed: pip install flash-export."),
    ):
        Task(nn.Linear(2, 1)).export("out", "onnx")


def test_a_classifier_returns_probabilities() -> None:
    task = ClassificationTask(labels=["a", (1, 2), 3], model=nn.Linear(2, 3))
    part = task.exported_parts(INPUTS)["model"]
    x = torch.randn(4, 2)
    assert part.outputs == ("probabilities",)
    torch.testing.assert_close(part.module(x)[0], torch.softmax(task(x), -1))
    assert task.exported_result() == {
        "kind": "classes",
        "labels": ["a", "(1, 2)", 3],
        "multi_label": False,
        "threshold": 0.5,
    }


def test_with_several_labels_each_has_a_probability_of_its_own() -> None:
    task = ClassificationTask(3, multi_label=True, model=nn.Linear(2, 3))
    x = torch.randn(4, 2)
    torch.testing.assert_close(task.exported_parts(INPUTS)["model"].module(x)[0], torch.sigmoid(task(x)))
    assert task.exported_result()["labels"] is None


def test_a_regressor_returns_numbers_in_the_units_of_the_targets() -> None:
    network = nn.Linear(2, 2)
    task = RegressionTask(2, target_mean=[5.0, 0.0], target_std=[3.0, 0.5], model=network)
    part = task.exported_parts(INPUTS)["model"]
    x = torch.randn(4, 2)
    assert (part.outputs, part.scale) == (("values",), 0.5)
    torch.testing.assert_close(part.module(x)[0], network(x) * torch.tensor([3.0, 0.5]) + torch.tensor([5.0, 0.0]))
    assert task.exported_result() == {"kind": "numbers", "names": None, "mean": [5.0, 0.0], "std": [3.0, 0.5]}


def test_the_hooks_of_the_device_are_part_of_the_network() -> None:
    task = Task(nn.Linear(2, 1), preprocess=Halved())
    x = torch.randn(4, 2)
    torch.testing.assert_close(InferenceNetwork(task, INPUTS)(x)[0], task(x / 2))


def test_inputs_by_name_are_a_dict_for_the_network() -> None:
    class Sum(nn.Module):
        def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
            return {"sum": x["one"] + x["other"], "half": x["one"].half()}

    specs = {"one": INPUTS, "other": INPUTS}
    part = Task(Sum()).exported_parts(specs)["model"]
    one, other = torch.randn(3, 2), torch.randn(3, 2)
    found = dict(zip(part.outputs, part.module(one, other), strict=True))
    assert torch.equal(found["sum"], one + other)
    assert found["half"].dtype is torch.float32


def test_predictions_that_are_no_tensors_are_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"but Task.forward returned a list. Override Task.exported_outputs"):
        Task().exported_outputs([1])


def test_a_task_says_what_its_preprocess_says() -> None:
    assert portable_of(Task(nn.Linear(2, 1), preprocess=Halved())).encoder == "acme.encoder"
    assert portable_of(Task(nn.Linear(2, 1))).reason == "Preprocess.portable does not say how inputs are made"


def test_a_postprocess_of_ones_own_is_in_no_file() -> None:
    class Louder(Postprocess):
        def per_sample_transform(self, sample: Any) -> Any:
            return 2 * sample

    class Saving(Postprocess):
        def save_sample(self, sample: Any, path: str) -> None:
            raise NotImplementedError

    found = portable_of(Task(nn.Linear(2, 1), preprocess=Halved(), postprocess=Louder()))
    assert (found.encoder, found.inputs) == (None, INPUTS)
    assert found.reason == "Louder changes results in a way that the file does not"
    for unchanged in (Postprocess(), Saving()):
        assert portable_of(Task(nn.Linear(2, 1), preprocess=Halved(), postprocess=unchanged)).encoder is not None
