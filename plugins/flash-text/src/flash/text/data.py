"""Data modules of texts with classes or numbers, from files, tables, lists and datasets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from typing_extensions import Self

from flash.data.inputs import SampleDataset, SampleInputs
from flash.data.recognition import RawData, Recognition, certainty_of_kind, is_free_text, words_per_row
from flash.data.row_streams import is_row_stream
from flash.data.samples import SampleData
from flash.data.stage import Stage, Stages
from flash.former import take_alias, with_former_members

from ._former import DATA_MEMBERS
from .preprocess import TextPreprocess, TextRegressionPreprocess
from .sources import class_names, stream_inputs, table_of_dataset

__all__ = ["TextClassificationData", "TextData", "TextRegressionData"]

# With as many words a row, a column is what a table is about.
_MANY_WORDS = 8


@with_former_members(DATA_MEMBERS)
class TextData(SampleData):
    """The base of the data modules for texts.

    Each text is tokenized once, with the tokenizer of the task, when a task is connected. Batches are bucketed by
    length, and padded to their longest text.
    """

    preprocess_cls = TextPreprocess
    default_batch_size = 16
    #: Whether tables are recognized as such data: not where targets are no classes and no numbers.
    recognizes_tables: ClassVar[bool] = True

    @classmethod
    def recognize(cls, raw: RawData, target_fields: str | Sequence[str] | None = None) -> Recognition | None:
        """Recognize tables with one column of free text beside the targets."""
        if not cls.recognizes_tables:
            return None
        certainty = certainty_of_kind(raw, target_fields, cls.preprocess_cls.targets_cls.kind)
        if raw.table is None or certainty is None:
            return None
        targets = [target_fields] if isinstance(target_fields, str) else list(target_fields or ())
        others = [name for name in raw.table if name not in targets]
        texts = [name for name in others if is_free_text(raw.table[name])]
        if len(texts) != 1:
            return None
        (column,) = texts
        words = words_per_row(raw.table[column])
        left = [name for name in others if name != column]
        # Names and addresses beside other columns are features of a table.
        is_text = not left or words >= _MANY_WORDS
        why = f"the column {column} has texts of about {words:.0f} words, and {certainty[1]}"
        why += f"; other columns, such as {left[0]}, are not used" if left else ""
        arguments = {"input_field": column, "target_fields": target_fields, "train_data_frame": raw.table}
        return Recognition("from_data_frame", arguments, why, (0.8 if is_text else 0.2) * certainty[0])

    @classmethod
    def from_datasets(  # type: ignore[override]  # the columns come first, as in the constructors for tables
        cls,
        input_field: str | Sequence[str],
        target_fields: str | Sequence[str] | None = None,
        train_dataset: SampleDataset | None = None,
        val_dataset: SampleDataset | None = None,
        test_dataset: SampleDataset | None = None,
        predict_dataset: SampleDataset | None = None,
        *,
        in_memory: bool = False,
        **options: Any,
    ) -> Self:
        """Make a data module from datasets of the library ``datasets``, streaming or not, or from any rows of dicts.

        A stream (``datasets.load_dataset(..., streaming=True)``, or an ``IterableDataset`` of torch) is read in each
        epoch, in its own order; classes without names are learned in one pass before. With ``in_memory=True`` it is
        read once, completely, and shuffled, bucketed by length and split as other data is. The other arguments are
        those of ``from_data_frame``, with a dataset in place of each data frame.
        """
        if "target_field" in options:
            target_fields = take_alias(options, "target_field", "target_fields", target_fields)
        cls.check_options(options, cls.table_options())
        delimiter = options.pop("delimiter", None)
        input_field = cls.checked_input_field(input_field)
        sources = [input_field] if isinstance(input_field, str) else list(input_field)
        names = [target_fields] if isinstance(target_fields, str) else list(target_fields or ())

        def read(stage: Stage, dataset: Any) -> Any:
            fields = sources if stage is Stage.PREDICT else [*sources, *names]
            if is_row_stream(dataset) and not in_memory and cls.preprocess_cls.reads_lazily:
                targets = None if stage is Stage.PREDICT else target_fields
                return stream_inputs(dataset, input_field, targets, f"the {stage.value} data", delimiter)
            table = table_of_dataset(dataset, fields, f"the {stage.value} data")
            inputs: SampleInputs = cls.with_sources(
                SampleInputs.of_table(table, input_field, target_fields, stage, delimiter), stage
            )
            return replace(inputs, names=inputs.names or class_names(dataset, target_fields))

        datasets = Stages(train_dataset, val_dataset, test_dataset, predict_dataset)
        return cls.from_inputs(datasets.map(read), options, input_field)


class TextClassificationData(TextData):
    """Data module of texts with one class or several classes each.

    All constructors take, besides their data, the ``preprocess`` of a trained task, to use its classes, and the
    arguments of :class:`flash.DataModule`, such as ``batch_size`` (16 by default) and ``val_split``. Those for
    tables take a ``delimiter`` of classes, such as ``","``. Without it, a string is one class.

    A sample can be a pair of texts, such as a question with an answer: ``input_field`` is then a list of two columns,
    and the samples of ``from_lists`` are tuples of two texts.

    Example:
        >>> dm = TextClassificationData.from_lists(["fine film", "a bore"], ["positive", "negative"])
        >>> dm.num_classes, dm.labels
        (2, ['negative', 'positive'])
        >>> rows = [{"text": "loud and fast", "tags": "loud,fast"}, {"text": "slow", "tags": ""}]
        >>> dm = TextClassificationData.from_datasets("text", "tags", train_dataset=rows, delimiter=",")
        >>> dm.multi_label, dm.labels
        (True, ['fast', 'loud'])
        >>> rows = {"premise": ["It rains."] * 2, "hypothesis": ["It is wet.", "It is dry."], "holds": ["yes", "no"]}
        >>> dm = TextClassificationData.from_data_frame(["premise", "hypothesis"], "holds", rows)
        >>> dm.train_dataset[0]
        (('It rains.', 'It is wet.'), tensor(1))
    """


class TextRegressionData(TextData):
    """Data module of texts, or pairs of texts, with one number or several numbers each.

    The constructors and their arguments are those of :class:`TextClassificationData`, without ``delimiter``. Targets
    are numbers, or rows of numbers; ``target_fields`` is the column of a number, or a list of columns.

    Example:
        >>> dm = TextRegressionData.from_lists(["fine film", "a bore"], [4.5, 1.5])
        >>> dm.facts
        {'num_targets': 1, 'target_mean': [3.0], 'target_std': [1.5]}
    """

    preprocess_cls = TextRegressionPreprocess

    @classmethod
    def table_options(cls) -> Collection[str]:
        """Return the options of constructors for tables: none, since a number is not separated."""
        return ()
