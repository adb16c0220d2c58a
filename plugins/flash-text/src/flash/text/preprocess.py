"""TextPreprocess: texts to batches of tokens, classes to indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from flash.data.auto_dataset import AutoDataset
from flash.data.samples import SamplePreprocess
from flash.data.stage import Stage
from flash.errors import DataError

from .samples import Texts, TokenizerConfig
from .texts import PackedTexts, texts_of
from .tokens import pad

__all__ = ["NO_TASK", "TextPreprocess"]

#: The error message for batches of texts without a connected task.
NO_TASK = (
    "Expected a task, whose backbone has the tokenizer, but this data is not connected with one yet. Make the task "
    "first, with from_data(datamodule)."
)


class TextPreprocess(SamplePreprocess):
    """Tokenize texts to batches that are padded to their longest text, and encode classes as indices.

    The tokenizer is that of the task's ``input_spec``; the classes are those of the train data, and are saved in
    checkpoints as the state of this object.

    Args:
        input_field: The column of texts, for the prediction of tables and files.

    Example:
        >>> from flash.data.auto_dataset import AutoDataset
        >>> preprocess = TextPreprocess()
        >>> letters = TokenizerConfig(lambda texts: [[ord(letter) for letter in text] for text in texts], max_length=3)
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
        """Return values as texts; numbers are converted to strings."""
        return values if isinstance(values, PackedTexts) else PackedTexts(texts_of(values, name))

    def sources_to_predict(self, data: Any) -> list[Any]:
        """Normalize the input of ``predict`` to a list of texts."""
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
        """Return the samples before tokenization."""
        return Texts(self.sources_of(sources, f"the {stage.value} data"), targets)

    def prepare_samples(self, samples: Any, dataset: AutoDataset) -> Any:
        """Tokenize all texts, if a task is connected."""
        spec = self.input_spec
        return samples.tokenize(spec, dataset.hooks.stage) if isinstance(spec, TokenizerConfig) else samples

    def to_tensor_transform(self, sample: Any) -> Any:
        """Return the sample unchanged; token ids are converted to tensors when they are padded."""
        return sample

    def collate(self, samples: Sequence[Any]) -> Any:
        """Return ``input_ids`` and ``attention_mask``, padded to the longest text, and the targets if any."""
        if not isinstance(self.input_spec, TokenizerConfig):
            raise DataError(NO_TASK)
        pad_id = self.input_spec.pad_id
        if not isinstance(samples[0], tuple):
            return pad(samples, pad_id)
        ids, targets = zip(*samples, strict=True)
        return pad(ids, pad_id), torch.stack(targets)

    def is_deterministic(self, stage: Stage) -> bool:
        """Return ``True``: tokenization is deterministic."""
        return True

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the state of another preprocess."""
        # A checkpoint of flash-text 0.1.0 calls it classes.
        super().load_state_dict({"targets": state["classes"], **state} if "classes" in state else state)
