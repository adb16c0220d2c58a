"""TextPreprocess: texts to batches of tokens, classes to indices; and the same for numbers as targets."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from flash.data.auto_dataset import AutoDataset
from flash.data.display import Display
from flash.data.pieces import Pieces, without_words, words_of
from flash.data.portable import Portable
from flash.data.requests import RequestField, RequestFields
from flash.data.row_streams import StreamInputs
from flash.data.samples import SamplePreprocess
from flash.data.stage import Stage
from flash.data.stored_samples import StoredSamples
from flash.data.targets import NumberTargets
from flash.errors import DataError

from .samples import LazyTexts, RawText, Texts, TokenizedTexts, TokenizerConfig, check_takes_pairs
from .texts import PackedPairs, PackedTexts, packed
from .tokens import pad, portable_tokens, token_inputs, tokenize

__all__ = ["NO_TASK", "TextPreprocess", "TextRegressionPreprocess"]

#: The error message for batches of texts without a connected task.
NO_TASK = (
    "Expected a task, whose backbone has the tokenizer, but this data is not connected with one yet. Make the task "
    "first, with from_data(datamodule)."
)


class TextPreprocess(SamplePreprocess):
    """Tokenize texts, or pairs of texts, to batches padded to their longest text, and encode classes as indices.

    The tokenizer is that of the task's ``input_spec``; the classes are those of the train data, and are saved in
    checkpoints as the state of this object.

    Args:
        input_field: The column of texts, or a list of the two columns of pairs, for the prediction of tables and files.

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
    max_input_fields = 2
    reads_lazily = True
    advice = "For numbers use TextRegressionData and TextRegressor."

    #: Whether the importance of words to a prediction can be told: not where a prediction is no number per text.
    has_parts: ClassVar[bool] = True
    #: Whether the train data is of pairs of texts; ``None`` before there was any.
    pairs: bool | None = None

    def __init__(self, input_field: str | Sequence[str] | None = None) -> None:
        self.input_field = input_field

    @classmethod
    def sources_of(  # as in core
        cls,
        values: Sequence[Any],
        name: str,
        root: Path | None = None,  # noqa: ARG003  # for files
    ) -> PackedTexts | PackedPairs | StoredSamples:
        """Return values as texts, or as pairs of texts; numbers are converted to strings. Texts on disk stay there."""
        return values if isinstance(values, StoredSamples) else packed(values, name)

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
        """Return the samples before tokenization.

        Raises:
            DataError: If they are pairs of texts where the train data had single ones, or the other way around.
        """
        texts = self.sources_of(sources, f"the {stage.value} data")
        self._check_pairs(_are_pairs(texts), stage)
        return LazyTexts(texts, targets) if isinstance(texts, StoredSamples) else Texts(texts, targets)

    def _check_pairs(self, are_pairs: bool, stage: Stage) -> None:
        """Learn whether texts are pairs, or check that they are what was learned."""
        if self.pairs is None and stage is Stage.TRAIN:
            self.pairs = are_pairs
        if self.pairs not in (None, are_pairs):
            wanted, got = ("pairs of texts", "single texts") if self.pairs else ("single texts", "pairs of texts")
            raise DataError(
                f"Expected {wanted} in the {stage.value} data, which the preprocess has learned, but got {got}. Pass a "
                f"list of {'tuples of two texts' if self.pairs else 'texts'}, or a table with the same columns."
            )

    def load_data(self, data: Any, dataset: AutoDataset) -> Any:
        """Encode the targets; for train data, learn classes or statistics first."""
        if isinstance(data, StreamInputs):
            self._check_pairs(data.has_parts, dataset.hooks.stage)
        return super().load_data(data, dataset)

    def stream_samples(self, stage: Stage, sources: Sequence[Any], targets: Any, first: int) -> list[RawText]:
        """Return texts of a stream, which are tokenized with their batch."""
        texts = list(packed(sources, f"the {stage.value} data, from row {first:,} on"))
        return [RawText(text, None if targets is None else targets[row]) for row, text in enumerate(texts)]

    def prepare_samples(self, samples: Any, dataset: AutoDataset) -> Any:
        """Tokenize all texts that are in memory, if a task is connected."""
        spec = self.input_spec
        if not isinstance(spec, TokenizerConfig):
            return samples
        if isinstance(samples, LazyTexts):
            if _are_pairs(samples.texts):
                check_takes_pairs(spec, dataset.hooks.stage)
            return samples
        return samples.tokenize(spec, dataset.hooks.stage)

    def to_tensor_transform(self, sample: Any) -> Any:
        """Return the sample unchanged; token ids are converted to tensors when they are padded."""
        return sample

    def collate(self, samples: Sequence[Any]) -> Any:
        """Return ``input_ids`` and ``attention_mask``, padded to the longest text, and the targets if any.

        For pairs of texts there are ``token_type_ids`` too, if the network takes them.
        """
        if not isinstance(self.input_spec, TokenizerConfig):
            raise DataError(NO_TASK)
        pad_id = self.input_spec.pad_id
        if isinstance(samples[0], RawText):
            samples = self._tokenized(samples)
        if not isinstance(samples[0], tuple):
            return pad(samples, pad_id, self.input_spec.padded_length)
        ids, targets = zip(*samples, strict=True)
        return pad(ids, pad_id, self.input_spec.padded_length), torch.stack(targets)

    def _tokenized(self, samples: Sequence[RawText]) -> Any:
        """Return the samples of a batch with the token ids of their texts."""
        spec: TokenizerConfig = self.input_spec
        texts = packed([sample.text for sample in samples], "a batch")
        tokens, _ = tokenize(spec.tokenizer, texts, spec.max_length, spec.pad_id, spec.segments)
        ids = [tokens[row] for row in range(len(tokens))]
        return ids if samples[0].target is None else [*zip(ids, (sample.target for sample in samples), strict=True)]

    def display(self, samples: Any, rows: Sequence[int]) -> Sequence[Display]:
        """Return each text, or the two texts of each pair by the names of their columns."""
        texts = samples.texts
        if not _are_pairs(texts):
            return texts.pick(rows)  # type: ignore[no-any-return]  # of PackedTexts
        first, second = self._pair_names
        in_memory = isinstance(texts, PackedPairs)
        pairs = zip(texts.first.pick(rows), texts.second.pick(rows), strict=True) if in_memory else texts.pick(rows)
        return [{first: one, second: other} for one, other in pairs]

    def request_fields(self) -> RequestFields:
        """Return that a sample is a text, or a pair of texts by the names of their columns."""
        names = self._pair_names if self.pairs else ()
        return RequestFields("text", [RequestField(name, "text") for name in names])

    @property
    def _pair_names(self) -> tuple[str, str]:
        """The names of the two texts of a pair: those of their columns, if they were in a table."""
        names = self.input_field
        return ("text 1", "text 2") if names is None or isinstance(names, str) else (names[0], names[1])

    def parts(self, samples: Any) -> list[str]:
        """Return the two texts of pairs; single texts have no parts."""
        return list(self._pair_names) if self.has_parts and isinstance(samples.texts, PackedPairs) else []

    def exchange(self, samples: Any, part: str, order: Tensor) -> Any:
        """Return the pairs with one of the two texts from other pairs."""
        texts = samples.texts
        is_first = part == self._pair_names[0]
        taken = (texts.first if is_first else texts.second).take(order.tolist())
        changed = PackedPairs(taken, texts.second) if is_first else PackedPairs(texts.first, taken)
        return self._samples_of(changed, samples.targets)

    def pieces(self, samples: Any, row: int, most: int) -> Pieces | None:
        """Return the words of a text, or of both texts of a pair; ``None`` if their importance cannot be told."""
        if not self.has_parts:
            return None
        shown, target = self.display(samples, [row])[0], None if samples.targets is None else samples.targets[row]
        texts: dict[str | None, str] = {None: shown} if isinstance(shown, str) else {**shown}  # type: ignore[dict-item]
        words = {name: words_of(text, field=name) for name, text in texts.items()}
        total = sum(map(len, words.values()))
        if total > most:
            # Each text of a pair has a share that is as large as its share of the words.
            shares = {name: max(1, most * len(each) // total) for name, each in words.items()}
            words = {name: words_of(text, shares[name], name) for name, text in texts.items()}
        places = [word for each in words.values() for word in each]

        def without(left_out: Sequence[Collection[int]]) -> Any:
            changed = []
            for chosen in left_out:
                first, left = 0, []
                for name, text in texts.items():
                    own = range(first, first + len(words[name]))
                    left.append(without_words(text, words[name], [place - first for place in chosen if place in own]))
                    first = own.stop
                changed.append(left[0] if len(left) == 1 else tuple(left))
            targets = None if target is None else target.expand(len(changed), *target.shape)
            return self._samples_of(packed(changed, "the data"), targets)

        return Pieces(shown, places, without)

    def _samples_of(self, texts: PackedTexts | PackedPairs, targets: Tensor | None) -> Texts | TokenizedTexts:
        """Return samples, with tokens if a task is connected."""
        spec = self.input_spec
        if not isinstance(spec, TokenizerConfig):
            return Texts(texts, targets)
        tokens, _ = tokenize(spec.tokenizer, texts, spec.max_length, spec.pad_id, spec.segments)
        return TokenizedTexts(tokens, targets, texts)

    def portable(self) -> Portable:
        """Return the inputs, the file of the tokenizer, and its settings for the encoder of texts."""
        spec = self.input_spec
        if not isinstance(spec, TokenizerConfig):
            return Portable(reason="no task is connected, whose backbone has the tokenizer")
        with_segments = bool(spec.segments and self.pairs)
        inputs = token_inputs(spec.tokenizer, spec.max_length, spec.padded_length, with_segments)
        settings = self._settings(spec)
        if self.pairs and not settings["input_fields"]:
            return Portable(inputs, reason="the pairs of texts of the train data were in no table, and have no columns")
        return portable_tokens(inputs, spec.tokenizer, settings | {"segments": with_segments, "prefix": ""})

    def _settings(self, spec: TokenizerConfig) -> dict[str, Any]:
        """Return what the encoder needs to know to read texts and to pad them."""
        return {
            "max_length": spec.max_length,
            "pad_id": spec.pad_id,
            "padded_length": spec.padded_length,
            "input_fields": [self.input_field] if isinstance(self.input_field, str) else list(self.input_field or ()),
        }

    def is_deterministic(self, stage: Stage) -> bool:
        """Return ``True``: tokenization is deterministic."""
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return the classes or statistics of the targets, and whether texts are pairs."""
        state = super().state_dict()
        return {**state, "pairs": True} if state and self.pairs else state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the state of another preprocess."""
        if state:
            self.pairs = state.get("pairs", False)
        # A checkpoint of flash-text 0.1.0 calls it classes.
        super().load_state_dict({"targets": state["classes"], **state} if "classes" in state else state)


def _are_pairs(texts: Any) -> bool:
    return isinstance(texts, PackedPairs) or (isinstance(texts, StoredSamples) and len(texts.columns) > 1)


class TextRegressionPreprocess(TextPreprocess):
    """The same for texts with one number or several numbers each.

    Example:
        >>> TextRegressionPreprocess("review").targets_cls.__name__
        'NumberTargets'
    """

    targets_cls = NumberTargets
    advice = "For classes use TextClassificationData and TextClassifier."
