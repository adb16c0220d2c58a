"""TextEmbedder: a vector per text, for semantic similarity search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from flash.core.export import as_float

from ._task import TextVectorTask
from .tokens import TokenizerSpec

__all__ = ["TextEmbedder"]


class TextEmbedder(TextVectorTask):
    """Embedder of texts: texts of similar meaning have similar vectors, if the backbone was trained for that.

    It predicts without training; to train it, pass a ``loss_fn`` for your targets.

    Args:
        backbone: As for :class:`~flash.text.TextClassifier`.
        pretrained: Whether to load the pretrained weights of the backbone; otherwise they are random.
        pooling: As for :class:`~flash.text.TextClassifier`.
        max_length: As for :class:`~flash.text.TextClassifier`.
        normalize: Whether vectors have length 1, so that their dot product is their cosine similarity.
        tokenizer: As for :class:`~flash.text.TextClassifier`.
        config: The backbone's configuration as a dict; set when a checkpoint of this task is loaded.
        kwargs: Arguments of :class:`~flash.core.model.Task`.

    Raises:
        HubError: If the backbone is neither in a folder nor cached, and cannot be downloaded.

    Example:
        >>> class Letters(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.embed = nn.Embedding(256, 8)
        ...     def forward(self, input_ids, attention_mask):
        ...         return self.embed(input_ids)
        >>> task = TextEmbedder(backbone=Letters(), tokenizer=lambda texts: [list(text.encode()) for text in texts])
        >>> [vector.shape for vector in task.predict(["a fine film", "a bore"])]
        [torch.Size([8]), torch.Size([8])]
    """

    takes_pairs = False

    def __init__(
        self,
        backbone: str | Path | nn.Module = "sentence-transformers/all-MiniLM-L6-v2",
        pretrained: bool = True,
        pooling: Literal["auto", "mean", "cls"] = "auto",
        max_length: int | None = None,
        normalize: bool = True,
        tokenizer: TokenizerSpec | None = None,
        config: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.normalize = normalize
        self.num_features = self._build(backbone, pretrained, pooling, max_length, tokenizer, config)

    def forward_head(self, features: Tensor) -> Tensor:
        """Return the vectors for features, shape ``(batch, features)``."""
        return nn.functional.normalize(features, dim=-1) if self.normalize else features

    def exported_outputs(self, predictions: Any) -> dict[str, Tensor]:
        """Return the vectors, shape ``(batch, features)``."""
        return {"vectors": as_float(predictions)}
