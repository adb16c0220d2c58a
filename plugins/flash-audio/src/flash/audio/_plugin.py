"""The hooks of this plugin; imported for listings, so it imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from flash.plugins import Augmentation, Backbone, BackboneCatalogue, Recipe, TaskSpec, hookimpl


@hookimpl
def flash_tasks() -> Iterator[TaskSpec]:
    """Yield the task with its data module."""
    yield TaskSpec(
        "audio/classification",
        task="flash.audio.classifier:AudioClassifier",
        data="flash.audio.data:AudioClassificationData",
        summary="Predict the class of a recording, or its labels where it can have several.",
    )


@hookimpl
def flash_backbones() -> Iterator[Backbone | BackboneCatalogue]:
    """Yield the networks for recordings."""
    yield Backbone(
        "audio_cnn",
        domain="audio",
        factory="flash.audio.backbones:audio_cnn",
        pretrained=False,
        summary="Four convolutions on a log-mel spectrogram, to train from scratch; the default.",
    )
    yield BackboneCatalogue(
        "images",
        domain="audio",
        names="flash.audio._names:images",
        factory="flash.audio.images:image_backbone",
        summary="Every backbone for images, on spectrograms: those of timm with flash-audio[image].",
    )
    yield BackboneCatalogue(
        "waveforms",
        domain="audio",
        names="flash.audio._names:waveforms",
        factory="flash.audio.transformer:huggingface",
        open=True,
        summary="wav2vec 2.0, HuBERT, WavLM and their kin, from the Hugging Face hub or a local folder; they need "
        "flash-audio[transformers].",
    )


@hookimpl
def flash_components() -> Iterator[Augmentation]:
    """Yield the augmentations of recordings."""
    for name, summary in (
        ("none", "As in validation, the middle: deterministic, so that features can be computed once."),
        ("crop", "A random part of recordings that are longer than the duration; the default."),
        ("shift", "A random part, rotated by a random time."),
        ("specaugment", "A random part, with masked bands and frames (SpecAugment, 1904.08779)."),
    ):
        yield Augmentation(name, f"flash.audio.augmentations:{name}", "audio/classification", summary)


@hookimpl
def flash_recipes() -> Iterator[Recipe]:
    """Yield the candidate for baselines of recordings, besides the default."""
    yield Recipe(
        "audio_cnn_wide",
        "flash.audio.recipes:audio_cnn_wide",
        "audio/classification",
        "The small network with twice the channels.",
    )
