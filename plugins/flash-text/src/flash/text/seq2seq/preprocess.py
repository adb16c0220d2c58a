"""Seq2SeqPreprocess: pairs of texts to batches of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flash.data.auto_dataset import AutoDataset
from flash.data.display import Display
from flash.data.inputs import SampleInputs
from flash.data.messages import show
from flash.data.portable import Portable
from flash.data.stage import Stage
from flash.errors import DataError

from ..preprocess import NO_TASK, TextPreprocess
from ..texts import PackedTexts, texts_of
from ..tokens import pad, portable_tokens, token_inputs
from .samples import Seq2SeqTokenizerConfig, TextPairs, pad_labels

__all__ = ["Seq2SeqPreprocess"]


class Seq2SeqPreprocess(TextPreprocess):
    """Tokenize pairs of texts to batches that are padded to their longest text.

    A batch is ``(inputs, targets)``. The inputs are ``input_ids`` and ``attention_mask``, shape ``(batch, tokens)``;
    the targets are ``labels``, shape ``(batch, tokens)``, with -100 for padding, and for validation and testing
    ``texts``, a list of the original target texts. For prediction, a batch is the inputs only.

    The tokenizer is that of the task's ``input_spec``; nothing is fitted on the train data.

    Args:
        input_field: The column of source texts, for the prediction of tables and files.

    Example:
        >>> preprocess = Seq2SeqPreprocess("document")
        >>> preprocess.input_field, preprocess.state_dict()
        ('document', {})
    """

    max_input_fields = 1
    has_parts = False
    reads_lazily = False

    @classmethod
    def sources_of(cls, values: Sequence[Any], name: str, root: Any = None) -> PackedTexts:
        """Return values as texts; numbers are converted to strings.

        Raises:
            DataError: If they are pairs of texts.
        """
        texts = super().sources_of(values, name, root)
        if isinstance(texts, PackedTexts):
            return texts
        raise DataError(
            f"Expected one source text in each row of {name}, but got a pair of texts: {show(texts[0])}. Join the two "
            "texts to one."
        )

    def load_data(self, data: SampleInputs, dataset: AutoDataset) -> TextPairs:
        """Return the samples before tokenization.

        Raises:
            DataError: If there are no targets, or one of them is missing or empty.
        """
        stage = dataset.hooks.stage
        return self.make_samples(data.sources, PackedTexts(_targets(data, f"the {stage.value} data")), stage)

    def classes_to_split_by(self, inputs: SampleInputs) -> list[Any]:
        """Return an empty list, as target texts are no classes.

        Raises:
            DataError: If a target text is missing or empty.
        """
        _targets(inputs, "the train data")
        return []

    def make_samples(self, sources: Sequence[Any], targets: Any, stage: Stage) -> TextPairs:
        """Return the samples before tokenization."""
        return TextPairs(self.sources_of(sources, f"the {stage.value} data"), targets)

    def prepare_samples(self, samples: Any, dataset: AutoDataset) -> Any:
        """Tokenize all texts, if a task is connected."""
        spec = self.input_spec
        return samples.tokenize(spec, dataset.hooks.stage) if isinstance(spec, Seq2SeqTokenizerConfig) else samples

    def display(self, samples: Any, rows: Sequence[int]) -> Sequence[Display]:
        """Return each source text."""
        return samples.source_texts.pick(rows)  # type: ignore[no-any-return]  # of PackedTexts

    def display_targets(self, samples: Any, rows: Sequence[int]) -> Sequence[str] | None:
        """Return each target text."""
        return samples.target_texts.pick(rows)  # type: ignore[no-any-return]  # of PackedTexts

    def portable(self) -> Portable:
        """Return the inputs of the encoder, and the file and the settings of the tokenizer."""
        spec = self.input_spec
        if not isinstance(spec, Seq2SeqTokenizerConfig):
            return Portable(reason="no task is connected, whose backbone has the tokenizer")
        settings = {
            "max_length": spec.max_source_length,
            "pad_id": spec.pad_id,
            "padded_length": None,
            "segments": False,
            "prefix": spec.prefix,
            "input_fields": [] if self.input_field is None else [self.input_field],
        }
        return portable_tokens(token_inputs(spec.tokenizer, spec.max_source_length), spec.tokenizer, settings)

    def collate(self, samples: Sequence[Any]) -> Any:
        """Pad texts to the longest one of the batch."""
        if not isinstance(self.input_spec, Seq2SeqTokenizerConfig):
            raise DataError(NO_TASK)
        pad_id = self.input_spec.pad_id
        if self.predicting:
            return pad(samples, pad_id)
        targets: dict[str, Any] = {"labels": pad_labels([pair.target for pair in samples])}
        if not self.training:
            targets["texts"] = [pair.text for pair in samples]
        return pad([pair.source for pair in samples], pad_id), targets


def _targets(data: SampleInputs, source: str) -> list[str]:
    if data.targets is None:
        raise DataError(f"Expected target texts in {source}, but there are none. Name the column: target_fields.")
    targets = texts_of(data.targets, f"the targets of {source}")
    empty = [row for row, target in enumerate(targets) if not target.strip()]
    if empty:
        raise DataError(
            f"Expected a target text in each row of {source}, but {len(empty):,} of {len(targets):,} are empty, the "
            f"first of them row {empty[0]} (counted from 0). Drop these rows."
        )
    return targets
