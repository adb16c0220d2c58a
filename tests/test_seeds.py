"""What the old documentation of finetuning describes, as far as tables can serve it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import BaseFinetuning, Callback
from torch import nn

import flash
from flash.core.finetuning import FlashBaseFinetuning, Freeze, FreezeUnfreeze, NoFreeze, UnfreezeMilestones
from flash.tabular import TabularClassificationData, TabularClassifier

LAYERS = 8
ROWS = [
    {"age": 20 + i, "city": ("Rome", "Oslo", "Lima")[i % 3], "bought": "yes" if i > 20 else "no"} for i in range(40)
]


class FeatureExtractorClassifier(TabularClassifier):
    """A task whose backbone bears the name that the documentation's own strategy freezes."""

    @property
    def feature_extractor(self) -> nn.Module:
        return self.backbone


class FeatureExtractorFreezeUnfreeze(FlashBaseFinetuning):
    """The documentation's own strategy, with the signature of Lightning 1 and ``module=``."""

    def __init__(self, unfreeze_at_epoch: int = 5, train_bn: bool = True) -> None:
        super().__init__("feature_extractor", train_bn)
        self._unfreeze_at_epoch = unfreeze_at_epoch

    def finetune_function(self, pl_module: Any, current_epoch: int, optimizer: Any, opt_idx: int) -> None:
        if current_epoch == self._unfreeze_at_epoch:
            self.unfreeze_and_add_param_group(module=pl_module.feature_extractor, optimizer=optimizer, train_bn=True)


class WithoutOptimizerNumber(FlashBaseFinetuning):
    """The same strategy, with the signature of today's Lightning."""

    def __init__(self, unfreeze_at_epoch: int = 5, train_bn: bool = True) -> None:
        super().__init__("feature_extractor", train_bn)
        self._unfreeze_at_epoch = unfreeze_at_epoch

    def finetune_function(self, pl_module: Any, epoch: int, optimizer: Any) -> None:
        if epoch == self._unfreeze_at_epoch:
            self.unfreeze_and_add_param_group(pl_module.feature_extractor, optimizer)


class OfLightning(BaseFinetuning):
    """A finetuning callback of Lightning itself."""

    def freeze_before_training(self, pl_module: Any) -> None:
        self.freeze(pl_module.backbone)

    def finetune_function(self, pl_module: Any, epoch: int, optimizer: Any) -> None:
        if epoch == 5:
            self.unfreeze_and_add_param_group(pl_module.backbone, optimizer)


class Watch(Callback):
    """Writes down, at each epoch, how many layers of the backbone train, and whether their weights moved."""

    def __init__(self) -> None:
        self.training: list[int] = []
        self.moved: list[bool] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._before = [weight.detach().clone() for weight in pl_module.backbone.parameters()]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        learned = {id(weight) for group in trainer.optimizers[0].param_groups for weight in group["params"]}
        self.training.append(sum(_trains(layer, learned) for layer in pl_module.backbone.modules()))
        after = pl_module.backbone.parameters()
        self.moved.append(any(not torch.equal(*pair) for pair in zip(self._before, after, strict=True)))


def _trains(layer: nn.Module, learned: set[int]) -> bool:
    return any(weight.requires_grad and id(weight) in learned for weight in layer.parameters(recurse=False))


@pytest.fixture
def data() -> TabularClassificationData:
    return TabularClassificationData.from_lists(
        target_fields="bought", train_list=ROWS, val_list=ROWS[::4], batch_size=20, seed=0, verbose=False
    )


@pytest.fixture
def model(data: TabularClassificationData) -> FeatureExtractorClassifier:
    torch.manual_seed(0)
    sizes = {"n_blocks": LAYERS, "d_block": 8, "d_embedding": 2, "dropout": 0.0}
    return FeatureExtractorClassifier.from_data(data, backbone="mlp", backbone_kwargs=sizes, learning_rate=0.01)


@pytest.fixture
def finetune(model: FeatureExtractorClassifier, data: TabularClassificationData) -> Callable[[Any], Watch]:
    """Finetune for twelve epochs as the documentation does, and return what happened to the backbone."""

    def run(strategy: Any) -> Watch:
        watch = Watch()
        silent: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = flash.Trainer(
            max_epochs=12, callbacks=[watch], accelerator="cpu", enable_model_summary=False, **silent
        )
        trainer.finetune(model, data, strategy=strategy)
        return watch

    return run


@pytest.mark.train
class TestStrategies:
    def test_the_four_that_the_documentation_names_are_there(self) -> None:
        named = {"no_freeze", "freeze", "freeze_unfreeze", "unfreeze_milestones"}
        assert named <= set(TabularClassifier.available_finetuning_strategies())

    @pytest.mark.parametrize("strategy", ["no_freeze", NoFreeze()])
    def test_no_freeze_trains_the_backbone_from_the_start(self, finetune: Any, strategy: Any) -> None:
        assert finetune(strategy).moved == [True] * 12

    @pytest.mark.parametrize("strategy", ["freeze", Freeze()])
    def test_freeze_never_moves_the_backbone(self, finetune: Any, strategy: Any) -> None:
        assert finetune(strategy).moved == [False] * 12

    def test_freeze_unfreeze_thaws_the_backbone_after_ten_epochs(self, finetune: Any) -> None:
        assert finetune("freeze_unfreeze").moved == [False] * 10 + [True] * 2

    @pytest.mark.parametrize("strategy", [FreezeUnfreeze(unfreeze_epoch=5), ("freeze_unfreeze", 5)])
    def test_freeze_unfreeze_thaws_the_backbone_at_the_epoch_that_is_asked_for(
        self, finetune: Any, strategy: Any
    ) -> None:
        assert finetune(strategy).moved == [False] * 5 + [True] * 7

    @pytest.mark.parametrize("strategy", ["unfreeze_milestones", UnfreezeMilestones()])
    def test_unfreeze_milestones_thaws_the_last_layers_first_and_all_at_the_second_milestone(
        self, finetune: Any, strategy: Any, model: Any
    ) -> None:
        layers = sum(1 for layer in model.backbone.modules() if list(layer.parameters(recurse=False)))
        assert layers > 5
        assert finetune(strategy).training == [0] * 5 + [5] * 5 + [layers] * 2

    @pytest.mark.parametrize("strategy", [FeatureExtractorFreezeUnfreeze, WithoutOptimizerNumber])
    def test_the_documentations_own_strategy_thaws_the_feature_extractor(self, finetune: Any, strategy: Any) -> None:
        assert finetune(strategy(unfreeze_at_epoch=5)).moved == [False] * 5 + [True] * 7

    def test_a_finetuning_callback_of_lightning_is_a_strategy(self, finetune: Any) -> None:
        assert finetune(OfLightning()).moved == [False] * 5 + [True] * 7


class TestTheWholeStory:
    @pytest.mark.train
    def test_a_finetuned_task_predicts_raw_rows(self, finetune: Any, model: Any) -> None:
        finetune("freeze_unfreeze")
        rows = [{"age": age, "city": "Oslo"} for age in (21, 58)]
        assert set(model.predict(rows)) <= {"yes", "no"}

    def test_a_strategy_must_be_chosen(self, model: Any, data: Any) -> None:
        with pytest.raises(flash.FlashError, match="'freeze'"):
            flash.Trainer(logger=False, enable_checkpointing=False).finetune(model, data)

    def test_the_pages_own_mistake_in_the_name_of_an_argument_is_an_error_that_names_it(self) -> None:
        with pytest.raises(TypeError, match="unfreeze_epoch"):
            FeatureExtractorFreezeUnfreeze(unfreeze_epoch=5)  # type: ignore[call-arg]


class TestImports:
    @pytest.mark.parametrize(
        ("module", "name"),
        [
            ("flash.core.model", "Task"),
            ("flash.core.trainer", "Trainer"),
            ("flash.core.registry", "Registry"),
            ("flash.data.data_module", "DataModule"),
            ("flash.data.process", "Preprocess"),
            ("flash.data.process", "Postprocess"),
        ],
    )
    def test_the_short_name_and_the_documentations_long_name_are_one_thing(self, module: str, name: str) -> None:
        found = getattr(importlib.import_module(module), name)
        assert found is getattr(flash, name)
        # A registry is needed below tasks and data, so its home is there.
        assert found.__module__ == ("flash.plugins.registry" if name == "Registry" else module)

    @pytest.mark.parametrize(
        ("module", "names"),
        [
            ("flash", "DataModule FlashError Postprocess Preprocess Registry Task Trainer download_data"),
            ("flash.core.finetuning", "FlashBaseFinetuning NoFreeze Freeze FreezeUnfreeze UnfreezeMilestones"),
            ("flash.data.auto_dataset", "AutoDataset"),
            ("flash.tabular", "TabularClassifier TabularClassificationData"),
        ],
    )
    def test_the_names_that_the_documentation_imports_are_public(self, module: str, names: str) -> None:
        found = importlib.import_module(module)
        assert set(names.split()) <= set(found.__all__)
        assert all(hasattr(found, name) for name in names.split())
