"""What this plugin contributes to Flash; imported for listings, so it imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from flash.plugins import BackboneCatalogue, Output, Strategy, TaskSpec, hookimpl


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
    yield TaskSpec(
        "text/summarization",
        task="flash.text.seq2seq.tasks:SummarizationTask",
        data="flash.text.seq2seq.data:SummarizationData",
        summary="A summary of each text.",
    )
    yield TaskSpec(
        "text/translation",
        task="flash.text.seq2seq.tasks:TranslationTask",
        data="flash.text.seq2seq.data:TranslationData",
        summary="A translation of each text.",
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
    yield BackboneCatalogue(
        "huggingface",
        domain="seq2seq",
        names="flash.text.seq2seq._names:names",
        factory="flash.text.seq2seq.backbones:huggingface",
        open=True,
        summary="Any encoder-decoder of the Hugging Face hub, for summaries and translations, or a local folder.",
    )


@hookimpl
def flash_finetuning_strategies() -> Iterator[Strategy]:
    """Adapters, on the library peft."""
    yield Strategy(
        "lora",
        factory="flash.text.lora:Lora",
        summary="Train low-rank adapters of a text network and keep its weights as they are.",
    )


@hookimpl
def flash_components() -> Iterator[Output]:
    """Yield the outputs of tasks that write texts."""
    for task in ("text/summarization", "text/translation"):
        home = "flash.text.seq2seq.base"
        yield Output("texts", f"{home}:texts", task, "The written texts.")
        yield Output("tokens", f"{home}:tokens", task, "The token ids of the written texts, without special ones.")
