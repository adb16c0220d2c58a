"""TextPreprocess: texts become batches of tokens, targets become numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from flash import Preprocess
from flash.data.auto_dataset import AutoDataset
from flash.data.labels import ClassLabels
from flash.data.stage import Stage
from flash.data.tables import is_table, is_table_file, read_table
from flash.errors import DataError

from .rows import TextInputs, TextRows, Tokenization, TokenRows
from .texts import PackedTexts, texts_of
from .tokens import pad

__all__ = ["NO_TASK", "TextPreprocess"]

#: The message for batches of texts that nobody can tokenize yet.
NO_TASK = (
    "Expected a task, whose backbone says how texts become tokens, but this data has met none yet. Make the task "
    "first, with from_data(datamodule)."
)


class TextPreprocess(Preprocess):
    """Turns texts into batches of tokens, as wide as their longest text, and targets into class numbers.

    How texts become tokens, the task states as its ``input_spec``; the classes come from the train data, and are the
    state of this object, which a checkpoint carries.

    Args:
        input_field: The column of texts, where tables or files are to be predicted.

    Example:
        >>> from flash.data.auto_dataset import AutoDataset
        >>> preprocess = TextPreprocess()
        >>> letters = Tokenization(lambda texts: [[ord(letter) for letter in text] for text in texts], max_length=3)
        >>> dataset = AutoDataset(["abc", "d"], Stage.PREDICT, preprocess, letters)
        >>> dataset.hooks.collate([dataset[0], dataset[1]])["input_ids"]
        tensor([[ 97,  98,  99],
                [100,   0,   0]])
    """

    def __init__(self, input_field: str | None = None) -> None:
        self.input_field = input_field
        self.classes: ClassLabels | None = None

    def load_data(self, data: TextInputs, dataset: AutoDataset) -> TextRows:
        """Encode the targets of texts; of train data, learn the classes first, once."""
        stage = dataset.hooks.stage
        if data.targets is None:
            raise DataError(f"Expected targets in the {stage.value} data, but there are none. Name target_fields.")
        if self.classes is None and not self.training:
            raise DataError(
                "Expected classes that were learned from train data, but there are none yet. Add train data, or pass "
                "preprocess=task.preprocess of a task that was trained."
            )
        classes = self.classes or ClassLabels.learn(data.targets, data.names)
        targets = classes.encode(data.targets, stage.value)
        self.classes = classes
        if self.training:
            for name, fact in classes.facts(targets).items():
                setattr(dataset, name, fact)
        return TextRows(data.texts, targets)

    def predict_load_data(self, data: Any) -> TextRows:
        """Take texts without targets: a list, a table or a file."""
        texts = data.texts if isinstance(data, TextInputs) else PackedTexts(self._texts(data))
        return TextRows(texts)

    def prepare_samples(self, samples: TextRows, dataset: AutoDataset) -> TextRows | TokenRows:
        """Tokenize the texts, all at once."""
        spec = self.input_spec
        return samples.tokenized(spec, dataset.hooks.stage) if isinstance(spec, Tokenization) else samples

    def _texts(self, data: Any) -> list[str]:
        if isinstance(data, Path) or (is_table_file(data) and Path(data).is_file()):
            return texts_of(read_table(data)[self._field()], "the predict data")
        if isinstance(data, str):
            raise DataError(
                f"Expected a list of texts, a data frame or the path of a file, but got the text {data[:40]!r}. "
                "For a single text, pass [text]."
            )
        rows = list(data) if isinstance(data, Iterator) else data
        if is_table(rows):
            return texts_of(read_table(rows, name="the predict data")[self._field()], "the predict data")
        if not hasattr(rows, "__iter__"):
            raise DataError(
                f"Expected a list of texts, a data frame or the path of a file, but got a {type(data).__name__}. "
                "For a single text, pass [text]."
            )
        return texts_of(rows, "the predict data")

    def _field(self) -> str:
        if self.input_field is None:
            raise DataError(
                "Expected a list of texts, since the task was not trained on a table and knows no column of texts. "
                "Pass the column: task.predict(list(table['review']))."
            )
        return self.input_field

    def to_tensor_transform(self, sample: Any) -> Any:
        """Leave the token ids as they are until they are padded."""
        return sample

    def collate(self, samples: Sequence[Any]) -> Any:
        """Pad texts to the longest of them: ``input_ids`` and ``attention_mask``, and the targets."""
        if not isinstance(self.input_spec, Tokenization):
            raise DataError(NO_TASK)
        pad_id = self.input_spec.pad_id
        if not isinstance(samples[0], tuple):
            return pad(samples, pad_id)
        ids, targets = zip(*samples, strict=True)
        return pad(ids, pad_id), torch.stack(targets)

    def is_deterministic(self, stage: Stage) -> bool:
        """Texts come out alike each time."""
        return True

    def state_dict(self) -> dict[str, Any]:
        """The classes."""
        return {} if self.classes is None else {"classes": self.classes.to_plain()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what another preprocess learned."""
        if state:
            self.classes = ClassLabels.from_plain(state["classes"])
