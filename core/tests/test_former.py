"""Programs for the ancestor, Lightning Flash 0.x, run or are told what to write."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import operator
import pkgutil
import subprocess
import sys
from typing import Any

import pytest
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import EarlyStopping
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import flash
import flash.core
from flash import Trainer
from flash.core.classification import ClassificationTask
from flash.core.finetuning import Freeze, UnfreezeMilestones, finetuning_strategies
from flash.core.optimizers import lr_schedulers, optimizers
from flash.data.data_module import DataModule
from flash.data.samples import SampleData
from flash.errors import (
    ConfigurationError,
    FinetuningError,
    FlashError,
    FormerMemberError,
    FormerNameError,
    UnknownArgumentError,
)
from flash.former import FORMER_ARGUMENTS, FORMER_MEMBERS, FORMER_MODULES, FORMER_NAMES, Moved

QUIET: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "accelerator": "cpu",
    "max_epochs": 1,
}
CLASSES = {"Task": flash.Task, "DataModule": DataModule, "Registry": flash.Registry, "Trainer": Trainer}
MEMBERS = [(cls, member) for cls, members in FORMER_MEMBERS.items() for member in members]
# Real modules in which the ancestor had more names.
REAL = ["flash", "flash.core.classification", "flash.core.optimizers", "flash.core.registry"]


class Net(flash.Task):
    def __init__(self) -> None:
        super().__init__(loss_fn=nn.functional.cross_entropy)
        self.backbone, self.head = nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.backbone(x))


@pytest.fixture
def loader() -> DataLoader[Any]:
    return DataLoader(TensorDataset(torch.randn(4, 2), torch.tensor([0, 1, 0, 1])))


def import_name(module: str, name: str) -> Any:
    """What ``from module import name`` makes of the name."""
    found: dict[str, Any] = {}
    exec(f"from {module} import {name}", found)
    return found[name]


class TestNames:
    def test_download_data_has_its_former_place_too(self) -> None:
        assert import_name("flash.core.data.utils", "download_data") is flash.download_data

    @pytest.mark.parametrize("name", [name for name, now in FORMER_NAMES.items() if isinstance(now, Moved)])
    def test_a_name_whose_meaning_is_the_same_is_found_at_its_former_place(self, name: str) -> None:
        target = str(FORMER_NAMES[name].target)  # those that moved
        source, _, attribute = target.partition(":")
        assert import_name("flash.core.data.process", name) is getattr(importlib.import_module(source), attribute)

    @pytest.mark.parametrize("module", REAL)
    @pytest.mark.parametrize("name", ["DataKeys", "LabelsOutput", "LARS"])
    def test_a_name_that_is_gone_from_a_module_says_what_to_write(self, module: str, name: str) -> None:
        with pytest.raises(FormerNameError) as caught:
            import_name(module, name)
        assert str(FORMER_NAMES[name]) in str(caught.value)
        assert f"{module}.{name}" in str(caught.value)

    @pytest.mark.parametrize("module", FORMER_MODULES)
    def test_a_module_that_is_gone_says_for_each_name_what_to_write(self, module: str) -> None:
        with pytest.raises(FormerNameError) as caught:
            import_name(module, "SomethingElse")
        assert FORMER_MODULES[module] in str(caught.value)
        with pytest.raises(FormerNameError) as caught:
            import_name(module, "DataKeys")
        assert str(FORMER_NAMES["DataKeys"]) in str(caught.value)

    @pytest.mark.parametrize(
        ("line", "sentence"),
        [
            ("from flash.core.classification import LabelsOutput", "Write task.predict(inputs, output='labels')."),
            ("from flash.core.classification import Probabilities", "output='probabilities')"),
            ("from flash.core.data.io.input import DataKeys", "write x, y = batch"),
            ("from flash import InputTransform", "class MyPreprocess(flash.Preprocess)"),
            ("from flash.core.utilities.imports import example_requires", "pip install flash-<domain>"),
            ("from flash.core.utilities.imports import _TORCH_AVAILABLE", "Leave it out"),
            ("from flash.core.integrations.fiftyone import visualize", "from_files(train_files="),
            ("from flash.core.serve import Composition", "Task.load_from_checkpoint('task.pt').predict(inputs)"),
            ("import flash.core.data.io.output as output; output.Output", "output=lambda predictions"),
            ("import flash; flash.DataKeys.INPUT", "write x, y = batch"),
        ],
    )
    def test_lines_of_old_programs(self, line: str, sentence: str) -> None:
        with pytest.raises(FormerNameError) as caught:
            exec(line, {})
        assert sentence in str(caught.value)

    def test_a_program_that_guards_an_import_goes_on(self) -> None:
        with pytest.raises(ImportError):
            import_name("flash.core.serve", "Composition")
        assert issubclass(FormerNameError, FlashError)

    @pytest.mark.parametrize("module", ["flash", "flash.core.classification", "flash.core.data.utils"])
    def test_any_other_name_is_missing_as_usual(self, module: str) -> None:
        with pytest.raises(ImportError, match="cannot import name 'Nonsense'"):
            import_name(module, "Nonsense")
        assert not hasattr(importlib.import_module(module), "Nonsense")

    def test_any_other_module_is_missing_as_usual(self) -> None:
        for name in ("flash.core.nonsense", "flash.core.data.nonsense", "flash.core.data.io.nonsense"):
            with pytest.raises(ModuleNotFoundError, match=f"No module named '{name}'"):
                importlib.import_module(name)

    def test_who_goes_through_all_modules_is_not_disturbed(self) -> None:
        module = importlib.import_module("flash.core.data.io.input")
        assert getattr(module, "__file__", None) is None
        for name in ("__wrapped__", "pytest_plugins", "setUpModule"):
            assert not hasattr(module, name)
        assert importlib.util.find_spec("flash.core.data.io.input") is module.__spec__
        assert "Lightning Flash" in str(module.__doc__)

    def test_modules_of_today_are_listed_and_imported_as_before(self) -> None:
        importlib.import_module("flash.core.data.io")
        listed = {each.name for each in pkgutil.iter_modules(flash.core.__path__)}
        assert {"model", "trainer", "data"} <= listed
        assert [each.name for each in pkgutil.iter_modules(importlib.import_module("flash.core.data").__path__)] == [
            "utils"
        ]

    @pytest.mark.process
    def test_a_program_of_today_makes_no_former_module(self) -> None:
        program = (
            "import sys, flash; print('flash.former' in sys.modules, 'torch' in sys.modules)\n"
            "from flash import Task, Trainer, DataModule\n"
            "from flash.former import FORMER_MODULES\n"
            "print(set(FORMER_MODULES) & set(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.split("\n")[:2] == ["False False", "set()"]


class TestMembers:
    @pytest.mark.parametrize(("cls", "member"), MEMBERS)
    def test_a_member_that_is_gone_says_what_to_write(self, cls: str, member: str) -> None:
        with pytest.raises(FormerMemberError) as caught:
            operator.methodcaller(member.removesuffix("()"), 1, two=2)(CLASSES[cls])
        assert FORMER_MEMBERS[cls][member] in str(caught.value)
        assert f"this version's {cls}, but got {member}" in str(caught.value)

    def test_the_class_that_a_program_uses_is_named(self) -> None:
        with pytest.raises(FormerMemberError, match="this version's Net, but got serve"):
            Net().serve(port=1)

    def test_options_of_argparse_are_written_by_the_program(self) -> None:
        with pytest.raises(FormerMemberError, match=r"Trainer\(max_epochs=args.max_epochs\)"):
            Trainer.add_argparse_args(argparse.ArgumentParser())  # type: ignore[attr-defined]  # on purpose

    def test_a_serializer_is_refused_where_it_is_set(self) -> None:
        with pytest.raises(FormerMemberError, match="task.predict"):
            Net().serializer = "labels"

    def test_an_output_that_is_set_is_that_of_every_prediction(self) -> None:
        task = ClassificationTask(labels=["a", "b"], model=nn.Identity())
        inputs = torch.tensor([[2.0, 1.0]])
        before = task.predict(inputs)
        task.output = "probabilities"
        (row,) = task.predict(inputs)
        assert before == ["a"]
        assert row == pytest.approx([0.7311, 0.2689], abs=1e-4)
        assert Trainer(**QUIET).predict(task, DataLoader(inputs)) == [[row]]  # type: ignore[arg-type]
        assert Trainer(**QUIET).predict(task, DataLoader(inputs), output="classes") == [[0]]  # type: ignore[arg-type]
        assert task.predict(inputs, output="labels") == before
        assert task.output == "probabilities"

    def test_the_former_name_of_the_raw_output_is_accepted(self) -> None:
        task = ClassificationTask(labels=["a", "b"], model=nn.Identity())
        assert torch.equal(task.predict(torch.ones(1, 2), output="preds")[0], torch.ones(2))

    def test_registries_that_were_members_of_tasks_are(self) -> None:
        assert flash.Task.finetuning_strategies is finetuning_strategies
        assert flash.Task.lr_schedulers_registry is lr_schedulers
        assert flash.Task.optimizers_registry is optimizers

    def test_things_are_registered_in_the_former_ways(self) -> None:
        registry: flash.Registry = import_name("flash.core.registry", "FlashRegistry")("networks")

        @registry(name="one")
        def build() -> int:
            return 1

        registry(build, name="two")
        registry(build, "three")
        assert registry.list() == ["one", "three", "two"]

    def test_a_step_with_metrics_says_what_to_write(self, loader: DataLoader[Any]) -> None:
        class Old(Net):
            def step(self, batch: Any, batch_idx: int, metrics: Any) -> Any:
                return super().step(batch, batch_idx)

        with pytest.raises(FormerMemberError, match=r"Expected step\(self, batch, batch_idx\), .* Leave metrics out"):
            Trainer(**QUIET).fit(Old(), loader)

    def test_another_type_error_of_a_step_stays_what_it_is(self, loader: DataLoader[Any]) -> None:
        class Wrong(Net):
            def step(self, batch: Any, batch_idx: int, scale: float = 1.0) -> Any:
                return batch + scale

        with pytest.raises(TypeError, match="can only concatenate|unsupported operand"):
            Trainer(**QUIET).fit(Wrong(), loader)


class TestFinetuning:
    def test_a_choice_of_strategy_that_would_not_be_called_is_said(self, loader: DataLoader[Any]) -> None:
        class Old(Net):
            def configure_finetune_callback(self, strategy: Any, train_bn: bool = True) -> Any:
                raise NotImplementedError

        with pytest.raises(FinetuningError, match="Old overrides configure_finetune_callback, which is not called"):
            Trainer(**QUIET).finetune(Old(), loader, strategy="freeze")

    def test_milestones_in_one_tuple_say_what_to_write(self) -> None:
        with pytest.raises(FinetuningError, match=r"Write UnfreezeMilestones\(\(3, 8\), 10\)"):
            UnfreezeMilestones(((3, 8), 10))  # type: ignore[arg-type]

    def test_another_callback_is_no_strategy(self, loader: DataLoader[Any]) -> None:
        with pytest.raises(FinetuningError, match="EarlyStopping is a callback of another kind"):
            Trainer(**QUIET).finetune(Net(), loader, strategy=EarlyStopping("val_loss"))  # type: ignore[arg-type]  # on purpose

    @pytest.mark.parametrize("finetunes", [False, True])
    def test_loaders_may_come_by_their_place(self, loader: DataLoader[Any], finetunes: bool) -> None:
        trainer = Trainer(**QUIET)
        if finetunes:
            trainer.finetune(Net(), loader, loader, strategy="freeze")
        else:
            trainer.fit(Net(), loader, loader)
        assert "val_loss" in trainer.callback_metrics

    @pytest.mark.parametrize("strategy", ["freeze", ("freeze_unfreeze", 5), Freeze()])
    def test_the_strategy_may_come_by_its_place(self, loader: DataLoader[Any], strategy: Any) -> None:
        task, trainer = Net(), Trainer(**QUIET)
        before = task.backbone.weight.clone()
        trainer.finetune(task, loader, strategy)
        assert torch.equal(before, task.backbone.weight)

    def test_data_may_come_by_its_place_or_by_its_name(self) -> None:
        data = DataModule.from_tensors(torch.randn(4, 2), torch.tensor([0, 1, 0, 1]), val_split=0.5, seed=0)
        given: list[dict[str, Any]] = [{"train_dataloaders": data}, {"datamodule": data}]
        for arguments in given:
            trainer = Trainer(**QUIET)
            trainer.finetune(Net(), strategy="freeze", **arguments)
            assert "val_loss" in trainer.callback_metrics

    def test_data_in_two_places_is_refused(self, loader: DataLoader[Any]) -> None:
        data = DataModule.from_tensors(torch.randn(4, 2), torch.tensor([0, 1, 0, 1]), seed=0)
        with pytest.raises(MisconfigurationException, match="cannot pass `train_dataloader"):
            Trainer(**QUIET).finetune(Net(), loader, datamodule=data, strategy="freeze")


class TestWhatIsWrittenInstead:
    """What the sentences say to write runs, where no other test writes it."""

    def test_a_regression_is_a_task_with_a_loss_and_a_metric(self) -> None:
        data = DataModule.from_tensors(torch.randn(4, 2), torch.randn(4, 1), val_split=0.5, seed=0)
        trainer = Trainer(**QUIET)
        trainer.fit(flash.Task(nn.Linear(2, 1), loss_fn=nn.functional.mse_loss, metrics="mse"), data)
        assert "val_mse" in trainer.callback_metrics

    def test_one_cycle_warms_up_and_anneals(self, loader: DataLoader[Any]) -> None:
        rates = []

        class Rated(Net):
            def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
                rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])

        task = Rated()
        task.lr_scheduler = ("OneCycleLR", {"max_lr": 1e-3}, {"interval": "step"})
        Trainer(**QUIET).fit(task, loader)
        assert rates[0] < max(rates) <= 1e-3
        assert rates[-1] < max(rates)

    def test_the_number_of_steps_is_the_trainers(self, loader: DataLoader[Any]) -> None:
        steps = []

        class Counting(Net):
            def on_train_start(self) -> None:
                steps.append(int(self.trainer.estimated_stepping_batches))

        Trainer(**QUIET).fit(Counting(), loader)
        assert steps == [4]


class TestArguments:
    @pytest.mark.parametrize("name", ["gpus", "progress_bar_refresh_rate", "weights_summary", "auto_select_gpus"])
    def test_a_former_argument_of_a_trainer_says_what_to_write(self, name: str) -> None:
        options: dict[str, Any] = {name: 1}
        with pytest.raises(UnknownArgumentError) as caught:
            Trainer(**options)
        assert FORMER_ARGUMENTS[name] in str(caught.value)

    def test_former_arguments_of_runs_say_what_to_write(self) -> None:
        task, trainer = Net(), Trainer(**QUIET)
        with pytest.raises(
            UnknownArgumentError, match=r"Trainer.finetune takes, but got 'train_bn'. .*'train_bn': True"
        ):
            trainer.finetune(task, None, strategy="freeze", train_bn=True)
        with pytest.raises(UnknownArgumentError, match="but got 'train_dataloader'. Write train_dataloaders"):
            trainer.fit(task, train_dataloader=[])
        with pytest.raises(UnknownArgumentError, match="but got 'train_dataloader'. Write train_dataloaders"):
            trainer.finetune(task, train_dataloader=[], strategy="freeze")
        with pytest.raises(UnknownArgumentError, match="'strategi'. Did you mean 'strategy'"):
            trainer.finetune(task, None, strategi="freeze")

    @pytest.mark.parametrize(
        "name",
        sorted(
            {name for name in FORMER_ARGUMENTS if name.endswith(("_transform", "_resolver", "_hf_dataset"))}
            | {"transform", "transform_kwargs", "target_formatter", "parameters", "serializer"}
        ),
    )
    def test_former_arguments_of_data_say_what_to_write(self, name: str) -> None:
        with pytest.raises(UnknownArgumentError) as caught:
            SampleData.from_data_frame("a", "b", {"a": [1], "b": [1]}, **{name: {}})
        assert FORMER_ARGUMENTS[name] in str(caught.value)

    def test_former_arguments_of_tasks_say_what_to_write(self) -> None:
        with pytest.raises(UnknownArgumentError, match="'parameters'. Leave it out: from_data takes"):
            flash.Task(nn.Linear(1, 1), parameters={})  # type: ignore[call-arg]  # on purpose

    def test_a_class_has_former_arguments_of_its_own(self) -> None:
        class Tones(SampleData):
            former_arguments = {"pitch": "Write tone=...", "parameters": "Write nothing."}  # noqa: RUF012

        class Tagger(Net):
            former_arguments = {"pitch": "Write tone=..."}  # noqa: RUF012

        for name, sentence in Tones.former_arguments.items():
            options: dict[str, Any] = {name: 1}
            with pytest.raises(UnknownArgumentError, match=sentence):
                Tones.from_lists([1], [1], **options)
        with pytest.raises(UnknownArgumentError, match="Tagger takes, but got 'pitch'. Write tone="):
            Tagger(pitch=1)  # type: ignore[call-arg]

    def test_target_field_is_another_name_of_target_fields(self) -> None:
        columns: dict[str, list[Any]] = {"a": [1.0, 2.0], "b": ["x", "y"]}
        data = SampleData.from_data_frame("a", target_field="b", train_data_frame=columns, val_data_frame=columns)
        assert data.labels == ["x", "y"]
        assert len(data.val_dataset) == 2
        with pytest.raises(ConfigurationError, match="target_fields='b' and target_field='b'. Leave target_field out"):
            SampleData.from_data_frame("a", "b", columns, target_field="b")

    @pytest.mark.parametrize("losses", [{"a": nn.functional.mse_loss}, [nn.functional.mse_loss]])
    def test_several_losses_are_one_callable(self, losses: Any) -> None:
        with pytest.raises(ConfigurationError, match="Several losses are one callable: lambda predictions, targets"):
            flash.Task(nn.Linear(1, 1), loss_fn=losses)
