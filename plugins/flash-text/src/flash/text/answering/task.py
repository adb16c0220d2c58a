"""QuestionAnsweringTask: the part of a context that answers a question."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from flash import Preprocess, Registry
from flash.core.export import ExportedPart
from flash.core.metrics import MetricSpec
from flash.core.model import Task
from flash.core.optimizers import LRSchedulerSpec
from flash.data.portable import InputSpecs, named_specs
from flash.errors import ConfigurationError

from .._task import TextEncoderTask, check_dropout
from ..backbones import encode, takes_segments
from ..tokens import TokenizerSpec
from .comparison import AnswerComparison
from .metrics import answer_metrics
from .outputs import answer_outputs, texts
from .preprocess import QuestionAnsweringPreprocess
from .samples import AnswerTokenizerConfig

__all__ = ["QuestionAnsweringTask"]

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class QuestionAnsweringTask(AnswerComparison, TextEncoderTask):
    """Find the answer to a question in a context (extractive question answering).

    The network scores each token of the context as the first and as the last one of the answer. Contexts of any length
    are read in windows that overlap; the answer is the best span of all of them. The loss is the cross entropy of both
    places; the metrics are exact match and F1, as of SQuAD, from 0 to 1. Make it with ``from_data``, which says whether
    questions may have no answer.

    Args:
        backbone: As for :class:`~flash.text.TextClassifier`, with a vector per token and a fast tokenizer.
        pretrained: Whether to load the pretrained weights of the backbone; otherwise they are random.
        max_length: The maximum number of tokens per window, with the question and special tokens; by default that of
            the backbone's training, at most 512.
        overlap: The number of tokens of the context that two neighboring windows share; by default a quarter of
            ``max_length``.
        max_answer_length: The maximum number of tokens of an answer.
        n_best: The number of answers of the output ``"n_best"``.
        unanswerable: Whether a question may have no answer, as in SQuAD 2.0.
        dropout: The dropout probability of the vectors of tokens.
        tokenizer: As for :class:`~flash.text.TextClassifier`, but no callable.
        config: The backbone's configuration as a dict; set when a checkpoint of this task is loaded.
        backbone_lr_factor: As for :class:`~flash.text.TextClassifier`.
        lr_scheduler: As in :class:`~flash.core.model.Task`; ``None`` keeps the learning rate.
        metrics: As in :class:`~flash.core.model.Task`; they take a list of texts, and a list of lists of true answers.
        kwargs: Arguments of :class:`~flash.core.model.Task`, such as ``learning_rate`` and ``optimizer``.

    Raises:
        HubError: If the backbone is neither in a folder nor cached, and cannot be downloaded.
        ConfigurationError: If a number is out of range.

    Example:
        >>> from flash.text import QuestionAnsweringData
        >>> data = QuestionAnsweringData.from_squad("train-v1.1.json", "dev-v1.1.json")  # doctest: +SKIP
        >>> task = QuestionAnsweringTask.from_data(data, backbone="distilbert-base-uncased")  # doctest: +SKIP
    """

    outputs: ClassVar[Registry] = answer_outputs
    preprocess_cls: ClassVar[type[Preprocess]] = QuestionAnsweringPreprocess
    data_facts: ClassVar[tuple[str, ...]] = (*Task.data_facts, "unanswerable")
    default_output = "answers"

    def __init__(
        self,
        backbone: str | Path | nn.Module = "prajjwal1/bert-tiny",
        pretrained: bool = True,
        max_length: int | None = None,
        overlap: int | None = None,
        max_answer_length: int = 30,
        n_best: int = 5,
        unanswerable: bool = False,
        dropout: float = 0.1,
        tokenizer: TokenizerSpec | None = None,
        config: Mapping[str, Any] | None = None,
        backbone_lr_factor: float | None = None,
        lr_scheduler: LRSchedulerSpec | None = "cosine",
        *,
        metrics: MetricSpec | None = None,
        **kwargs: Any,
    ) -> None:
        check_dropout(dropout)
        for name, value in (("max_answer_length", max_answer_length), ("n_best", n_best)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigurationError(f"Expected {name} to be a whole number of at least 1, but got {value!r}.")
        metrics = answer_metrics() if metrics is None else metrics
        super().__init__(metrics=metrics, lr_scheduler=lr_scheduler, **kwargs)
        self._build_encoder(backbone, pretrained, max_length, tokenizer, config)
        self.overlap = self.max_length // 4 if overlap is None else overlap
        if (
            isinstance(self.overlap, bool)
            or not isinstance(self.overlap, int)
            or not 0 <= self.overlap < self.max_length
        ):
            raise ConfigurationError(
                f"Expected overlap to be from 0 to below max_length ({self.max_length}), but got {overlap!r}."
            )
        self.max_answer_length, self.n_best, self.unanswerable = max_answer_length, n_best, unanswerable
        has_weights = self._has_weights(pretrained, config)
        self._build_head(self._features, 2, dropout, backbone_lr_factor, has_weights)

    @property
    def input_spec(self) -> AnswerTokenizerConfig:
        """The tokenizer, the maximum length, the overlap and the padding of the backbone."""
        return AnswerTokenizerConfig(
            self.tokenizer,
            self.max_length,
            self._pad_id,
            segments=takes_segments(self.backbone, self.tokenizer),
            padded_length=self.padded_length,
            overlap=self.overlap,
        )

    def token_logits(self, x: dict[str, Any]) -> Tensor:
        """Return the logits of the start and the end of the answer, shape ``(windows, tokens, 2)``.

        Args:
            x: The inputs of :class:`~flash.text.answering.preprocess.QuestionAnsweringPreprocess`.
        """
        logits: Tensor = self.head(encode(self.backbone, {name: x[name] for name in _INPUTS if name in x}))
        return logits

    def forward(self, x: dict[str, Any]) -> list[Tensor]:
        """Return the logits of the tokens of all windows of each question, each of shape ``(tokens, 2)``."""
        mask = x["attention_mask"].bool()
        return self._of_questions(self.token_logits(x)[mask], mask, x["window_counts"])

    @staticmethod
    def _of_questions(logits: Tensor, mask: Tensor, counts: Tensor) -> list[Tensor]:
        lengths = [int(part.sum()) for part in torch.split(mask.sum(1), counts.tolist())]
        return list(torch.split(logits, lengths))

    def step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Compute the loss of the windows; in validation and testing the texts of the answers too."""
        x, targets = batch
        logits = self.token_logits(x)
        masked = logits.float().masked_fill(~x["allowed"][..., None], -1e4)
        loss_fn = nn.functional.cross_entropy if self.loss_fn is None else self.loss_fn
        spans = targets["spans"]
        loss = (loss_fn(masked[..., 0], spans[:, 0]) + loss_fn(masked[..., 1], spans[:, 1])) / 2
        result = {"loss": loss, "weight": torch.tensor(float(len(spans)))}
        if "answers" not in targets:
            return result
        mask = x["attention_mask"].bool()
        found = texts(self._of_questions(logits.detach()[mask], mask, x["window_counts"]), self, x)
        return {**result, "y_hat": found, "y": targets["answers"]}

    # ------------------------------------------------------------------ export

    def exported_result(self) -> dict[str, Any]:
        """Return how answers are found among the tokens."""
        names = ("n_best", "max_answer_length", "unanswerable")
        output = self.output if self.output in ("answers", "texts", "n_best") else self.default_output
        return {"kind": "answers", **{name: getattr(self, name) for name in names}, "output": output}

    def exported_parts(self, inputs: InputSpecs) -> dict[str, ExportedPart]:
        """Return the network for one window per row: the logits of the start and the end for each token."""
        network = _SpanNetwork(self, tuple(named_specs(inputs)))
        return {"model": ExportedPart(network, inputs, ("start", "end"))}


class _SpanNetwork(nn.Module):
    """The backbone and the head, for the tensors of a window per row."""

    def __init__(self, task: QuestionAnsweringTask, names: tuple[str, ...]) -> None:
        super().__init__()
        self.task = task
        self._names = names

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the logits of starts and of ends, each of shape ``(windows, tokens)``."""
        logits = self.task.token_logits(dict(zip(self._names, tensors, strict=True)))
        return logits[..., 0].float(), logits[..., 1].float()
