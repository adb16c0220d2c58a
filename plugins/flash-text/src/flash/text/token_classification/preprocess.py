"""TokenClassificationPreprocess: sentences to batches of windows of tokens, with the places of their words."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from flash.data.auto_dataset import AutoDataset
from flash.data.display import Display
from flash.data.inputs import SampleInputs
from flash.data.pieces import WORD
from flash.data.portable import Portable
from flash.data.requests import RequestFields
from flash.data.stage import Stage
from flash.errors import ConfigurationError, DataError

from ..preprocess import NO_TASK, TextPreprocess
from ..tokens import pad, portable_tokens, token_inputs
from .conll import read_conll
from .samples import Sentences, TagTokenizerConfig
from .sentences import Sentence, sentence_of
from .tags import TagLabels, checked_scheme, describe_entities, entities_of

__all__ = ["TokenClassificationPreprocess"]


class TokenClassificationPreprocess(TextPreprocess):
    """Tokenize sentences to batches of windows, and encode the tags of their words as indices.

    The inputs of a batch are ``word_counts``, the number of words of each sentence, shape ``(batch,)``; ``input_ids``
    and ``attention_mask`` of the windows of all sentences, shape ``(windows, tokens)``; ``places``, where the first
    token of each word is in the flat ids, shape ``(words,)``, -1 for a word without tokens; and in validation, testing
    and prediction ``sentences``. The targets are ``word_counts`` and ``tags``, shape ``(words,)``.

    Args:
        input_field: The column of texts or words, for the prediction of tables and files.
        scheme: The scheme of the tags in the data: ``"bio"``, ``"iob1"``, ``"bioes"``, or ``"auto"`` to find it in the
            train data.

    Example:
        >>> preprocess = TokenClassificationPreprocess("text")
        >>> preprocess.input_field, preprocess.scheme
        ('text', 'auto')
    """

    max_input_fields = 1
    has_parts = False
    targets_cls = TagLabels  # type: ignore[assignment]  # with another learn

    def __init__(self, input_field: str | Sequence[str] | None = None, scheme: str = "auto") -> None:
        super().__init__(input_field)
        self.scheme = checked_scheme(scheme)

    # ------------------------------------------------------------------ datasets

    @classmethod
    def sources_of(
        cls,
        values: Sequence[Any],
        name: str,
        root: Path | None = None,  # noqa: ARG003  # for files
    ) -> Any:
        """Return values as sentences: raw texts, or lists of words."""
        return [sentence_of(value, f"row {row} (counted from 0) of {name}") for row, value in enumerate(values)]

    def classes_to_split_by(self, inputs: Any) -> list[Any]:
        """Return an empty list, since a sentence has tags of many kinds."""
        return []

    def load_data(self, data: Any, dataset: AutoDataset) -> Sentences:
        """Encode the tags; for train data, learn them first.

        Raises:
            DataError: If there are no tags, or some do not fit those of the train data.
        """
        stage = dataset.hooks.stage
        if data.targets is None:
            raise DataError(
                f"Expected the tags of the words of the {stage.value} data, but got none. Name target_fields, or pass "
                "targets."
            )
        known: Any = self.targets
        if known is None and not self.training:
            raise DataError(
                "Expected tags that were learned from train data, but there are none yet. Add train data, or pass "
                "preprocess=task.preprocess of a task that was trained."
            )
        learned: TagLabels = known or TagLabels.learn(data.targets, data.names, self.scheme)
        encoded = learned.encode(data.targets, stage.value)
        self.targets = learned  # type: ignore[assignment]  # as above
        if self.training:
            for name, fact in learned.facts().items():
                setattr(dataset, name, fact)
        return Sentences(data.sources, encoded)

    def make_samples(self, sources: Sequence[Any], targets: Any, stage: Stage) -> Sentences:
        """Return the samples before tokenization."""
        return Sentences(self.sources_of(sources, f"the {stage.value} data"), targets)

    def prepare_samples(self, samples: Any, dataset: AutoDataset) -> Any:
        """Tokenize all sentences, if a task is connected."""
        spec = self.input_spec
        return samples.tokenize(spec, dataset.hooks.stage) if isinstance(spec, TagTokenizerConfig) else samples

    def check_input_spec(self, input_spec: Any) -> None:
        """Raise an error if the task has other tags, or the same in another order."""
        labels = getattr(self.targets, "labels", None)
        if labels is None or not isinstance(input_spec, TagTokenizerConfig) or input_spec.labels is None:
            return
        if list(labels) != list(input_spec.labels):
            raise ConfigurationError(
                f"Expected data with the tags of the task, {list(input_spec.labels)}, but it has {list(labels)}. Make "
                "the data with the task's preprocess, preprocess=task.preprocess, or the task with "
                "TokenClassifier.from_data(datamodule)."
            )

    # ------------------------------------------------------------------ prediction

    def inputs_to_predict(self, data: Any) -> SampleInputs:
        """Convert the argument of ``predict``: sentences, a table, or the path of a table or of a file of CoNLL."""
        if self.input_field is None and isinstance(data, str | Path) and os.path.isfile(data):
            words, _ = read_conll(data, tag_column=None)
            return SampleInputs([Sentence.of_words(each) for each in words])
        found: SampleInputs = super().inputs_to_predict(data)
        return found

    def is_table_to_predict(self, data: Any) -> bool:
        """Return whether the argument of ``predict`` is the path of a table: not if there were none in training."""
        return self.input_field is not None and super().is_table_to_predict(data)

    # ------------------------------------------------------------------ batches

    def collate(self, samples: Sequence[Any]) -> Any:
        """Pad the windows of all sentences to the longest one."""
        if not isinstance(self.input_spec, TagTokenizerConfig):
            raise DataError(NO_TASK)
        padded = pad([ids for each in samples for ids in each.windows], self.input_spec.pad_id, self._length)
        width, first, places = padded["input_ids"].shape[1], 0, []
        for each in samples:
            places.append(np.where(each.place < 0, -1, (each.window + first) * width + each.place))
            first += len(each.windows)
        counts = torch.tensor([len(each.place) for each in samples])
        inputs = {"word_counts": counts, **padded, "places": torch.from_numpy(np.concatenate(places)).long()}
        if not self.training:
            inputs["sentences"] = [each.sentence for each in samples]  # type: ignore[assignment]  # no tensor
        if self.predicting:
            return inputs
        tags = torch.from_numpy(np.concatenate([each.tags for each in samples])).long()
        return inputs, {"word_counts": counts, "tags": tags}

    @property
    def _length(self) -> int | None:
        spec: Any = self.input_spec
        length: int | None = spec.padded_length
        return length

    # ------------------------------------------------------------------ for a person

    def display(self, samples: Any, rows: Sequence[int]) -> Sequence[Display]:
        """Return the text of each sentence."""
        return [samples.sentences[row].text for row in rows]

    def display_targets(self, samples: Any, rows: Sequence[int]) -> Sequence[str] | None:
        """Return the entities of each sentence."""
        labels = getattr(self.targets, "labels", None)
        if samples.tags is None or labels is None:
            return None
        return [
            describe_entities(samples.sentences[row], entities_of([labels[tag] for tag in samples.tags[row]]))
            for row in rows
        ]

    def request_fields(self) -> RequestFields:
        """Return that a sample is a text."""
        return RequestFields("text", [])

    def portable(self) -> Portable:
        """Return the inputs of the network for one window per row, and how the encoder divides texts into windows."""
        spec = self.input_spec
        if not isinstance(spec, TagTokenizerConfig):
            return Portable(reason="no task is connected, whose backbone has the tokenizer")
        inputs = token_inputs(spec.tokenizer, spec.max_length, spec.padded_length)
        settings = {"parts": "entities", "word": WORD, "overlap": spec.overlap, "segments": False}
        return portable_tokens(inputs, spec.tokenizer, self._settings(spec) | settings)
