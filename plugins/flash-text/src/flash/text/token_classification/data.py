"""TokenClassificationData: texts with entities, from files of CoNLL, tables, lists and datasets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import Self

from flash.data.inputs import SampleInputs, Samples, Targets, pair_inputs
from flash.data.recognition import RawData, Recognition, recognize_files
from flash.data.stage import Stage, Stages
from flash.errors import ConfigurationError

from ..data import TextData
from .conll import is_conll, read_conll
from .preprocess import TokenClassificationPreprocess
from .spans import read_rows

__all__ = ["TokenClassificationData"]


class TokenClassificationData(TextData):
    """Data module of texts whose words have tags, such as those of named entities.

    A text is a list of words with a list of tags, or raw text with a list of spans: dicts of ``start``, ``end`` (places
    of characters; the end is behind the last one) and ``label``. Tags mark entities by the schemes ``"bio"`` (IOB2),
    ``"iob1"`` or ``"bioes"`` (BILOU); ``scheme="auto"``, the default, finds out which one the train data has. The
    labels of the task are always those of ``"bio"``.

    All constructors take, besides their data, ``scheme``, the ``preprocess`` of a trained task, to use its tags, and
    the arguments of :class:`flash.DataModule`, such as ``batch_size`` (16 by default) and ``val_split``.

    Example:
        >>> dm = TokenClassificationData.from_lists([["Ada", "slept"]], [["B-PER", "O"]])
        >>> dm.labels
        ['O', 'B-PER', 'I-PER']
        >>> spans = [{"start": 0, "end": 3, "label": "PER"}]
        >>> dm = TokenClassificationData.from_lists(["Ada slept."], [spans])
        >>> dm.train_dataset[0]
        (Sentence('Ada slept.'), array([1, 0, 0], dtype=int16))
    """

    preprocess_cls = TokenClassificationPreprocess
    recognizes_tables = False

    @classmethod
    def recognize(
        cls,
        raw: RawData,
        target_fields: str | Sequence[str] | None = None,  # noqa: ARG003  # of the contract
    ) -> Recognition | None:
        """Recognize files with a word and its tag in each line, and folders with one named ``train``."""
        return recognize_files(raw, "from_conll", is_conll, "a word and its tag in each line")

    @classmethod
    def from_conll(
        cls,
        train_file: str | Path | None = None,
        val_file: str | Path | None = None,
        test_file: str | Path | None = None,
        predict_file: str | Path | None = None,
        *,
        word_column: int = 0,
        tag_column: int = -1,
        sep: str | None = None,
        encoding: str = "utf-8-sig",
        **options: Any,
    ) -> Self:
        """Create a data module from files with a word and its tag in each line, as of CoNLL-2003.

        Args:
            train_file: Sentences to train on.
            val_file: Sentences for validation.
            test_file: Sentences for testing.
            predict_file: Sentences for prediction, of which the words are read alone.
            word_column: The column of words, counted from 0.
            tag_column: The column of tags, by default the last one.
            sep: The separator of the columns; by default a tab if a line has one, and else spaces.
            encoding: The encoding of the files.
            options: The arguments of the class and of its preprocess, such as ``scheme``.

        Raises:
            DataError: If a file or a line cannot be read, or tags fit no scheme.
        """
        cls.check_options(options)

        def read(stage: Stage, file: Any) -> SampleInputs:
            column = None if stage is Stage.PREDICT else tag_column
            words, tags = read_conll(file, word_column=word_column, tag_column=column, sep=sep, encoding=encoding)
            return cls.with_sources(SampleInputs(words, tags), stage)

        return cls.from_inputs(Stages(train_file, val_file, test_file, predict_file).map(read), options)

    @classmethod
    def from_lists(
        cls,
        train_data: Samples | None = None,
        train_targets: Targets | None = None,
        val_data: Samples | None = None,
        val_targets: Targets | None = None,
        test_data: Samples | None = None,
        test_targets: Targets | None = None,
        predict_data: Samples | None = None,
        **options: Any,
    ) -> Self:
        """Create a data module from lists of words, or texts, with their tags, or spans.

        Args:
            train_data: Texts to train on: a list of words each, or raw text.
            train_targets: A list of tags per list of words; a list of spans per raw text.
            val_data: Texts for validation.
            val_targets: Their tags or spans.
            test_data: Texts for testing.
            test_targets: Their tags or spans.
            predict_data: Texts for prediction.
            options: The arguments of the class and of its preprocess, such as ``scheme``.

        Raises:
            DataError: If there are not as many tags as words, or tags or spans do not fit.
        """
        cls.check_options(options)
        given = Stages(
            (train_data, train_targets), (val_data, val_targets), (test_data, test_targets), (predict_data, None)
        )

        def pair(stage: Stage, both: tuple[Any, Any]) -> SampleInputs | None:
            inputs = pair_inputs(stage, *both, cls.preprocess_cls.noun)
            return None if inputs is None else cls.with_sources(inputs, stage)

        return cls.from_inputs(given.map(pair), options)

    @classmethod
    def table_options(cls) -> Collection[str]:
        """Return the options of constructors for tables: none, since tags are in lists."""
        return ()

    @classmethod
    def with_sources(
        cls,
        inputs: SampleInputs,
        stage: Stage,
        root: Any = None,  # noqa: ARG003  # for files
    ) -> SampleInputs:
        """Return inputs as sentences with tags."""
        if inputs.names is not None:
            raise ConfigurationError(
                f"Expected target_fields to name one column, that of the tags or spans, but got {list(inputs.names)!r}."
            )
        sentences, tags = read_rows(list(inputs.sources), inputs.targets, stage.value)
        return SampleInputs(sentences, tags)
