"""TokenClassifier: the tags of the words of a text, such as those of named entities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from flash import Preprocess, Registry
from flash.core.export import ExportedPart
from flash.core.metrics import MetricSpec
from flash.core.optimizers import LRSchedulerSpec
from flash.data.portable import InputSpecs
from flash.errors import ConfigurationError

from .._task import TextEncoderTask, check_dropout
from ..backbones import encode
from ..tokens import TokenizerSpec
from .counting import EntityCounting
from .metrics import IGNORED, tag_metrics
from .outputs import tag_outputs
from .preprocess import TokenClassificationPreprocess
from .samples import TagTokenizerConfig

__all__ = ["TokenClassifier"]


class TokenClassifier(EntityCounting, TextEncoderTask):
    """Classifier of the words of texts, for the recognition of named entities.

    Each word has the tag that is predicted for its first token. Texts that are longer than ``max_length`` are read in
    windows that overlap by a quarter; a word is classified in the window with most tokens around it. The loss is the
    cross entropy over the words; the metrics are the F1, precision and recall of whole entities, and the accuracy of
    tags. Make it with ``from_data``, which sets the tags from the train data.

    Args:
        num_classes: The number of tags; by default the number of ``labels``.
        labels: The tags, ``"O"`` first, and for each label of entities ``B-`` and ``I-``.
        backbone: As for :class:`~flash.text.TextClassifier`, with a vector per token and a fast tokenizer.
        pretrained: Whether to load the pretrained weights of the backbone; otherwise they are random.
        max_length: The maximum number of tokens per window, including special tokens; by default that of the
            backbone's training, at most 512.
        dropout: The dropout probability of the vectors of words.
        tokenizer: As for :class:`~flash.text.TextClassifier`, but no callable.
        config: The backbone's configuration as a dict; set when a checkpoint of this task is loaded.
        learning_rate: As for :class:`~flash.text.TextClassifier`.
        backbone_lr_factor: As for :class:`~flash.text.TextClassifier`.
        lr_scheduler: As in :class:`~flash.core.model.Task`; ``None`` keeps the learning rate.
        metrics: As in :class:`~flash.core.model.Task`; they take two tensors of indices of tags, as
            :meth:`flash.text.token_classification.metrics.EntityScore.update` does.
        kwargs: Arguments of :class:`~flash.core.model.Task`, such as ``optimizer``. A ``loss_fn`` takes logits, shape
            ``(words, tags)``, and indices of tags, shape ``(words,)``, where -100 is to be ignored.

    Raises:
        HubError: If the backbone is neither in a folder nor cached, and cannot be downloaded.
        ConfigurationError: If there are no labels, or the backbone has one vector per text.

    Example:
        >>> from tokenizers import Tokenizer, models, pre_tokenizers
        >>> from transformers import PreTrainedTokenizerFast
        >>> backend = Tokenizer(models.WordLevel({"Ada": 0, "slept": 1, "[UNK]": 2}, unk_token="[UNK]"))
        >>> backend.pre_tokenizer = pre_tokenizers.Whitespace()
        >>> class Words(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.embed = nn.Embedding(3, 8)
        ...     def forward(self, input_ids, attention_mask):
        ...         return self.embed(input_ids)
        >>> tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
        >>> task = TokenClassifier(labels=["O", "B-PER", "I-PER"], backbone=Words(), tokenizer=tokenizer)
        >>> [len(tags) for tags in task.predict(["Ada slept."], output="tags")]
        [3]
    """

    outputs: ClassVar[Registry] = tag_outputs
    preprocess_cls: ClassVar[type[Preprocess]] = TokenClassificationPreprocess
    default_output = "entities"
    takes_pairs = False

    def __init__(
        self,
        num_classes: int | None = None,
        labels: Sequence[Any] | None = None,
        backbone: str | Path | nn.Module = "prajjwal1/bert-tiny",
        pretrained: bool = True,
        max_length: int | None = None,
        dropout: float = 0.1,
        tokenizer: TokenizerSpec | None = None,
        config: Any = None,
        backbone_lr_factor: float | None = None,
        lr_scheduler: LRSchedulerSpec | None = "cosine",
        *,
        metrics: MetricSpec | None = None,
        **kwargs: Any,
    ) -> None:
        check_dropout(dropout)
        self_labels = _checked_labels(num_classes, labels)
        metrics = tag_metrics(self_labels) if metrics is None else metrics
        super().__init__(metrics=metrics, lr_scheduler=lr_scheduler, **kwargs)
        self.labels = self_labels
        self.num_classes = len(self_labels)
        self._build_encoder(backbone, pretrained, max_length, tokenizer, config)
        self._check_vectors()
        has_weights = self._has_weights(pretrained, config)
        self._build_head(self._features, self.num_classes, dropout, backbone_lr_factor, has_weights)

    def _check_vectors(self) -> None:
        device = next((each.device for each in self.backbone.parameters()), torch.device("cpu"))
        ids = torch.zeros(1, 1, dtype=torch.long, device=device)
        with torch.no_grad():
            vectors = encode(self.backbone, {"input_ids": ids, "attention_mask": torch.ones_like(ids)})
        if vectors.ndim != 3:
            raise ConfigurationError(
                "Expected a backbone that returns a vector per token, shape (batch, tokens, features), but "
                f"{type(self.backbone).__name__} returned shape {tuple(vectors.shape)}. Return them before pooling."
            )

    @property
    def input_spec(self) -> TagTokenizerConfig:
        """The tokenizer, the maximum length and the padding of the backbone, and the tags."""
        return TagTokenizerConfig(
            self.tokenizer,
            self.max_length,
            self._pad_id,
            takes_pairs=False,
            padded_length=self.padded_length,
            labels=tuple(self.labels),
        )

    # ------------------------------------------------------------------ the network

    def word_logits(self, x: dict[str, Any]) -> Tensor:
        """Return the logits of the tags of all words of a batch, shape ``(words, tags)``.

        A word without tokens has those of ``O``.

        Args:
            x: The inputs of :class:`~flash.text.token_classification.preprocess.TokenClassificationPreprocess`.
        """
        vectors = encode(self.backbone, {name: x[name] for name in ("input_ids", "attention_mask")})
        places = x["places"]
        logits: Tensor = self.head(vectors.flatten(0, 1)[places.clamp_min(0)])
        outside = torch.zeros_like(logits[:1])
        outside[:, 0] = _CERTAIN
        return torch.where((places < 0)[:, None], outside, logits)

    def forward(self, x: dict[str, Any]) -> list[Tensor]:
        """Return the logits of the tags of the words of each text, each of shape ``(words, tags)``."""
        return list(torch.split(self.word_logits(x), x["word_counts"].tolist()))

    def step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Compute the loss of the words that have tokens, and the predicted tags for the metrics."""
        x, targets = batch
        logits, tags = self.word_logits(x), targets["tags"]
        known = torch.where(x["places"] < 0, IGNORED, tags)
        loss, weight = self._loss(logits, known)
        # The end of each sentence is a place of its own.
        counts = targets["word_counts"]
        rows = torch.arange(len(counts), device=tags.device).repeat_interleave(counts, output_size=len(tags))
        words = torch.arange(len(tags), device=tags.device) + rows
        y = tags.new_full((len(tags) + len(counts),), IGNORED)
        y_hat = torch.zeros_like(y)
        y[words], y_hat[words] = tags, logits.detach().argmax(-1)
        return {"loss": loss, "y_hat": y_hat, "y": y, "weight": weight}

    def _loss(self, logits: Tensor, tags: Tensor) -> tuple[Tensor, Tensor]:
        weight = (tags != IGNORED).sum()
        if self.loss_fn is not None:
            return self.compute_loss(logits, tags), weight
        # A batch may have no words.
        total = nn.functional.cross_entropy(logits.float(), tags, ignore_index=IGNORED, reduction="sum")
        return total / weight.clamp(min=1), weight

    def sample_losses(self, y_hat: Any, y: Any) -> Tensor | None:
        """Return the mean loss of the words of each text, shape ``(batch,)``."""
        tags = torch.split(y["tags"], y["word_counts"].tolist())
        losses = [self._loss(logits, each)[0] for logits, each in zip(y_hat, tags, strict=True)]
        return torch.stack([loss.detach().float().mean() for loss in losses])

    # ------------------------------------------------------------------ export

    def exported_result(self) -> dict[str, Any]:
        """Return the tags in the order of the probabilities of each token."""
        output = self.output if self.output in ("entities", "tags") else self.default_output
        return {"kind": "entities", "labels": list(self.labels), "output": output}

    def exported_parts(self, inputs: InputSpecs) -> dict[str, ExportedPart]:
        """Return the network for one window of tokens per row: the probabilities of the tags of each token."""
        return {"model": ExportedPart(_TokenNetwork(self), inputs, ("probabilities",))}


class _TokenNetwork(nn.Module):
    """The backbone and the head for all tokens."""

    def __init__(self, task: TokenClassifier) -> None:
        super().__init__()
        self.task = task

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """Return the probabilities of the tags, shape ``(windows, tokens, tags)``."""
        vectors = encode(self.task.backbone, {"input_ids": input_ids, "attention_mask": attention_mask})
        logits: Tensor = self.task.head(vectors)
        return (logits.float().softmax(-1),)


# The logit of O, beside zeros, of a word without tokens.
_CERTAIN = 1e2


def _checked_labels(num_classes: int | None, labels: Sequence[Any] | None) -> list[str]:
    found = [str(label) for label in labels or ()]
    if len(found) < 2 or found[0] != "O" or any(tag[:2] not in ("B-", "I-") for tag in found[1:]):
        raise ConfigurationError(
            f"Expected labels such as ['O', 'B-PER', 'I-PER'], 'O' first, but got {labels!r}. Make the task with "
            "from_data(datamodule), which knows them."
        )
    if num_classes not in (None, len(found)):
        raise ConfigurationError(f"Expected one label per tag, but got {len(found)} labels for {num_classes} classes.")
    return found
