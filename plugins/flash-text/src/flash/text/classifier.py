"""TextClassifier: single-label and multi-label classification of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from flash.core.classification import ClassificationTask, ClassWeights
from flash.core.optimizers import LRSchedulerSpec

from ._former import ARGUMENTS
from ._task import TextVectorTask, check_dropout
from .tokens import TokenizerSpec

__all__ = ["TextClassifier"]


class TextClassifier(TextVectorTask, ClassificationTask):
    """Classifier of texts, or of pairs of texts; multi-label where targets are lists.

    Make it with ``from_data``, which sets the arguments for the classes from the train data.

    Args:
        num_classes: The number of classes.
        labels: The names of the classes.
        multi_label: Whether a text can have several classes.
        class_weights: The weight of each class in the loss, or ``"balanced"``.
        class_counts: The number of train texts per class.
        backbone: The name of a checkpoint on the Hugging Face hub, a folder with one, a name that a plugin
            registered, or a module as described in :mod:`flash.text.backbones` together with ``tokenizer``.
        pretrained: Whether to load the pretrained weights of the backbone; otherwise they are random.
        pooling: The pooling of token vectors: ``"mean"``, ``"cls"`` (the first one), or ``"auto"`` for that of the
            checkpoint, else the mean.
        max_length: The maximum number of tokens per text or pair of texts, including special tokens; by default that of
            the backbone's training, at most 512.
        dropout: The dropout probability of the pooled vector.
        tokenizer: A tokenizer in place of the checkpoint's: a name or folder, a fast tokenizer of transformers, or a
            callable from a list of texts to a list of lists of token ids.
        config: The backbone's configuration as a dict; set when a checkpoint of this task is loaded.
        learning_rate: By default 1e-3 for the head and 5e-5 for a pretrained backbone. An explicit rate is used for
            both, as in most recipes for transformers, unless ``backbone_lr_factor`` is passed.
        backbone_lr_factor: The backbone's learning rate as a multiple of the head's: by default 0.05 for a pretrained
            backbone with the default rate and optimizer, else 1.
        lr_scheduler: As in :class:`~flash.core.model.Task`; ``None`` keeps the learning rate.
        kwargs: Arguments of :class:`~flash.core.classification.ClassificationTask` and
            :class:`~flash.core.model.Task`, such as ``optimizer`` and ``metrics``.

    Raises:
        HubError: If the backbone is neither in a folder nor cached, and cannot be downloaded.

    Example:
        >>> class Letters(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.embed = nn.Embedding(256, 8)
        ...     def forward(self, input_ids, attention_mask):
        ...         return self.embed(input_ids)
        >>> tokenizer = lambda texts: [list(text.encode()) for text in texts]
        >>> task = TextClassifier(labels=["dull", "fine"], backbone=Letters(), tokenizer=tokenizer)
        >>> set(task.predict(["a fine film", "a bore"])) <= {"dull", "fine"}
        True
    """

    former_arguments = ARGUMENTS

    def __init__(
        self,
        num_classes: int | None = None,
        labels: Sequence[Any] | None = None,
        multi_label: bool = False,
        class_weights: ClassWeights | None = None,
        class_counts: Sequence[int] | None = None,
        backbone: str | Path | nn.Module = "prajjwal1/bert-tiny",
        pretrained: bool = True,
        pooling: Literal["auto", "mean", "cls"] = "auto",
        max_length: int | None = None,
        dropout: float = 0.1,
        tokenizer: TokenizerSpec | None = None,
        config: Mapping[str, Any] | None = None,
        backbone_lr_factor: float | None = None,
        lr_scheduler: LRSchedulerSpec | None = "cosine",
        **kwargs: Any,
    ) -> None:
        check_dropout(dropout)
        super().__init__(
            num_classes=num_classes,
            labels=labels,
            multi_label=multi_label,
            class_weights=class_weights,
            class_counts=class_counts,
            lr_scheduler=lr_scheduler,
            **kwargs,
        )
        features = self._build(backbone, pretrained, pooling, max_length, tokenizer, config)
        has_weights = self._has_weights(pretrained, config)
        self._build_head(features, self.num_classes, dropout, backbone_lr_factor, has_weights)

    def forward_head(self, features: Tensor) -> Tensor:
        """Return one score per class, shape ``(batch, num_classes)``."""
        scores: Tensor = self.head(features)
        return scores
