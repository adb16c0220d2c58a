"""TextPreprocess: texts become batches of tokens, targets become numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from flash.data.auto_dataset import AutoDataset
from flash.data.samples import SamplePreprocess
from flash.data.stage import Stage
from flash.errors import DataError

from .rows import TextRows, Tokenization
from .texts import PackedTexts, texts_of
from .tokens import pad

__all__ = ["NO_TASK", "TextPreprocess"]

#: The message for batches of texts that nobody can tokenize yet.
NO_TASK = (
    "Expected a task, whose backbone says how texts become tokens, but this data has met none yet. Make the task "
    "first, with from_data(datamodule)."
)


class TextPreprocess(SamplePreprocess):
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

    noun = "text"

    def __init__(self, input_field: str | None = None) -> None:
        self.input_field = input_field

    @classmethod
    def sources_of(cls, values: Sequence[Any], name: str, root: Path | None = None) -> PackedTexts:  # noqa: ARG003  # for files
        """Return values as texts; numbers become their digits."""
        return values if isinstance(values, PackedTexts) else PackedTexts(texts_of(values, name))

    def sources_to_predict(self, data: Any) -> list[Any]:
        """Take a list of texts."""
        if isinstance(data, str):
            raise DataError(
                f"Expected a list of texts, a data frame or the path of a file, but got the text {data[:40]!r}. "
                "For a single text, pass [text]."
            )
        if not hasattr(data, "__iter__"):
            raise DataError(
                f"Expected a list of texts, a data frame or the path of a file, but got a {type(data).__name__}. "
                "For a single text, pass [text]."
            )
        return list(data)

    def make_samples(self, sources: Sequence[Any], targets: Any, stage: Stage) -> Any:  # as in core
        """Return texts that wait for a tokenizer."""
        return TextRows(self.sources_of(sources, f"the {stage.value} data"), targets)

    def prepare_samples(self, samples: Any, dataset: AutoDataset) -> Any:
        """Tokenize the texts, all at once."""
        spec = self.input_spec
        return samples.tokenized(spec, dataset.hooks.stage) if isinstance(spec, Tokenization) else samples

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

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what another preprocess learned."""
        # A checkpoint of flash-text 0.1.0 calls it classes.
        super().load_state_dict({"targets": state["classes"], **state} if "classes" in state else state)
