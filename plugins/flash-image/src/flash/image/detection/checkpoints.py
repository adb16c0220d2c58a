"""Detectors in checkpoints of transformers, by name on the Hugging Face hub or from a folder."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flash.download.pretrained import (
    config_from_dict,
    config_to_dict,
    import_library,
    load_model,
    load_part,
    make_model,
    split_revision,
)
from flash.errors import ConfigurationError, UnknownNameError

from .models import DETECTORS
from .transformer import TransformerDetector, check_kind

__all__ = ["describe", "labels_of_checkpoint", "transformer_detector"]

# The layers that depend on the number of classes.
_CLASS_LAYERS = ("class_labels_classifier", "class_embed", "enc_score_head")


def transformer_detector(
    name: str,
    num_classes: int,
    pretrained: bool | str | Path = True,
    config: Mapping[str, Any] | None = None,
    **settings: Any,
) -> TransformerDetector:
    """Load a detector of transformers, without running code in its checkpoint.

    Args:
        name: The name on the Hugging Face hub, such as ``"PekingU/rtdetr_r18vd"``, or a folder.
        num_classes: The number of classes, including the background. Layers that depend on it keep random weights if
            the checkpoint has another number.
        pretrained: Whether to load weights; otherwise they are random, to train from scratch.
        config: What :func:`describe` returned, in place of the configuration in the checkpoint, which is not opened.
        settings: Entries of transformers' configuration to replace, such as ``num_queries``.

    Raises:
        UnknownNameError: If it is neither a name of the form ``owner/name``, nor a folder.
        ConfigurationError: If transformers is not installed, the detector is of another kind, or there is no such
            setting.
        HubError: If the checkpoint cannot be loaded, or weights are missing.
        CheckpointError: If the installed transformers does not know the model of ``config``.
    """
    if config is None:
        _check_name(name)
    library = _library()
    if config is not None:
        known = config_from_dict(library, config["network"])
        return TransformerDetector(make_model(library.AutoModelForObjectDetection, known), config["images"])
    if not isinstance(pretrained, bool):
        raise ConfigurationError(
            f"Expected pretrained to be True or False for the checkpoint {name!r}, but got {pretrained!r}. Pass the "
            "folder with other weights as the backbone."
        )
    known = _load_config(library, name)
    check_kind(known.model_type)
    _change(known, num_labels=num_classes - 1, **settings)
    network = load_model(
        library.AutoModelForObjectDetection,
        name,
        known,
        pretrained=pretrained,
        wanted="a detector",
        is_optional=_depends_on_classes,
        ignore_mismatched_sizes=True,
    )
    return TransformerDetector(network, _images_of(library, name))


def labels_of_checkpoint(name: str) -> list[str]:
    """Return the classes of a checkpoint, in the order of their indices.

    Args:
        name: As for :func:`transformer_detector`.

    Raises:
        UnknownNameError: As for :func:`transformer_detector`.
        ConfigurationError: As for :func:`transformer_detector`.
        HubError: If the checkpoint cannot be loaded.
    """
    _check_name(name)
    names: dict[int, str] = _load_config(_library(), name).id2label
    return [str(names[number]) for number in sorted(names)]


def describe(model: TransformerDetector) -> dict[str, Any]:
    """Return what a checkpoint holds of a detector in place of its folder or its name on the hub: plain values."""
    return {"network": config_to_dict(model.network.config), "images": model.images}


# ---------------------------------------------------------------------- loading


def _library() -> Any:
    for name in ("scipy", "transformers"):  # The losses of transformers use SciPy.
        library = import_library(name, "flash-image[transformers]", "The detectors of torchvision need nothing else.")
    return library


def _check_name(name: str) -> None:
    if "/" in name or Path(name).expanduser().is_dir():
        return
    close = difflib.get_close_matches(name, DETECTORS, n=3)
    hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else "Run: flash backbones detection."
    raise UnknownNameError(
        f"{name!r} is not among the detection backbones, and it is neither a folder nor a name on the Hugging Face "
        f"hub, owner/name. {hint}"
    )


def _load_config(library: Any, name: str) -> Any:
    return load_part(library.AutoConfig.from_pretrained, "a configuration", name)


def _depends_on_classes(weight: str) -> bool:
    return any(layer in weight for layer in _CLASS_LAYERS)


def _change(config: Any, **settings: Any) -> None:
    unknown = [name for name in settings if not hasattr(config, name)]
    if unknown:
        raise ConfigurationError(
            f"Expected backbone_kwargs to be entries of {type(config).__name__}, but {unknown[0]!r} is none. Leave it "
            "out; image_size is an argument of the task."
        )
    for name, value in settings.items():
        setattr(config, name, value)
    # Made for one size in advance, the anchors of RT-DETR do not fit another image_size.
    for name in ("anchor_image_size", "eval_size"):
        if hasattr(config, name):
            setattr(config, name, None)


def _images_of(library: Any, name: str) -> dict[str, Any]:
    """Return size, mean and standard deviation of the images of a checkpoint's training, as far as it says so."""
    mixin: Any = importlib.import_module(f"{library.__name__}.image_processing_base").ImageProcessingMixin
    try:
        source, revision = split_revision(name)
        found, _ = mixin.get_image_processor_dict(source, revision=revision)
    except OSError:  # without such a file they are those of its kind; another problem shows with the weights
        return {}
    images: dict[str, Any] = {}
    size = found.get("size")
    if isinstance(size, int):
        size = {"shortest_edge": size, "longest_edge": found.get("max_size") or 1333}
    if isinstance(size, Mapping) and {"height", "width"} <= set(size):
        images["size"] = [int(size["height"]), int(size["width"])]
    elif isinstance(size, Mapping) and {"shortest_edge", "longest_edge"} <= set(size):
        images["size"] = {edge: int(size[edge]) for edge in ("shortest_edge", "longest_edge")}
    if found.get("do_normalize") is False:
        return {**images, "mean": [0.0] * 3, "std": [1.0] * 3}
    given = {"mean": found.get("image_mean"), "std": found.get("image_std")}
    if found.get("do_normalize") is True and all(given.values()):
        images |= given
    return images
