"""QuestionAnsweringData: questions with contexts and answers, from files of SQuAD, tables, lists and datasets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import Self

from flash.data.inputs import SampleInputs
from flash.data.recognition import RawData, Recognition, recognize_files
from flash.data.stage import Stage, Stages
from flash.errors import ConfigurationError

from ..data import TextData
from .answers import is_squad, read_squad, rows_of
from .preprocess import QuestionAnsweringPreprocess

__all__ = ["QuestionAnsweringData"]


class QuestionAnsweringData(TextData):
    """Data module of questions, each with a context that a part of is the answer.

    A sample is a tuple of a question and its context; in tables ``input_field`` is the list of both columns. The
    answers are ``{"text": [...], "answer_start": [...]}`` as in the datasets of the hub, a list of dicts, or a text
    that is in the context once; empty if there is no answer. Training uses the first of several answers, scores the
    best.

    All constructors take, besides their data, the ``preprocess`` of a trained task, and the arguments of
    :class:`flash.DataModule`, such as ``batch_size`` (16 by default) and ``val_split``, which keeps the questions about
    one context together.

    Example:
        >>> dm = QuestionAnsweringData.from_lists([("Where?", "Ada lived in London.")], ["London"])
        >>> dm.train_dataset[0]
        (('Where?', 'Ada lived in London.'), [Answer(start=13, text='London')])
    """

    preprocess_cls = QuestionAnsweringPreprocess
    recognizes_tables = False

    @classmethod
    def recognize(
        cls,
        raw: RawData,
        target_fields: str | Sequence[str] | None = None,  # noqa: ARG003  # of the contract
    ) -> Recognition | None:
        """Recognize files of SQuAD, and folders with one named ``train``."""
        return recognize_files(raw, "from_squad", is_squad, "articles with paragraphs and questions, as of SQuAD")

    @classmethod
    def from_squad(
        cls,
        train_file: str | Path | None = None,
        val_file: str | Path | None = None,
        test_file: str | Path | None = None,
        predict_file: str | Path | None = None,
        **options: Any,
    ) -> Self:
        """Create a data module from files of SQuAD 1.1 or 2.0, such as ``train-v1.1.json``.

        Args:
            train_file: Questions to train on.
            val_file: Questions for validation.
            test_file: Questions for testing.
            predict_file: Questions for prediction, whose answers are ignored.
            options: The arguments of the class and of its preprocess.

        Raises:
            DataError: If a file is no such file, or an answer is not where it is said to be.
        """
        cls.check_options(options)

        def read(stage: Stage, file: Any) -> SampleInputs:
            pairs, answers = read_squad(file)
            return cls.with_sources(SampleInputs(pairs, None if stage is Stage.PREDICT else answers), stage)

        return cls.from_inputs(Stages(train_file, val_file, test_file, predict_file).map(read), options)

    @classmethod
    def table_options(cls) -> Collection[str]:
        """Return the options of constructors for tables: none, since answers are no classes."""
        return ()

    @classmethod
    def with_sources(
        cls,
        inputs: SampleInputs,
        stage: Stage,
        root: Any = None,  # noqa: ARG003  # for files
    ) -> SampleInputs:
        """Return inputs as questions with contexts and answers."""
        if inputs.names is not None:
            raise ConfigurationError(
                f"Expected target_fields to name one column, that of the answers, but got {list(inputs.names)!r}."
            )
        pairs = cls.preprocess_cls.sources_of(inputs.sources, f"the {stage.value} data")
        targets = None if inputs.targets is None else rows_of(list(pairs), list(inputs.targets), stage.value)
        return SampleInputs(pairs, targets)
