"""The hooks of this plugin; imported for listings, so it imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from flash.plugins import BackboneCatalogue, Output, Recipe, Strategy, TaskSpec, hookimpl


@hookimpl
def flash_tasks() -> Iterator[TaskSpec]:
    """Yield the tasks with their data modules."""
    yield TaskSpec(
        "text/classification",
        task="flash.text.classifier:TextClassifier",
        data="flash.text.data:TextClassificationData",
        summary="Predict the class of a text, or its labels where it can have several.",
    )
    yield TaskSpec(
        "text/regression",
        task="flash.text.regressor:TextRegressor",
        data="flash.text.data:TextRegressionData",
        summary="Predict a number per text, or several.",
    )
    yield TaskSpec(
        "text/embedding",
        task="flash.text.embedder:TextEmbedder",
        data="flash.text.data:TextClassificationData",
        summary="Compute a vector per text, for semantic similarity search.",
    )
    yield TaskSpec(
        "text/token_classification",
        task="flash.text.token_classification.classifier:TokenClassifier",
        data="flash.text.token_classification.data:TokenClassificationData",
        summary="Find the names in a text, such as persons and places, and other entities.",
    )
    yield TaskSpec(
        "text/question_answering",
        task="flash.text.answering.task:QuestionAnsweringTask",
        data="flash.text.answering.data:QuestionAnsweringData",
        summary="Find the part of a context that answers a question.",
    )
    yield TaskSpec(
        "text/summarization",
        task="flash.text.seq2seq.tasks:SummarizationTask",
        data="flash.text.seq2seq.data:SummarizationData",
        summary="Generate a summary of each text.",
    )
    yield TaskSpec(
        "text/translation",
        task="flash.text.seq2seq.tasks:TranslationTask",
        data="flash.text.seq2seq.data:TranslationData",
        summary="Generate a translation of each text.",
    )


@hookimpl
def flash_backbones() -> Iterator[BackboneCatalogue]:
    """Yield the models of the Hugging Face hub, of which some well-known ones are listed."""
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
        summary="Any encoder-decoder of the Hugging Face hub, for summarization and translation, or a local folder.",
    )


@hookimpl
def flash_finetuning_strategies() -> Iterator[Strategy]:
    """Yield the strategy for low-rank adapters, on the library peft."""
    yield Strategy(
        "lora",
        factory="flash.text.lora:Lora",
        summary="Train low-rank adapters of a text network and freeze its own weights.",
    )


@hookimpl
def flash_components() -> Iterator[Output]:
    """Yield the outputs of tasks that generate texts, and of those that find parts of texts."""
    for task in ("text/summarization", "text/translation"):
        home = "flash.text.seq2seq.base"
        yield Output("texts", f"{home}:texts", task, "The generated texts.")
        yield Output("tokens", f"{home}:tokens", task, "The token ids of the generated texts, without special tokens.")
    task, home = "text/token_classification", "flash.text.token_classification.outputs"
    yield Output("entities", f"{home}:entities", task, "The entities as spans, with their labels and scores.")
    yield Output("tags", f"{home}:tags", task, "The tag of each word.")
    task, home = "text/question_answering", "flash.text.answering.outputs"
    yield Output("answers", f"{home}:answers", task, "The best answer as a part of the context, with its score.")
    yield Output("texts", f"{home}:texts", task, "The text of the best answer.")
    yield Output("n_best", f"{home}:n_best", task, "The best answers.")


@hookimpl
def flash_recipes() -> Iterator[Recipe]:
    """Yield the candidates for baselines of texts."""
    for task in ("text/classification", "text/regression"):
        yield Recipe("roberta", "flash.text.recipes:roberta_base", task, "RoBERTa, a larger pretrained network.")
    task, home = "text/token_classification", "flash.text.token_classification.recipes"
    yield Recipe("constant", f"{home}:every_word", task, "Every word is an entity, of the most frequent label.")
    yield Recipe("words", f"{home}:usual_tags", task, "The most frequent tag of each word.")
    yield Recipe("roberta", f"{home}:roberta", task, "RoBERTa, a larger pretrained network.")
    task, home = "text/question_answering", "flash.text.answering.recipes"
    yield Recipe("constant", f"{home}:same_place", task, "The same place of each context, whatever is asked.")
    yield Recipe("words", f"{home}:near_words", task, "The words that are nearest to those of the question.")
    yield Recipe("roberta", f"{home}:roberta", task, "RoBERTa, a larger pretrained network.")
    task, home = "text/summarization", "flash.text.seq2seq.recipes"
    yield Recipe("constant", f"{home}:lead", task, "The first sentences of each text.")
    yield Recipe("bart", f"{home}:bart", task, "BART, a larger pretrained network.")
    yield Recipe("constant", f"{home}:copied", "text/translation", "Each text as its own translation.")
