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
    """The base of :class:`SummarizationData` and :class:`TranslationData`: source texts with target texts.

    The constructors take one column of source texts, ``input_field``, and one of target texts, ``target_fields``; and
    the arguments of :class:`flash.DataModule`, such as ``batch_size`` (16 by default) and ``val_split``.
    """

    preprocess_cls = Seq2SeqPreprocess

    @classmethod
    def table_options(cls) -> Collection[str]:
        """Return the options of constructors for tables: none, since targets are texts rather than classes."""
        return ()

    @classmethod
    def with_sources(cls, inputs: SampleInputs, stage: Stage, root: Any = None) -> SampleInputs:
        """Return inputs as source texts with target texts."""
        if inputs.names is not None:
            raise ConfigurationError(
                f"Expected target_fields to name one column, that of the target texts, but got {list(inputs.names)!r}."
            )
        made: SampleInputs = super().with_sources(inputs, stage, root)
        return made


class SummarizationData(Seq2SeqData):
    """Data module of texts with their summaries.

    Example:
        >>> dm = SummarizationData.from_lists(["It rained all day in Bergen."], ["Rain in Bergen."])
        >>> len(dm.train_dataset)
        1
    """


class TranslationData(Seq2SeqData):
    """Data module of texts with their translations.

    Example:
        >>> dm = TranslationData.from_datasets("en", "de", [{"en": "good day", "de": "guten Tag"}])
        >>> len(dm.train_dataset)
        1
    """
