"""A task and its data: what does not fit together is refused, and what the data knows reaches the task."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import flash
from flash.core.classification import ClassificationTask
from flash.errors import ConfigurationError, UnknownArgumentError
from flash.plugins import TaskSpec, hookimpl, isolated_plugins


class Sounds(flash.DataModule):
    pass


class Numbers(flash.DataModule):
    pass


class SoundClassifier(ClassificationTask):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(model=nn.Linear(2, 2), **kwargs)


class NumberRegressor(flash.Task):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(model=nn.Linear(2, 1), loss_fn=nn.functional.mse_loss, **kwargs)


class Plugin:
    @hookimpl
    def flash_tasks(self) -> Any:
        for name, task, data in (("sounds", SoundClassifier, Sounds), ("numbers", NumberRegressor, Numbers)):
            targets = {"task": f"{__name__}:{task.__name__}", "data": f"{__name__}:{data.__name__}"}
            yield TaskSpec(f"audio/{name}", **targets, summary="For a test.")


def sounds(cls: type[flash.DataModule] = Sounds, classes: int = 2) -> Any:
    return cls.from_tensors(torch.randn(8, 2), torch.arange(8) % classes, batch_size=4, seed=0)


def trainer() -> flash.Trainer:
    silent: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return flash.Trainer(max_epochs=1, accelerator="cpu", enable_model_summary=False, **silent)


def test_data_for_another_kind_of_task_is_refused() -> None:
    message = (
        r"Expected data that fits the task: Sounds for SoundClassifier, but got Numbers, which is for NumberRegressor\."
    )
    with isolated_plugins(Plugin()):
        data = sounds(Numbers)
        with pytest.raises(ConfigurationError, match=message):
            SoundClassifier.from_data(data)
        with pytest.raises(ConfigurationError, match=message):
            trainer().fit(SoundClassifier(num_classes=2), data)


def test_subclasses_and_what_is_in_no_spec_fit() -> None:
    class Mine(SoundClassifier):
        pass

    class Others(flash.DataModule):
        pass

    with isolated_plugins(Plugin()):
        assert Mine.from_data(sounds()).num_classes == 2
        assert SoundClassifier.from_data(sounds(Others)).num_classes == 2


def test_no_data_module_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"Expected a flash\.DataModule, .*, but got a str\."):
        SoundClassifier.from_data("train.csv")  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize(
    "make", [SoundClassifier, lambda **kwargs: ClassificationTask(model=nn.Linear(2, 2), **kwargs)]
)
def test_another_number_of_classes_is_refused_in_every_domain(make: Any) -> None:
    with pytest.raises(
        ConfigurationError, match=r"which has num_classes=5 .*, but it has 2 classes .* one class per s"
    ):
        trainer().fit(make(num_classes=5), sounds())


def test_labels_are_taken_over_from_the_data() -> None:
    data = sounds()
    data.train_dataset.labels = ["dog", "cat"]
    task = SoundClassifier(num_classes=2)
    trainer().fit(task, data)
    assert task.labels == ["dog", "cat"]
    assert task.recorded_arguments["labels"] == ["dog", "cat"]


def test_other_labels_are_refused_and_numbers_may_have_names() -> None:
    data = sounds()
    trainer().fit(SoundClassifier(labels=["dog", "cat"]), data)
    data.train_dataset.labels = ["cat", "dog"]
    with pytest.raises(ConfigurationError, match=r"in the same order, 'dog', 'cat', but it has 'cat', 'dog'\."):
        trainer().fit(SoundClassifier(labels=["dog", "cat"]), data)


def test_facts_pass_through_keyword_arguments() -> None:
    class Mine(SoundClassifier):
        def __init__(self, width: int = 3, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.width = width

    task = Mine.from_data(sounds(), width=4)
    assert (task.width, task.num_classes) == (4, 2)


def test_a_fact_that_a_subclass_decides_itself_is_left_to_it() -> None:
    class Two(SoundClassifier):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(num_classes=2, **kwargs)

    assert Two.from_data(sounds()).num_classes == 2


def test_another_type_error_of_a_constructor_is_not_hidden() -> None:
    class Broken(SoundClassifier):
        def __init__(self, **kwargs: Any) -> None:
            raise TypeError("something else")

    with pytest.raises(TypeError, match="something else"):
        Broken.from_data(sounds())


def test_an_unknown_argument_is_an_error_of_the_class_that_was_called() -> None:
    message = r"Expected arguments that SoundClassifier takes, but got 'num_clases'\. Did you mean 'num_classes'\?"
    with pytest.raises(UnknownArgumentError, match=message):
        SoundClassifier(num_clases=2)
    with pytest.raises(UnknownArgumentError, match=message):
        SoundClassifier.from_data(sounds(), num_clases=2)


def test_unknown_arguments_of_a_trainer_are_errors_with_the_closest_name() -> None:
    with pytest.raises(
        UnknownArgumentError, match=r"that Trainer takes, but got 'max_epoch'\. Did you mean 'max_epoch"
    ):
        flash.Trainer(max_epoch=2)
    with pytest.raises(UnknownArgumentError, match=r"Trainer\.fit takes, .* Write train_dataloaders\."):
        trainer().fit(SoundClassifier(num_classes=2), train_dataloader=[])


def test_data_before_the_task_and_a_strategy_to_fit_with_are_refused() -> None:
    with pytest.raises(
        ConfigurationError, match=r"task first and the data second, but got a Sounds first: trainer\.fit"
    ):
        trainer().fit(sounds(), SoundClassifier(num_classes=2))  # type: ignore[arg-type]  # on purpose
    with pytest.raises(ConfigurationError, match=r"got 'freeze'\. Finetune with it: trainer\.finetune"):
        trainer().fit(SoundClassifier(num_classes=2), sounds(), strategy="freeze")
