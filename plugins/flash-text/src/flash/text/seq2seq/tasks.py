"""SummarizationTask and TranslationTask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from .backbones import read_prefix
from .base import Seq2SeqTask
from .metrics import summarization_metrics, translation_metrics

__all__ = ["SummarizationTask", "TranslationTask"]


class SummarizationTask(Seq2SeqTask):
    """Writes a summary of each text; judged by ROUGE-1, ROUGE-2 and ROUGE-L (F-measure, from 0 to 1).

    Args:
        backbone: The name of a checkpoint on the Hugging Face hub, a folder with one, or a model of transformers
            together with ``tokenizer``.
        pretrained: Whether the backbone gets its trained weights; otherwise they are random.
        prefix: What stands before each text; by default what the checkpoint says: ``"summarize: "`` for T5.
        metrics: As in :class:`~flash.core.model.Task`.
        kwargs: Arguments of :class:`~flash.text.seq2seq.base.Seq2SeqTask`, such as ``num_beams`` and
            ``max_new_tokens``.

    Raises:
        HubError: If the backbone is in no folder, not cached, and cannot be had from the hub.

    Example:
        >>> from flash.text import SummarizationData
        >>> data = SummarizationData.from_csv("document", "summary", train_file="news.csv")  # doctest: +SKIP
        >>> task = SummarizationTask(backbone="facebook/bart-base", num_beams=4)  # doctest: +SKIP
    """

    def __init__(
        self,
        backbone: str | Path | PreTrainedModel = "google-t5/t5-small",
        pretrained: bool = True,
        prefix: str | None = None,
        *,
        metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        metrics = summarization_metrics() if metrics is None else metrics
        super().__init__(backbone, pretrained, prefix, metrics=metrics, **kwargs)

    def default_prefix(self) -> str:
        """What the checkpoint says for summaries."""
        return read_prefix(self.model.config, "summarization")


class TranslationTask(Seq2SeqTask):
    """Writes a translation of each text; judged by BLEU and chrF (from 0 to 1).

    Args:
        backbone: The name of a checkpoint on the Hugging Face hub, a folder with one, or a model of transformers
            together with ``tokenizer``.
        pretrained: Whether the backbone gets its trained weights; otherwise they are random.
        prefix: What stands before each text; by default what the checkpoint says of the languages:
            ``"translate English to German: "`` for T5, whose first pair is taken where none is named.
        source_language: A code such as ``"en"``, to choose among the pairs of languages that the checkpoint names.
        target_language: The same for the language to write.
        metrics: As in :class:`~flash.core.model.Task`.
        kwargs: Arguments of :class:`~flash.text.seq2seq.base.Seq2SeqTask`, such as ``num_beams`` and
            ``max_new_tokens``.

    Raises:
        HubError: If the backbone is in no folder, not cached, and cannot be had from the hub.
        ConfigurationError: If the checkpoint names no such pair of languages.

    Example:
        >>> from flash.text import TranslationData
        >>> data = TranslationData.from_csv("en", "ro", train_file="news.csv")  # doctest: +SKIP
        >>> task = TranslationTask(target_language="ro", num_beams=4)  # doctest: +SKIP
    """

    def __init__(
        self,
        backbone: str | Path | PreTrainedModel = "google-t5/t5-small",
        pretrained: bool = True,
        prefix: str | None = None,
        source_language: str | None = None,
        target_language: str | None = None,
        *,
        metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        # Before the task is made, which asks for the prefix.
        self._languages = source_language, target_language
        metrics = translation_metrics() if metrics is None else metrics
        super().__init__(backbone, pretrained, prefix, metrics=metrics, **kwargs)

    def default_prefix(self) -> str:
        """What the checkpoint says for the languages."""
        return read_prefix(self.model.config, "translation", *self._languages)
