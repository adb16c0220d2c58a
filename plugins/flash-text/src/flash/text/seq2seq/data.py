"""SummarizationData and TranslationData: pairs of texts from files, tables, lists and datasets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from flash.data.inputs import SampleInputs
from flash.data.recognition import RawData, Recognition, is_free_text, words_per_row
from flash.data.stage import Stage
from flash.errors import ConfigurationError

from ..data import TextData
from .preprocess import Seq2SeqPreprocess

__all__ = ["Seq2SeqData", "SummarizationData", "TranslationData"]

# Less than any other task of texts.
_ONLY_IF_ASKED = 0.01


class Seq2SeqData(TextData):
    """The base of :class:`SummarizationData` and :class:`TranslationData`: source texts with target texts.

    The constructors take one column of source texts, ``input_field``, and one of target texts, ``target_fields``; and
    the arguments of :class:`flash.DataModule`, such as ``batch_size`` (16 by default) and ``val_split``.
    """

    preprocess_cls = Seq2SeqPreprocess

    @classmethod
    def recognize(cls, raw: RawData, target_fields: str | Sequence[str] | None = None) -> Recognition | None:
        """Recognize tables with a column of texts beside one of target texts, if this task is asked for.

        Without that, a text as target is a class: nothing says whether it is a summary or a translation.
        """
        if raw.table is None or not isinstance(target_fields, str) or target_fields not in raw.table:
            return None
        if words_per_row(raw.table[target_fields]) == 0:
            return None
        others = [name for name in raw.table if name != target_fields and words_per_row(raw.table[name]) > 0]
        texts = others if len(others) == 1 else [name for name in others if is_free_text(raw.table[name])]
        if len(texts) != 1:
            return None
        arguments = {"input_field": texts[0], "target_fields": target_fields, "train_data_frame": raw.table}
        why = f"the columns {texts[0]} and {target_fields} have texts"
        return Recognition("from_data_frame", arguments, why, _ONLY_IF_ASKED)

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
