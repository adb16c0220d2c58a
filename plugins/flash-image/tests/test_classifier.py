"""ImageClassifier: what it is made of, how it learns, predicts, and travels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import Callback
from torch import nn

from flash.errors import CheckpointError, ConfigurationError
from flash.image import ImageClassificationData, ImageClassifier
from flash.testing import in_clean_process

CONFIG = {"input_size": (3, 32, 32), "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
STRATEGIES: list[Any] = ["no_freeze", "freeze", ("freeze_unfreeze", 1), ("unfreeze_milestones", ((1, 2), 2))]


@pytest.fixture
def task(shapes: Any, tiny: dict[str, Any]) -> ImageClassifier:
    """A task for squares and circles that has not learned anything."""
    return ImageClassifier.from_data(shapes(), **tiny)


def states(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def moved(before: dict[str, torch.Tensor], module: nn.Module) -> bool:
    return any(not torch.equal(before[name], value) for name, value in module.state_dict().items())


class TestMaking:
    def test_what_it_must_know_comes_from_the_data(self, task: ImageClassifier) -> None:
        assert (task.num_classes, task.labels, task.multi_label) == (2, ["circle", "square"], False)
        assert task.head.out_features == 2

    def test_images_are_as_the_backbone_expects_them(self, shapes: Any) -> None:
        data = shapes()
        task = ImageClassifier.from_data(data, backbone="test_resnet", pretrained=False)
        assert data.input_spec.data_config == task.data_config
        assert next(iter(data.train_dataloader()))[0].shape == (20, 3, 160, 160)

    def test_a_data_config_wins_over_the_backbones_entry_by_entry(self) -> None:
        task = ImageClassifier(2, backbone="test_resnet", pretrained=False, data_config={"mean": (0.1, 0.1, 0.1)})
        assert task.data_config is not None
        assert task.data_config["mean"] == (0.1, 0.1, 0.1)
        assert task.data_config["std"] == (0.5, 0.5, 0.5)

    def test_a_backbone_for_one_size_refuses_another_and_says_what_to_do(self, shapes: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"of \(160, 160\) pixels.*of \(64, 64\). Leave out image_size"):
            ImageClassifier.from_data(shapes(image_size=64), backbone="test_vit", pretrained=False)
        for kwargs in ({"img_size": 64}, {"dynamic_img_size": True}):
            data = shapes(image_size=64)
            task = ImageClassifier.from_data(data, backbone="test_vit", pretrained=False, backbone_kwargs=kwargs)
            assert len(task.predict(torch.rand(2, 3, 40, 40))) == 2

    def test_a_module_that_does_not_say_what_it_expects_is_an_error_unless_the_data_knows(self, shapes: Any) -> None:
        def pooled() -> nn.Module:
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

        with pytest.raises(ConfigurationError, match="which images the backbone was made for, but a Sequential has no"):
            ImageClassifier.from_data(shapes(), backbone=pooled())
        with pytest.raises(ConfigurationError, match="Pass one to the task: data_config="):
            ImageClassifier(2, backbone=pooled()).predict(torch.rand(2, 3, 40, 40))
        own = shapes(transform=lambda picture: torch.zeros(3, 8, 8))
        assert ImageClassifier.from_data(own, backbone=pooled()).data_config is None
        assert ImageClassifier.from_data(shapes(data_config=CONFIG), backbone=pooled()).data_config is None

    @pytest.mark.parametrize("head", ["linear", "mlp", lambda n, m: nn.Linear(n, m, bias=False)])
    def test_every_head_gives_a_score_a_class(self, tiny: dict[str, Any], head: Any) -> None:
        assert ImageClassifier(3, head=head, **tiny)(torch.zeros(2, 3, 32, 32)).shape == (2, 3)

    def test_classes_are_weighted_by_how_rare_they_are(self, draw: Any, tiny: dict[str, Any]) -> None:
        data = ImageClassificationData.from_images([draw("square", i) for i in range(4)], ["a", "b", "b", "b"])
        task = ImageClassifier.from_data(data, class_weights="balanced", **tiny)
        assert task.class_weights is not None
        assert task.class_weights.tolist() == pytest.approx([2, 2 / 3])

    def test_features_and_head_give_what_forward_gives(self, task: ImageClassifier) -> None:
        images = torch.randn(2, 3, 32, 32)
        task.eval()
        features = task.forward_features(images)
        assert features.shape == (2, 96)
        assert torch.equal(task.forward_head(features), task(images))

    def test_data_with_other_classes_is_an_error_before_training(self, shapes: Any, tiny: Any, trainer: Any) -> None:
        with pytest.raises(ConfigurationError, match="num_classes=5 .* it has 2 classes .'circle', 'square'."):
            trainer().fit(ImageClassifier(5, **tiny), shapes())
        with pytest.raises(ConfigurationError, match="multi_label=True, .* one class per sample. Make the task with"):
            trainer().fit(ImageClassifier(2, multi_label=True, **tiny), shapes())

    def test_a_task_made_without_labels_takes_those_of_the_data(self, shapes: Any, tiny: Any, trainer: Any) -> None:
        task = ImageClassifier(num_classes=2, **tiny)
        run = trainer()
        run.fit(task, shapes())
        run.save_checkpoint("task.ckpt")
        assert ImageClassifier.load_from_checkpoint("task.ckpt").labels == task.labels == ["circle", "square"]


class TestLearningRates:
    def rates(self, task: ImageClassifier) -> list[float]:
        made = task.configure_optimizers()
        return [group["lr"] for group in (made["optimizer"] if isinstance(made, dict) else made).param_groups]

    def test_a_pretrained_backbone_learns_at_a_tenth_of_the_heads_rate(self, tiny: dict[str, Any]) -> None:
        torch.save(ImageClassifier(2, **tiny).backbone.state_dict(), "weights.pt")
        task = ImageClassifier(2, **{**tiny, "pretrained": "weights.pt"}, learning_rate=0.5)
        assert self.rates(task) == pytest.approx([0.5, 0.05])
        inside = {id(weight) for weight in task.backbone.parameters()}
        first, second = task.configure_optimizers()["optimizer"].param_groups
        assert [id(weight) in inside for weight in first["params"]] == [False, False]
        assert {id(weight) for weight in second["params"]} == inside

    def test_a_backbone_with_random_weights_learns_at_the_heads_rate(self, tiny: dict[str, Any]) -> None:
        assert self.rates(ImageClassifier(2, **tiny, learning_rate=0.5)) == [0.5]

    def test_the_factor_can_be_chosen_and_holds_for_any_optimizer(self, tiny: dict[str, Any]) -> None:
        arguments: dict[str, Any] = {**tiny, "backbone_lr_factor": 0.5, "lr_scheduler": None}
        assert self.rates(ImageClassifier(2, optimizer=("SGD", {"lr": 2.0}), **arguments)) == [2.0, 1.0]

    def test_a_frozen_backbone_is_in_no_group(self, tiny: dict[str, Any]) -> None:
        task = ImageClassifier(2, **tiny, backbone_lr_factor=0.5, learning_rate=0.5)
        task.backbone.requires_grad_(False)
        assert self.rates(task) == [0.5]

    def test_the_factor_of_pretrained_weights_is_kept_in_a_checkpoint(self, tiny: dict[str, Any], trainer: Any) -> None:
        torch.save(ImageClassifier(2, **tiny).backbone.state_dict(), "weights.pt")
        task = ImageClassifier(2, **{**tiny, "pretrained": "weights.pt"})
        run = trainer()
        run.strategy.connect(task)
        run.save_checkpoint("task.ckpt")
        assert ImageClassifier.load_from_checkpoint("task.ckpt").backbone_lr_factor == task.backbone_lr_factor == 0.1


@pytest.mark.train
class TestFinetuning:
    @pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
    def test_a_strategy_moves_what_it_says_and_nothing_else(
        self, task: ImageClassifier, shapes: Any, trainer: Any, strategy: Any
    ) -> None:
        frozen_for = {"no_freeze": 0, "freeze": 3}.get(strategy, 1)
        changed: list[bool] = []

        class Watch(Callback):
            def on_train_epoch_start(self, *_: Any) -> None:
                self.before = states(task.backbone)

            def on_train_epoch_end(self, *_: Any) -> None:
                changed.append(moved(self.before, task.backbone))

        head = states(task.head)
        trainer(max_epochs=3, callbacks=[Watch()]).finetune(task, shapes(), strategy=strategy)
        assert changed == [epoch >= frozen_for for epoch in range(3)]
        assert moved(head, task.head)

    def test_a_frozen_backbone_keeps_its_batch_norm_statistics_to_the_bit(
        self, task: ImageClassifier, shapes: Any, trainer: Any
    ) -> None:
        before = states(task.backbone)
        assert any(name.endswith("running_mean") for name in before)
        trainer(max_epochs=2).finetune(task, shapes(), strategy="freeze")
        assert not moved(before, task.backbone)


class TestPredicting:
    def test_one_by_one_and_in_batches_predictions_are_equal(self, task: ImageClassifier, draw: Any) -> None:
        pictures = [draw(("square", "circle")[seed % 2], seed, size=30 + seed) for seed in range(7)]
        together = task.predict(pictures, output="logits", batch_size=3)
        alone = [task.predict([picture], output="logits")[0] for picture in pictures]
        assert np.allclose(together, alone, atol=1e-5)

    def test_files_folders_and_pictures_are_predicted_alike(self, task: ImageClassifier, folders: Any) -> None:
        files = sorted((folders / "new").iterdir())
        from_folder = task.predict(folders / "new", output="probabilities")
        assert len(from_folder) == 3
        assert from_folder == task.predict(files, output="probabilities")
        assert from_folder[0] == pytest.approx(task.predict(files[0], output="probabilities")[0], abs=1e-5)

    def test_the_same_predictions_come_from_the_trainer(
        self, task: ImageClassifier, folders: Any, trainer: Any
    ) -> None:
        data = ImageClassificationData.from_folders(predict_folder=folders / "new", batch_size=2)
        batches = trainer().predict(task, data, output="probabilities")
        assert [len(batch) for batch in batches] == [2, 1]
        together = [row for batch in batches for row in batch]
        assert np.allclose(together, task.predict(folders / "new", output="probabilities"), atol=1e-5)

    def test_probabilities_add_up_to_one(self, task: ImageClassifier) -> None:
        for row in task.predict(torch.rand(3, 3, 40, 40), output="probabilities"):
            assert sum(row) == pytest.approx(1)


class TestCheckpoints:
    PROGRAM = """
import flash

task = flash.Task.load_from_checkpoint("task.ckpt")
result = [type(task).__name__, task.labels, task.predict(folder, output="probabilities")]
"""

    @pytest.mark.process
    def test_a_task_is_loaded_in_a_new_process_without_network_and_predicts_the_same(
        self, folders: Any, tiny: dict[str, Any], trainer: Any
    ) -> None:
        torch.save(ImageClassifier(2, **tiny).backbone.state_dict(), "weights.pt")
        data = ImageClassificationData.from_folders(folders / "train", batch_size=4, augmentation="flip", seed=0)
        task = ImageClassifier.from_data(data, head="mlp", **{**tiny, "pretrained": "weights.pt"})
        run = trainer()
        run.finetune(task, data, strategy="freeze")
        run.save_checkpoint("task.ckpt")
        (folders / "weights.pt").unlink()
        name, labels, probabilities = in_clean_process(Path.cwd(), self.PROGRAM, folder="new")
        assert (name, labels) == ("ImageClassifier", ["ants", "bees"])
        assert np.allclose(probabilities, task.predict("new", output="probabilities"), atol=1e-6)

    def test_size_and_normalization_travel_along(self, shapes: Any, trainer: Any) -> None:
        config = {"input_size": (3, 48, 48), "mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "crop_mode": "squash"}
        task = ImageClassifier.from_data(shapes(), backbone="test_vit", pretrained=False, data_config=config,
                                         backbone_kwargs={"img_size": 48})  # fmt: skip
        run = trainer()
        run.fit(task, shapes())
        run.save_checkpoint("task.ckpt")
        loaded = ImageClassifier.load_from_checkpoint("task.ckpt")
        assert loaded.data_config == task.data_config
        assert loaded.data_config is not None
        assert loaded.data_config.items() >= config.items()

    def test_a_head_that_is_code_has_to_be_passed(self, shapes: Any, tiny: dict[str, Any], trainer: Any) -> None:
        task = ImageClassifier.from_data(shapes(), head=lambda n, m: nn.Linear(n, m, bias=False), **tiny)
        run = trainer()
        run.fit(task, shapes())
        run.save_checkpoint("task.ckpt")
        with pytest.raises(CheckpointError, match="Expected head to be passed.*head=..."):
            ImageClassifier.load_from_checkpoint("task.ckpt")
        loaded = ImageClassifier.load_from_checkpoint("task.ckpt", head=lambda n, m: nn.Linear(n, m, bias=False))
        images = torch.rand(2, 3, 32, 32)
        assert torch.equal(loaded.eval()(images), task.eval()(images))

    def test_a_module_as_backbone_has_to_be_passed(self, shapes: Any, trainer: Any) -> None:
        def pooled() -> nn.Module:
            return nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())

        config = {"input_size": (3, 16, 16), "mean": (0.5,) * 3, "std": (0.5,) * 3}
        task = ImageClassifier.from_data(shapes(), backbone=pooled(), data_config=config)
        run = trainer()
        run.fit(task, shapes())
        run.save_checkpoint("task.ckpt")
        with pytest.raises(CheckpointError, match="Expected backbone to be passed"):
            ImageClassifier.load_from_checkpoint("task.ckpt")
        loaded = ImageClassifier.load_from_checkpoint("task.ckpt", backbone=pooled())
        images = torch.rand(2, 3, 40, 40)
        assert loaded.predict(images, output="logits") == task.predict(images, output="logits")

    def test_the_backbone_of_a_checkpoint_can_be_that_of_another_task(
        self, shapes: Any, tiny: Any, trainer: Any
    ) -> None:
        task = ImageClassifier.from_data(shapes(), **tiny)
        run = trainer()
        run.fit(task, shapes())
        run.save_checkpoint("task.ckpt")
        other = ImageClassifier(5, **{**tiny, "pretrained": "task.ckpt"})
        assert not moved(states(task.backbone), other.backbone)


class TestExport:
    def test_an_exported_task_gives_the_same_for_any_number_of_images(self, task: ImageClassifier) -> None:
        images = torch.export.Dim("images", min=2)
        exported = torch.export.export(task.eval(), (torch.randn(2, 3, 32, 32),), dynamic_shapes=({0: images},))
        for count in (2, 5):
            batch = torch.randn(count, 3, 32, 32)
            assert torch.allclose(exported.module()(batch), task(batch), atol=1e-6)

    @pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning", "ignore:.*torch.jit.*:DeprecationWarning")
    def test_a_traced_task_gives_the_same_for_any_number_of_images(self, task: ImageClassifier) -> None:
        traced: Any = task.to_torchscript(method="trace", example_inputs=torch.randn(2, 3, 32, 32))
        batch = torch.randn(5, 3, 32, 32)
        assert torch.allclose(traced(batch), task.eval()(batch), atol=1e-6)
