"""QuestionAnsweringPreprocess: questions with contexts to batches of windows of tokens."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from flash.data.auto_dataset import AutoDataset
from flash.data.inputs import SampleInputs
from flash.data.portable import Portable
from flash.data.splits import split_inputs
from flash.data.stage import Stage
from flash.errors import DataError

from ..preprocess import NO_TASK, TextPreprocess
from ..texts import PackedPairs, packed
from ..tokens import pad, portable_tokens, token_inputs
from .answers import describe_answer, read_squad
from .samples import AnswerTokenizerConfig, Questions

__all__ = ["QuestionAnsweringPreprocess"]


class QuestionAnsweringPreprocess(TextPreprocess):
    """Tokenize questions with their contexts to batches of windows.

    The inputs of a batch are ``window_counts``, the number of windows of each question, shape ``(batch,)``;
    ``input_ids`` and ``attention_mask``, shape ``(windows, tokens)``, and ``token_type_ids`` if the network takes them;
    ``allowed``, the tokens of contexts and the first token of each window, which stands for no answer, of the same
    shape; and ``passages``. The targets are ``window_counts``, ``spans``, the first and the last token of the answer in
    each window, shape ``(windows, 2)``, and in validation and testing ``answers``, lists of texts.

    Args:
        input_field: The columns of questions and contexts, for the prediction of tables and files.

    Example:
        >>> QuestionAnsweringPreprocess(["question", "context"]).state_dict()
        {}
    """

    pairs = True
    has_parts = False
    #: Whether some questions of the train data have no answer; ``None`` before there was any.
    unanswerable: bool | None = None

    @classmethod
    def sources_of(
        cls,
        values: Sequence[Any],
        name: str,
        root: Path | None = None,  # noqa: ARG003  # for files
    ) -> PackedPairs:
        """Return values as questions with contexts.

        Raises:
            DataError: If they are single texts, or a context is empty.
        """
        pairs = packed(values, name)
        if not isinstance(pairs, PackedPairs):
            raise DataError(
                f"Expected a question with its context in each row of {name}, but got single texts. Pass tuples "
                "(question, context), or a table with both columns."
            )
        empty = next((row for row, (_, context) in enumerate(pairs) if not context.strip()), None)
        if empty is not None:
            raise DataError(f"Expected a context in row {empty} (counted from 0) of {name}, but it is empty. Drop it.")
        return pairs

    def split(
        self,
        data: Any,
        fraction: float,
        seed: int,
        groups: Sequence[Any] | None = None,
        times: Sequence[float] | None = None,
    ) -> tuple[Any, Any]:
        """Split the train inputs; the questions about one context stay together, if no other groups are passed."""
        if groups is None and times is None:
            contexts = [context for _, context in data.sources]
            groups = contexts if 1 < len({*contexts}) < len(contexts) else None
        return split_inputs(data, fraction, seed, [], groups, times)

    def load_data(self, data: SampleInputs, dataset: AutoDataset) -> Questions:
        """Return the samples before tokenization; of train data, learn whether there are questions without answer."""
        stage = dataset.hooks.stage
        if data.targets is None:
            raise DataError(
                f"Expected answers to the questions of the {stage.value} data, but got none. Name target_fields, or "
                "pass targets."
            )
        if self.training:
            if self.unanswerable is None:
                self.unanswerable = not all(data.targets)
            if not any(data.targets):
                raise DataError("Expected an answer to some question of the train data, but all have none.")
            facts: Any = dataset
            facts.unanswerable = self.unanswerable
        return Questions(self.sources_of(data.sources, f"the {stage.value} data"), list(data.targets))

    def make_samples(self, sources: Sequence[Any], targets: Any, stage: Stage) -> Questions:
        """Return the samples before tokenization."""
        return Questions(self.sources_of(sources, f"the {stage.value} data"), targets)

    def inputs_to_predict(self, data: Any) -> SampleInputs:
        """Convert the argument of ``predict``: questions with contexts, a table, or the path of either."""
        if self.input_field is None and isinstance(data, str | Path) and os.path.isfile(data):
            pairs, _ = read_squad(data)
            return SampleInputs(self.sources_of(pairs, "the predict data"))
        found: SampleInputs = super().inputs_to_predict(data)
        return found

    def is_table_to_predict(self, data: Any) -> bool:
        """Return whether the argument of ``predict`` is the path of a table: not if there were none in training."""
        return self.input_field is not None and super().is_table_to_predict(data)

    def prepare_samples(self, samples: Any, dataset: AutoDataset) -> Any:
        """Tokenize all questions, if a task is connected."""
        spec = self.input_spec
        return samples.tokenize(spec) if isinstance(spec, AnswerTokenizerConfig) else samples

    def collate(self, samples: Sequence[Any]) -> Any:
        """Pad the windows of all questions to the longest one."""
        spec = self.input_spec
        if not isinstance(spec, AnswerTokenizerConfig):
            raise DataError(NO_TASK)
        padded = pad([ids for each in samples for ids in each.windows], spec.pad_id, spec.padded_length)
        allowed = torch.zeros_like(padded["input_ids"], dtype=torch.bool)
        allowed[:, 0] = True
        row = 0
        for each in samples:
            for first, offsets in zip(each.passage.firsts, each.passage.offsets, strict=True):
                allowed[row, first : first + len(offsets)] = True
                row += 1
        counts = torch.tensor([len(each.windows) for each in samples])
        inputs: dict[str, Any] = {"window_counts": counts, **padded, "allowed": allowed}
        if not self.training:
            inputs["passages"] = [each.passage for each in samples]
        if self.predicting:
            return inputs
        targets: dict[str, Any] = {
            "window_counts": counts,
            "spans": torch.cat([torch.from_numpy(each.spans) for each in samples]),
        }
        if not self.training:
            targets["answers"] = [each.answers for each in samples]
        return inputs, targets

    @property
    def _pair_names(self) -> tuple[str, str]:
        names = self.input_field
        return ("question", "context") if names is None or isinstance(names, str) else (names[0], names[1])

    def display_targets(self, samples: Any, rows: Sequence[int]) -> Sequence[str] | None:
        """Return the first answer to each question."""
        if samples.answers is None:
            return None
        return [describe_answer(samples.answers[row][0].text if samples.answers[row] else "") for row in rows]

    def portable(self) -> Portable:
        """Return the inputs of the network for a window per row, and how the encoder divides contexts."""
        spec = self.input_spec
        if not isinstance(spec, AnswerTokenizerConfig):
            return Portable(reason="no task is connected, whose backbone has the tokenizer")
        inputs = token_inputs(spec.tokenizer, spec.max_length, spec.padded_length, spec.segments)
        settings = {"parts": "answers", "overlap": spec.overlap, "segments": spec.segments}
        return portable_tokens(inputs, spec.tokenizer, self._settings(spec) | settings)

    def state_dict(self) -> dict[str, Any]:
        """Return the columns, and whether there are questions without answer."""
        if self.unanswerable is None:
            return {}
        return {"input_field": self.input_field, "unanswerable": self.unanswerable}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the state of another preprocess."""
        if state:
            self.input_field = state.get("input_field", self.input_field)
            self.unanswerable = state["unanswerable"]
