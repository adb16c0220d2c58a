"""Backbones: timm's models, registered factories and any module."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import nn

from flash.core.finetuning import backbone_layers
from flash.errors import ConfigurationError, UnknownNameError
from flash.image import ImageClassifier, ImageEmbedder
from flash.image.backbones import ImageBackbone, image_features, timm_backbone

TINY = ("test_resnet", "test_vit", "test_convnext", "test_efficientnet", "test_nfnet", "test_byobnet")


def pooled(channels: int = 5) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, channels, 3), nn.BatchNorm2d(channels), nn.AdaptiveAvgPool2d(1), nn.Flatten())


class TestTimm:
    @pytest.mark.parametrize("name", [*TINY, "mobilenetv3_small_050"])
    def test_a_model_gives_as_many_features_as_it_says(self, name: str) -> None:
        backbone = timm_backbone(name, pretrained=False).eval()
        size = backbone.data_config["input_size"]
        assert backbone(torch.zeros(2, *size)).shape == (2, backbone.out_features)

    def test_it_says_what_it_expects_of_images_as_plain_data(self) -> None:
        config = timm_backbone("test_resnet", pretrained=False).data_config
        assert config == {
            "input_size": (3, 160, 160),
            "interpolation": "bilinear",
            "mean": (0.5, 0.5, 0.5),
            "std": (0.5, 0.5, 0.5),
            "crop_pct": 0.95,
            "crop_mode": "center",
        }

    def test_efficientnet_lite_has_another_normalization_than_imagenets(self) -> None:
        config = timm_backbone("tf_efficientnet_lite0", pretrained=False).data_config
        assert config["mean"] == config["std"] == (0.5, 0.5, 0.5)

    def test_channels_and_size_are_those_that_are_asked_for(self) -> None:
        backbone = timm_backbone("test_vit", pretrained=False, in_chans=1, img_size=64)
        assert backbone.data_config["input_size"] == (1, 64, 64)
        assert backbone(torch.zeros(2, 1, 64, 64)).shape == (2, backbone.out_features)
        assert timm_backbone("test_vit", False, img_size=(64, 32)).data_config["input_size"] == (3, 64, 32)

    @pytest.mark.parametrize(("shape", "axes"), [((2, 7, 5), 1), ((2, 5, 4, 3), (2, 3))])
    def test_of_tokens_and_maps_the_mean_is_taken(self, shape: tuple[int, ...], axes: Any) -> None:
        given = torch.randn(shape)
        made = ImageBackbone(nn.Identity(), 5, {})(given)
        assert torch.equal(made, given.mean(axes))

    def test_the_tag_of_weights_that_are_not_asked_for_decides_the_sizes(self) -> None:
        assert timm_backbone("test_resnet.r160_in1k", pretrained=False).out_features == 96

    def test_a_name_that_timm_lacks_says_what_is_close(self) -> None:
        with pytest.raises(UnknownNameError, match=r"timm .* has no model 'resnt18'. Did you mean 'resnet18'"):
            timm_backbone("resnt18")

    @pytest.mark.parametrize("name", ["hf-hub:timm/resnet18", "../resnet18"])
    def test_a_name_of_a_hub_or_a_path_is_no_model(self, name: str) -> None:
        with pytest.raises(UnknownNameError, match="has no model"):
            timm_backbone(name, pretrained=False)

    @pytest.mark.parametrize(
        ("name", "pretrained", "asked"),
        [
            ("test_resnet", "a1_in1k", "a1_in1k"),
            ("test_resnet.a1_in1k", False, "a1_in1k"),
            ("test_vit", "w.pt", "w.pt"),
        ],
    )
    def test_weights_that_are_not_there_say_which_are(self, name: str, pretrained: Any, asked: str) -> None:
        with pytest.raises(ConfigurationError, match=rf"one of the tags of test_\w+ \('r160_in1k'\), but '{asked}'"):
            timm_backbone(name, pretrained)

    @pytest.mark.parametrize("arguments", [{"num_classes": 5}, {"global_pool": ""}, {"features_only": True}])
    def test_arguments_that_would_give_something_else_than_features_are_refused(self, arguments: Any) -> None:
        with pytest.raises(ConfigurationError, match="one feature vector per image"):
            timm_backbone("test_resnet", False, **arguments)

    def test_arguments_that_the_model_does_not_take_are_an_error_of_their_own(self) -> None:
        with pytest.raises(ConfigurationError, match="backbone_kwargs that timm's test_resnet takes.*'color'"):
            timm_backbone("test_resnet", False, color="red")


class TestOfTasks:
    @pytest.mark.parametrize("task", [ImageClassifier, ImageEmbedder])
    def test_every_model_of_timm_can_be_chosen(self, task: Any) -> None:
        names = task.available_backbones()
        assert len(names) > 1000
        assert {"resnet18", "vit_base_patch16_224", "convnext_tiny"} <= set(names)
        assert task.available_backbones("ResNet18*") == ["resnet18", "resnet18d"]

    def test_resnet18_is_the_default(self) -> None:
        for task in (ImageClassifier, ImageEmbedder):
            assert inspect.signature(task).parameters["backbone"].default == "resnet18"

    def test_a_module_is_a_backbone_and_its_features_are_counted(self) -> None:
        mine = pooled(5)
        task = ImageClassifier(num_classes=3, backbone=mine)
        assert task.backbone is mine
        assert task(torch.zeros(2, 3, 16, 16)).shape == (2, 3)

    def test_counting_leaves_the_module_as_it_was(self) -> None:
        mine = pooled()
        mine[1].eval()
        before = {name: value.clone() for name, value in mine.state_dict().items()}
        assert image_features(mine, None) == 5
        assert all(torch.equal(before[name], value) for name, value in mine.state_dict().items())
        assert mine.training
        assert not mine[1].training

    def test_a_module_that_does_not_pool_says_how(self) -> None:
        with pytest.raises(ConfigurationError, match=r"per sample.*\(1, 5, 222, 222\).*pooling and nn.Flatten"):
            ImageClassifier(num_classes=2, backbone=nn.Conv2d(3, 5, 3))

    def test_a_module_for_other_images_says_so(self) -> None:
        mine = nn.Sequential(nn.Conv2d(1, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        with pytest.raises(ConfigurationError, match=r"shape \(1, 3, 224, 224\), but it says.*data_config="):
            ImageClassifier(num_classes=2, backbone=mine)
        config = {"input_size": (1, 32, 32), "mean": (0.5,), "std": (0.5,)}
        task = ImageClassifier(num_classes=2, backbone=mine, data_config=config)
        assert task.predict(torch.zeros(2, 1, 40, 40)) == task.predict(torch.zeros(2, 3, 40, 40))

    def test_a_module_takes_no_arguments_of_a_backbone(self) -> None:
        with pytest.raises(ConfigurationError, match="which is made already"):
            ImageClassifier(num_classes=2, backbone=pooled(), backbone_kwargs={"depth": 3})

    def test_weights_from_a_file_are_loaded_into_a_module(self) -> None:
        trained, mine = pooled(), pooled()
        torch.save(trained.state_dict(), "weights.pt")
        ImageClassifier(num_classes=2, backbone=mine, pretrained="weights.pt")
        assert torch.equal(mine.state_dict()["0.weight"], trained.state_dict()["0.weight"])

    def test_something_else_is_an_error(self) -> None:
        with pytest.raises(ConfigurationError, match="Expected backbone to be a name or a module, but got 18"):
            ImageClassifier(num_classes=2, backbone=18)  # type: ignore[arg-type]

    def test_a_registered_factory_gets_what_it_takes(self) -> None:
        seen = []

        @ImageClassifier.backbones("with_weights")
        def with_weights(pretrained: Any, channels: int = 5) -> nn.Module:
            seen.append((pretrained, channels))
            return pooled(channels)

        @ImageClassifier.backbones("without_weights")
        def without_weights() -> nn.Module:
            return pooled()

        @ImageClassifier.backbones("no_module")
        def no_module() -> Any:
            return "a network"

        try:
            ImageClassifier(num_classes=2, backbone="with_weights", pretrained=False, backbone_kwargs={"channels": 7})
            ImageClassifier(num_classes=2, backbone="without_weights")
            with pytest.raises(ConfigurationError, match="to return a Module, but it returned 'a network'"):
                ImageClassifier(num_classes=2, backbone="no_module")
        finally:
            for name in ("with_weights", "without_weights", "no_module"):
                ImageClassifier.backbones.remove(name)
        assert seen == [(False, 7)]

    def test_a_tag_after_a_name_that_nobody_has_is_an_unknown_name(self) -> None:
        with pytest.raises(UnknownNameError, match="'resnt18.a1_in1k' is not among the image backbones"):
            ImageClassifier(num_classes=2, backbone="resnt18.a1_in1k")


class TestLayers:
    @pytest.mark.parametrize(("name", "count"), [("test_resnet", 5), ("test_vit", 7), ("test_efficientnet", 6)])
    def test_they_are_the_stem_and_the_blocks_in_the_order_of_the_forward_pass(self, name: str, count: int) -> None:
        task = ImageClassifier(num_classes=2, backbone=name, pretrained=False)
        layers = backbone_layers(task)
        held = [parameter for layer in layers for parameter in layer.parameters()]
        assert len(layers) == count
        assert {*held} == {*task.backbone.parameters()}
        assert len(held) == len({*held})
        names = {parameter: name for name, parameter in task.backbone.named_parameters()}
        stem = {names[parameter].split(".")[1] for parameter in layers[0].parameters()}
        assert stem <= {"conv1", "bn1", "conv_stem", "patch_embed", "cls_token", "pos_embed"}

    def test_a_network_that_timm_does_not_number_has_its_children(self) -> None:
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        assert ImageBackbone(network, 4, {}).layers() == [network[0], network[1]]

    def test_those_of_a_module_of_the_user_are_its_children(self) -> None:
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        task = ImageClassifier(num_classes=2, backbone=network, data_config={"input_size": (3, 16, 16)})
        assert backbone_layers(task) == [network[0], network[1]]
