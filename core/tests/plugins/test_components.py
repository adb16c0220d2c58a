from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torchmetrics import Metric as TorchMetric

import flash
from flash import DataModule, Task
from flash.core.checkpoint import qualified_arguments
from flash.core.classification import ClassificationTask
from flash.core.losses import losses
from flash.core.metrics import named_metrics
from flash.core.optimizers import lr_schedulers, make_optimizer, optimizers
from flash.core.outputs import outputs_of
from flash.errors import ConfigurationError, PluginConflictError, UnknownNameError
from flash.plugins import (
    Augmentation,
    Loss,
    Metric,
    Optimizer,
    Output,
    PluginHost,
    TaskSpec,
    hookimpl,
    isolated_plugins,
)
from flash.plugins._current import use_host
from flash.plugins.components import Component
from flash.plugins.registry import ComponentRegistry

HERE = "components_test"


class Lion(torch.optim.SGD):
    """An optimizer of a plugin."""


class Audio(ClassificationTask):
    """A task of a plugin."""


class Tagging(ClassificationTask):
    """A task of a plugin whose name is not that of its kind."""


class Distance(Task):
    """A task of a plugin that is neither a classifier nor a regressor."""


def top1(predictions: torch.Tensor, task: Any) -> list[str]:
    return [f"class {number}" for number in predictions.argmax(1).tolist()]


def off_by(num_classes: int, labels: list[str], by: float = 1.0) -> Any:
    return lambda predictions, targets: torch.tensor(by * num_classes + len(labels))


class Zero(nn.Module):
    """A loss of a plugin."""

    def forward(self, predictions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return predictions.sum() * 0


class Zoo:
    """Something of each kind."""

    @hookimpl
    def flash_tasks(self) -> Iterator[TaskSpec]:
        yield TaskSpec("audio/classification", task=f"{HERE}:Audio", data="acme:Data")
        yield TaskSpec("audio/tagging", task=f"{HERE}:Tagging", data="acme:Data")

    @hookimpl
    def flash_components(self) -> Iterator[Component]:
        yield Optimizer("lion", f"{HERE}:Lion")
        yield Output("top1", f"{HERE}:top1", "*/classification")
        yield Output("heard", f"{HERE}:top1", "audio/*")
        yield Output("seen", f"{HERE}:top1", "image/*")
        yield Metric("off_by", f"{HERE}:off_by", "*/classification")
        yield Loss("zero", f"{HERE}:Zero")


@pytest.fixture(autouse=True)
def _zoo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, HERE, sys.modules[__name__])
    for cls in (Audio, Tagging, Distance):
        monkeypatch.setattr(cls, "__module__", HERE)
    with isolated_plugins(Zoo()):
        yield


@pytest.mark.parametrize("scope", ["image", "image/", "/x", "a/b/c", "Image/*", "", None, 3, "im*/x"])
def test_a_scope_that_is_none_is_refused(scope: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Augmentation\.scope must be '\*' or look like 'image/\*'"):
        Augmentation("grey", "acme:grey", scope)


def test_names_of_plugins_are_among_the_built_in_ones() -> None:
    assert {"lion", "AdamW"} <= {*optimizers}
    assert {"cosine", "StepLR"} <= {*lr_schedulers}
    assert {"zero", "mse"} <= {*losses}
    optimizer = make_optimizer("lion", nn.Linear(1, 1).parameters(), 0.1)
    assert isinstance(optimizer, Lion)


def test_a_task_has_the_outputs_of_its_kind_its_domain_and_itself() -> None:
    usual = {"classes", "labels", "logits", "probabilities", "raw", "top1"}
    assert {*Audio.available_outputs()} == usual | {"heard"}
    assert {*Tagging.available_outputs()} == usual | {"heard"}
    assert {*Task.available_outputs()} == {"raw"}


def test_an_output_of_a_plugin_presents_predictions() -> None:
    task = Audio(2, model=nn.Linear(3, 2))
    assert {*task.predict(torch.zeros(2, 3), output="heard")} <= {"class 0", "class 1"}
    with pytest.raises(UnknownNameError, match="'seen' is not among the outputs"):
        task.predict(torch.zeros(2, 3), output="seen")


def test_what_is_registered_on_a_registry_is_there_for_each_task() -> None:
    outputs = ComponentRegistry("output", "outputs", "*/classification")

    class Mine(Audio):
        """It has a registry of its own."""

    Mine.outputs = outputs
    outputs.register("mine", top1)
    assert {"mine", "heard"} <= {*outputs_of(Mine)}


def test_a_metric_by_name_takes_what_the_task_knows() -> None:
    task = ClassificationTask(labels=["a", "b", "c"], metrics=["accuracy", "f1", "off_by"], model=nn.Linear(2, 3))
    metrics: Any = task.stage_metrics["val_metrics"]
    f1 = metrics.objects["metric_f1"]
    assert (f1.num_classes, f1.average) == (3, "macro")
    assert metrics.functions["off_by"](None, None) == 6


@pytest.mark.parametrize("choice", ["f1", ["f1"], ("f1", {"average": "weighted"}), {"score": "f1"}, "flash-core/f1"])
def test_a_metric_can_be_chosen_in_several_ways(choice: Any) -> None:
    (item,) = named_metrics(choice, {"num_classes": 3}).items()
    assert item[0] == ("score" if isinstance(choice, dict) else "f1")
    assert isinstance(item[1], TorchMetric)


def test_a_name_that_needs_what_the_task_does_not_know_says_what() -> None:
    with pytest.raises(ConfigurationError, match=r"Expected a task that knows num_classes for the metric 'f1'.*Write"):
        Task(metrics="f1")


def test_arguments_that_a_metric_does_not_take_are_an_error_in_words() -> None:
    with pytest.raises(ConfigurationError, match=r"that the metric 'f1' takes .*'averag'.*Did you mean 'average'\?"):
        named_metrics(("f1", {"averag": "macro"}), {"num_classes": 3})
    with pytest.raises(ConfigurationError, match=r"that the metric 'f1' takes .*, but got \{'average': 'macr'\}: "):
        named_metrics(("f1", {"average": "macr"}), {"num_classes": 3})


def test_an_unknown_metric_comes_with_what_is_close() -> None:
    with pytest.raises(UnknownNameError, match="'acuracy' is not among the metrics. Did you mean 'accuracy'"):
        ClassificationTask(2, metrics="acuracy")


def test_a_checkpoint_keeps_a_metric_by_its_name(tmp_path: Any) -> None:
    data = DataModule.from_tensors(torch.randn(8, 3), torch.tensor([0, 1] * 4), batch_size=4, seed=0)

    class Net(ClassificationTask):
        def __init__(self, num_classes: int = 2, metrics: Any = None) -> None:
            super().__init__(num_classes, metrics=metrics, model=nn.Linear(3, 2))

    trainer = flash.Trainer(max_epochs=1, logger=False, enable_progress_bar=False, enable_checkpointing=False)
    trainer.fit(Net(metrics=["f1", "recall"]), data)
    assert {"train_f1", "train_recall"} <= {*trainer.callback_metrics}
    trainer.save_checkpoint(tmp_path / "net.ckpt")
    loaded = Net.load_from_checkpoint(tmp_path / "net.ckpt")
    metrics: Any = loaded.stage_metrics["val_metrics"]
    assert {*metrics.objects} == {"metric_f1", "metric_recall"}


class TestWhatATaskHas:
    def test_a_kind_of_tasks_has_its_metrics_and_losses(self) -> None:
        assert {*ClassificationTask.available_metrics()} == {
            *(
                "accuracy",
                "auroc",
                "average_precision",
                "confusion_matrix",
                "f1",
                "kappa",
                "off_by",
                "precision",
                "recall",
            )
        }
        assert {*ClassificationTask.available_losses()} == {"bce", "cross_entropy", "zero"}

    def test_a_task_of_no_kind_and_no_plugin_has_all(self) -> None:
        assert {"f1", "mse", "off_by"} <= {*Task.available_metrics()}
        assert {"bce", "mse", "zero"} <= {*Task.available_losses()}

    def test_a_task_of_a_plugin_has_those_of_its_domain_and_name_besides(self) -> None:
        class Heard:
            @hookimpl
            def flash_components(self) -> Iterator[Component]:
                yield Metric("loudness", f"{HERE}:off_by", "audio/*")
                yield Metric("sharpness", f"{HERE}:off_by", "image/*")
                yield Loss("tagged", f"{HERE}:Zero", "audio/tagging")

        with isolated_plugins(Zoo(), Heard()):
            assert "loudness" in Audio.available_metrics()
            assert "sharpness" not in Audio.available_metrics()
            # Of a class that is in no plugin nobody knows the domain.
            assert {"loudness", "sharpness"} <= {*ClassificationTask.available_metrics()}
            assert "tagged" in Tagging.available_losses()
            assert "tagged" not in Audio.available_losses()

    def test_a_task_of_a_plugin_that_is_of_no_kind_has_all_of_its_domain(self) -> None:
        class Own:
            @hookimpl
            def flash_tasks(self) -> Iterator[TaskSpec]:
                yield TaskSpec("audio/distance", task=f"{HERE}:Distance", data="acme:Data")

            @hookimpl
            def flash_components(self) -> Iterator[Component]:
                yield Loss("near", f"{HERE}:Zero", "audio/distance")
                yield Loss("seen", f"{HERE}:Zero", "image/*")

        with isolated_plugins(Own()):
            assert {"near", "mse", "cross_entropy"} <= {*Distance.available_losses()}
            assert "seen" not in Distance.available_losses()
            assert {"mae", "f1"} <= {*Distance.available_metrics()}
            assert Distance(loss_fn="mae").loss_fn is nn.functional.l1_loss

    def test_what_is_listed_is_what_is_taken(self) -> None:
        assert Audio(2, model=nn.Linear(3, 2), loss_fn="cross_entropy").loss_fn is nn.functional.cross_entropy
        with pytest.raises(UnknownNameError, match=r"'huber' is not among the losses\. There are: bce, cross_entropy"):
            Audio(2, model=nn.Linear(3, 2), loss_fn="huber")
        with pytest.raises(UnknownNameError, match=r"'mse' is not among the metrics"):
            Audio(2, model=nn.Linear(3, 2), metrics="mse")

    def test_what_is_registered_here_is_there_too(self) -> None:
        losses.register("mine", Zero)
        try:
            assert "mine" in Audio.available_losses()
        finally:
            losses.remove("mine")

    def test_making_a_task_loads_no_plugin(self) -> None:
        loaded = []

        def discover() -> Iterator[Any]:
            loaded.append(True)
            return iter(())

        with use_host(PluginHost(discover=discover)):
            ClassificationTask(2, model=nn.Linear(3, 2))
        assert not loaded


class Tagger(ClassificationTask):
    """A task with defaults of its plugin."""

    def __init__(self, loss_fn: Any = "zero", metrics: Any = None) -> None:
        super().__init__(labels=["a", "b"], loss_fn=loss_fn, metrics=metrics, model=nn.Linear(3, 2))


@pytest.mark.parametrize(
    ("choice", "stored"),
    [
        ("off_by", "zoo/off_by"),
        (["accuracy", "off_by"], ["accuracy", "zoo/off_by"]),
        (("f1", {"average": "macro"}), ("f1", {"average": "macro"})),
        ({"mine": "off_by"}, {"mine": "zoo/off_by"}),
    ],
)
def test_a_checkpoint_names_the_plugin_of_its_loss_and_metrics(choice: Any, stored: Any) -> None:
    arguments = qualified_arguments(Tagger(metrics=choice))
    assert (arguments["loss_fn"], arguments["metrics"]) == ("zoo/zero", stored)


def test_another_plugin_changes_no_loss_or_metric_of_a_checkpoint(tmp_path: Any) -> None:
    class Other:
        @hookimpl
        def flash_components(self) -> Iterator[Component]:
            yield Loss("zero", "torch.nn:MSELoss")
            yield Metric("off_by", "torch.nn.functional:mse_loss", "*/classification")

    trainer = flash.Trainer(max_epochs=0, logger=False, enable_progress_bar=False, enable_checkpointing=False)
    trainer.strategy.connect(Tagger(metrics=["off_by"]))
    trainer.save_checkpoint(tmp_path / "tagger.ckpt")
    with isolated_plugins(Zoo(), Other()):
        loaded = Tagger.load_from_checkpoint(tmp_path / "tagger.ckpt")
        assert isinstance(loaded.loss_fn, Zero)
        metrics: Any = loaded.stage_metrics["val_metrics"]
        assert metrics.functions["off_by"](None, None) == 4  # Two classes, two labels.


def test_a_name_of_two_plugins_has_to_be_qualified() -> None:
    class Other:
        @hookimpl
        def flash_components(self) -> Iterator[Component]:
            yield Optimizer("lion", "torch.optim:Adam")

    with isolated_plugins(Zoo(), Other()):
        with pytest.raises(PluginConflictError, match="Write 'Zoo/lion' or 'Other/lion'"):
            optimizers.get("lion")
        assert optimizers.get("other/lion") is torch.optim.Adam
        assert optimizers.qualified("lion", prefer="zoo") == "zoo/lion"
