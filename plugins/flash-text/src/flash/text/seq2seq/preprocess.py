"""Seq2SeqPreprocess: pairs of texts become batches of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flash import Preprocess
from flash.data.auto_dataset import AutoDataset
from flash.data.stage import Stage
from flash.errors import DataError

from ..preprocess import NO_TASK, TextPreprocess
from ..rows import TextInputs
from ..texts import PackedTexts, texts_of
from ..tokens import pad
from .pairs import Encoding, TextPairs, TokenPairs, pad_labels

__all__ = ["Seq2SeqPreprocess"]


class Seq2SeqPreprocess(Preprocess):
    """Turns pairs of texts into batches of tokens, as wide as their longest text.

    A batch is ``(inputs, targets)``. The inputs are ``input_ids`` and ``attention_mask``, shape ``(batch, tokens)``;
    the targets are ``labels``, shape ``(batch, tokens)``, -100 where the loss does not look, and for validation and
    testing ``texts``, a list of the texts to write as they were given. To predict, a batch is the inputs alone.

    How texts become tokens, the task states as its ``input_spec``; nothing is learned from the train data.

    Args:
        input_field: The column of texts to read, where tables or files are to be predicted.

    Example:
        >>> preprocess = Seq2SeqPreprocess("document")
        >>> preprocess.input_field, preprocess.state_dict()
        ('document', {})
    """

    def __init__(self, input_field: str | None = None) -> None:
        self.input_field = input_field

    def load_data(self, data: TextInputs, dataset: AutoDataset) -> TextPairs:
        """Take texts with the texts to write; they become tokens later, once.

        Raises:
            DataError: If there are no targets, or one of them is missing or empty.
        """
        stage = dataset.hooks.stage
        return TextPairs(data.texts, PackedTexts(_targets(data, f"the {stage.value} data")))

    def predict_load_data(self, data: Any) -> TextPairs:
        """Take texts to read: a list, a table or a file."""
        return TextPairs(TextPreprocess(self.input_field).predict_load_data(data).texts)

    def prepare_samples(self, samples: TextPairs, dataset: AutoDataset) -> TextPairs | TokenPairs:
        """Tokenize the texts, all at once."""
        spec = self.input_spec
        return samples.tokenized(spec, dataset.hooks.stage) if isinstance(spec, Encoding) else samples

    def to_tensor_transform(self, sample: Any) -> Any:
        """Leave the token ids as they are until they are padded."""
        return sample

    def collate(self, samples: Sequence[Any]) -> Any:
        """Pad texts to the longest of them."""
        if not isinstance(self.input_spec, Encoding):
            raise DataError(NO_TASK)
        pad_id = self.input_spec.pad_id
        if self.predicting:
            return pad(samples, pad_id)
        targets: dict[str, Any] = {"labels": pad_labels([pair.target for pair in samples])}
        if not self.training:
            targets["texts"] = [pair.text for pair in samples]
        return pad([pair.source for pair in samples], pad_id), targets

    def is_deterministic(self, stage: Stage) -> bool:
        """Texts come out alike each time."""
        return True


def _targets(data: TextInputs, source: str) -> list[str]:
    if data.targets is None:
        raise DataError(f"Expected texts to write in {source}, but there are none. Name the column: target_fields.")
    targets = texts_of(data.targets, f"the targets of {source}")
    empty = [row for row, target in enumerate(targets) if not target.strip()]
    if empty:
        raise DataError(
            f"Expected a text to write in each row of {source}, but {len(empty):,} of {len(targets):,} are empty, the "
            f"first of them row {empty[0]} (counted from 0). Drop these rows."
        )
    return targets
