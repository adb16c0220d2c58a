"""SummarizationTask and TranslationTask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from flash.core.metrics import MetricSpec

from .._former import SUMMARIZATION_ARGUMENTS, TRANSLATION_ARGUMENTS
from .backbones import read_prefix
from .base import Seq2SeqTask
from .comparison import Summaries, Translations
from .languages import decoding_settings, has_languages, use_languages
from .marian import target_codes, use_target_code
from .metrics import summarization_metrics, translation_metrics

__all__ = ["SummarizationTask", "TranslationTask"]


class SummarizationTask(Summaries, Seq2SeqTask):
    """Generate a summary of each text; the metrics are ROUGE-1, ROUGE-2 and ROUGE-L (F-measure, from 0 to 1).

    Args:
        backbone: The name of a checkpoint on the Hugging Face hub, a folder with one, or a model of transformers
            together with ``tokenizer``.
        pretrained: Whether to load the pretrained weights of the backbone; otherwise they are random.
        prefix: The prefix of each source text; by default that of the checkpoint, ``"summarize: "`` for T5.
        metrics: As in :class:`~flash.core.model.Task`.
        kwargs: Arguments of :class:`~flash.text.seq2seq.base.Seq2SeqTask`, such as ``num_beams`` and
            ``max_new_tokens``.

    Raises:
        HubError: If the backbone is neither in a folder nor cached, and cannot be downloaded.

    Example:
        >>> from flash.text import SummarizationData
        >>> data = SummarizationData.from_csv("document", "summary", train_file="news.csv")  # doctest: +SKIP
        >>> task = SummarizationTask(backbone="facebook/bart-base", num_beams=4)  # doctest: +SKIP
    """

    former_arguments = SUMMARIZATION_ARGUMENTS

    def __init__(
        self,
        backbone: str | Path | PreTrainedModel = "google-t5/t5-small",
        pretrained: bool = True,
        prefix: str | None = None,
        *,
        metrics: MetricSpec | None = None,
        **kwargs: Any,
    ) -> None:
        metrics = summarization_metrics() if metrics is None else metrics
        super().__init__(backbone, pretrained, prefix, metrics=metrics, **kwargs)

    def default_prefix(self) -> str:
        """Return the checkpoint's prefix for summarization."""
        return read_prefix(self.model.config, "summarization")


class TranslationTask(Translations, Seq2SeqTask):
    """Generate a translation of each text; the metrics are BLEU and chrF (from 0 to 1).

    Args:
        backbone: The name of a checkpoint on the Hugging Face hub, a folder with one, or a model of transformers
            together with ``tokenizer``.
        pretrained: Whether to load the pretrained weights of the backbone; otherwise they are random.
        prefix: The prefix of each source text; by default the checkpoint's one for the languages:
            ``"translate English to German: "`` for T5, whose first pair is the default.
        source_language: A code such as ``"en"``, to select one of the checkpoint's pairs of languages; of models of
            many languages, such as mBART and NLLB, one of their codes, such as ``"en_XX"`` or ``"eng_Latn"``. Marian
            models take no source language, and a target language if they write several.
        target_language: The same for the target language.
        metrics: As in :class:`~flash.core.model.Task`.
        kwargs: Arguments of :class:`~flash.text.seq2seq.base.Seq2SeqTask`, such as ``num_beams`` and
            ``max_new_tokens``.

    Raises:
        HubError: If the backbone is neither in a folder nor cached, and cannot be downloaded.
        ConfigurationError: If the checkpoint does not have the pair of languages.

    Example:
        >>> from flash.text import TranslationData
        >>> data = TranslationData.from_csv("en", "ro", train_file="news.csv")  # doctest: +SKIP
        >>> task = TranslationTask(target_language="ro", num_beams=4)  # doctest: +SKIP
    """

    former_arguments = TRANSLATION_ARGUMENTS

    def __init__(
        self,
        backbone: str | Path | PreTrainedModel = "google-t5/t5-small",
        pretrained: bool = True,
        prefix: str | None = None,
        source_language: str | None = None,
        target_language: str | None = None,
        *,
        metrics: MetricSpec | None = None,
        **kwargs: Any,
    ) -> None:
        # Set first, since the base class calls default_prefix.
        self._languages, self._has_prefix = (source_language, target_language), prefix is not None
        metrics = translation_metrics() if metrics is None else metrics
        super().__init__(backbone, pretrained, prefix, metrics=metrics, **kwargs)

    def use_languages(
        self, tokenizer: PreTrainedTokenizerFast
    ) -> tuple[PreTrainedTokenizerFast | None, dict[str, Any]]:
        """Return the tokenizer and the generation settings of the target language, of models of many languages."""
        codes = target_codes(tokenizer)
        # Without a target, each text begins with its own code.
        if codes and (not self._has_prefix or self._languages != (None, None)):
            use_target_code(tokenizer, codes, *self._languages)
        if not has_languages(tokenizer):
            return None, {}
        written = use_languages(tokenizer, *self._languages)
        return written, decoding_settings(written, str(self._languages[1]))

    def default_prefix(self) -> str:
        """Return the checkpoint's prefix for the languages; none if the tokenizer has codes of languages."""
        if has_languages(self.tokenizer) or target_codes(self.tokenizer):
            return ""
        return read_prefix(self.model.config, "translation", *self._languages)
