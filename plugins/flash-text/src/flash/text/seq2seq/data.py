"""SummarizationData and TranslationData: pairs of texts from files, tables, lists and datasets."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from flash.data.inputs import SampleInputs
from flash.data.stage import Stage
from flash.errors import ConfigurationError

from ..data import TextData
from .preprocess import Seq2SeqPreprocess

__all__ = ["Seq2SeqData", "SummarizationData", "TranslationData"]


class Seq2SeqData(TextData):
    """Texts to read with texts to write. Use :class:`SummarizationData` or :class:`TranslationData`.

    The constructors take one column of texts to read, ``input_field``, and one of texts to write, ``target_fields``;
    and the arguments of :class:`flash.DataModule`, such as ``batch_size`` (16 by default) and ``val_split``.
    """

    preprocess_cls = Seq2SeqPreprocess

    @classmethod
    def table_options(cls) -> Collection[str]:
        """Return the options that constructors for tables take: none, since a text is no list of classes."""
        return ()

    @classmethod
    def with_sources(cls, inputs: SampleInputs, stage: Stage, root: Any = None) -> SampleInputs:
        """Return inputs as texts, each with the one to write."""
        if inputs.names is not None:
            raise ConfigurationError(
                "Expected target_fields to name one column, that of the texts to write, but got "
                f"{list(inputs.names)!r}."
            )
        made: SampleInputs = super().with_sources(inputs, stage, root)
        return made


class SummarizationData(Seq2SeqData):
    """Texts with their summaries.

    Example:
        >>> dm = SummarizationData.from_lists(["It rained all day in Bergen."], ["Rain in Bergen."])
        >>> len(dm.train_dataset)
        1
    """


class TranslationData(Seq2SeqData):
    """Texts with their translations.

    Example:
        >>> dm = TranslationData.from_datasets("en", "de", [{"en": "good day", "de": "guten Tag"}])
        >>> len(dm.train_dataset)
        1
    """
