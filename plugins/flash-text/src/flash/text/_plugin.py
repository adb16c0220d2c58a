"""What this plugin contributes to Flash; imported for listings, so it imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from flash.plugins import BackboneCatalogue, TaskSpec, hookimpl


@hookimpl
def flash_tasks() -> Iterator[TaskSpec]:
    """The tasks with their data modules."""
    yield TaskSpec(
        "text/classification",
        task="flash.text.classifier:TextClassifier",
        data="flash.text.data:TextClassificationData",
        summary="Which of N classes a text belongs to, or which classes.",
    )
    yield TaskSpec(
        "text/embedding",
        task="flash.text.embedder:TextEmbedder",
        data="flash.text.data:TextClassificationData",
        summary="A vector for each text, close for texts that mean alike.",
    )


@hookimpl
def flash_backbones() -> Iterator[BackboneCatalogue]:
    """The models of the Hugging Face hub, of which some well-known ones are listed."""
    yield BackboneCatalogue(
        "huggingface",
        domain="text",
        names="flash.text._names:names",
        factory="flash.text.backbones:huggingface",
        open=True,
        summary="Any checkpoint of the Hugging Face hub that transformers can load, by name, or a local folder.",
    )
