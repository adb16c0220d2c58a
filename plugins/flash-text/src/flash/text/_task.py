"""TextEncoderTask and TextVectorTask: the bases of tasks on an encoder of texts, and on one vector per text."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from flash import Preprocess, Registry
from flash.core.layers import block_layers
from flash.core.optimizers import is_default_optimizer
from flash.core.registry import backbone_registry
from flash.download.pretrained import config_to_dict
from flash.errors import ConfigurationError

from .adapters import AdaptableTask
from .backbones import (
    Pooling,
    TextBackbone,
    depends_on_padding,
    encode,
    max_positions,
    order_by_execution,
    pool,
    takes_segments,
    text_features,
)
from .hub import (
    config_from_dict,
    load_tokenizer,
    make_model,
    tokenizer_from_dict,
    tokenizer_to_dict,
)
from .preprocess import TextPreprocess
from .samples import TokenizerConfig
from .tokens import Tokenizer, TokenizerSpec

__all__ = ["TextEncoderTask", "TextVectorTask", "check_dropout"]

_log = logging.getLogger(__name__)

_BACKBONES = backbone_registry("text")
# Longer texts are truncated unless max_length is passed: the cost of attention is quadratic in the length.
DEFAULT_MAX_LENGTH = 512
# A linear probe on the pooled features of all-MiniLM-L6-v2 has an accuracy of 0.78 on IMDB reviews with the mean, and
# of 0.71 with the first token.
DEFAULT_POOLING: Pooling = "mean"
# Measured on IMDB reviews with all-MiniLM-L6-v2: a new layer needs a higher learning rate than pretrained ones.
_HEAD_RATE = 1e-3
_BACKBONE_LR_FACTOR = 0.05


class TextEncoderTask(AdaptableTask):
    """A task on an encoder of texts, with its tokenizer."""

    backbones: ClassVar[Registry] = _BACKBONES
    preprocess_cls: ClassVar[type[Preprocess]] = TextPreprocess
    #: Whether a sample may be a pair of texts.
    takes_pairs: ClassVar[bool] = True
    #: The length that all texts are padded to, if the backbone's result depends on padding; else ``None``.
    padded_length: int | None
    backbone: nn.Module

    def _build_encoder(
        self,
        backbone: str | Path | nn.Module,
        pretrained: bool,
        max_length: int | None,
        tokenizer: TokenizerSpec | None,
        config: Mapping[str, Any] | None,
    ) -> TextBackbone:
        """Build the encoder with its tokenizer, of which ``features`` is the number of features."""
        made = self._make_backbone(backbone, pretrained, tokenizer, config)
        self.backbone = made.encoder
        self.tokenizer = made.tokenizer
        self.max_length = _checked_length(max_length, made)
        # Before the others run it, since it says what a module does not take.
        self._features = text_features(self.backbone)
        order_by_execution(self.backbone)
        self.padded_length = self.max_length if depends_on_padding(self.backbone, self._pad_id) else None
        if self.padded_length is not None:
            _log_padding(type(self.backbone).__name__, self.padded_length)
        self._record_for_checkpoints()
        return made

    def _build_head(
        self, features: int, outputs: int, dropout: float, backbone_lr_factor: float | None, has_weights: bool
    ) -> None:
        """Build a head, and set the default learning rates."""
        usual = _HEAD_RATE * _BACKBONE_LR_FACTOR if has_weights and backbone_lr_factor is None else None
        if backbone_lr_factor is None:
            is_default = self.learning_rate is None and is_default_optimizer(self.optimizer)
            backbone_lr_factor = _BACKBONE_LR_FACTOR if has_weights and is_default else 1.0
        self.use_default_rates(_HEAD_RATE, backbone_lr_factor=backbone_lr_factor, pretrained_learning_rate=usual)
        # The layer norm makes one learning rate suit all backbones, whose features differ a lot in scale.
        self.head = nn.Sequential(nn.LayerNorm(features), nn.Dropout(dropout), nn.Linear(features, outputs))

    def _has_weights(self, pretrained: bool, config: Mapping[str, Any] | None) -> bool:
        # With a configuration, the weights are loaded later, from a checkpoint.
        return config is not None or (pretrained and isinstance(self.backbone, PreTrainedModel))

    def _make_backbone(
        self, backbone: Any, pretrained: bool, tokenizer: TokenizerSpec | None, config: Mapping[str, Any] | None
    ) -> TextBackbone:
        if isinstance(backbone, nn.Module):
            if tokenizer is None:
                raise ConfigurationError(
                    "Expected tokenizer= together with a module as backbone: a name or folder, a fast tokenizer of "
                    "transformers, or a callable from a list of texts to a list of lists of token ids."
                )
            return TextBackbone(backbone, _made_tokenizer(tokenizer))
        if config is not None:
            return TextBackbone(make_model(config_from_dict(config), "encoder"), _made_tokenizer(tokenizer))
        made = self.build_backbone(backbone, makes=TextBackbone, pretrained=pretrained)
        if tokenizer is not None:
            made.tokenizer = _made_tokenizer(tokenizer)
        return made

    def _record_for_checkpoints(self) -> None:
        """Record tokenizer and configuration, so that checkpoints load without the backbone's folder or the hub."""
        self.record_arguments(max_length=self.max_length)
        if isinstance(self.tokenizer, PreTrainedTokenizerFast):
            self.record_arguments(tokenizer=tokenizer_to_dict(self.tokenizer))
        if isinstance(self.backbone, PreTrainedModel) and "backbone" not in self.omitted_arguments:
            self.record_arguments(config=config_to_dict(self.backbone.config))
        # These are no hyperparameters, which loggers would log.
        for name in ("tokenizer", "config"):
            self.hparams.pop(name, None)

    @property
    def input_spec(self) -> TokenizerConfig:
        """The tokenizer, the maximum length and the padding of the backbone."""
        return TokenizerConfig(
            self.tokenizer,
            self.max_length,
            self._pad_id,
            segments=takes_segments(self.backbone, self.tokenizer),
            takes_pairs=self.takes_pairs,
            padded_length=self.padded_length,
        )

    @property
    def _pad_id(self) -> int:
        return getattr(self.tokenizer, "pad_token_id", None) or 0

    def backbone_layers(self) -> list[nn.Module]:
        """Return the embeddings and then the blocks of the encoder, in the order of the forward pass."""
        return block_layers([self.backbone])


class TextVectorTask(TextEncoderTask):
    """A task on an encoder whose token vectors are pooled to one vector per text."""

    def _build(
        self,
        backbone: str | Path | nn.Module,
        pretrained: bool,
        pooling: Literal["auto", "mean", "cls"],
        max_length: int | None,
        tokenizer: TokenizerSpec | None,
        config: Mapping[str, Any] | None,
    ) -> int:
        """Build the encoder with its tokenizer, and return the number of features."""
        if pooling not in ("auto", "mean", "cls"):
            raise ConfigurationError(f"Expected pooling to be 'auto', 'mean' or 'cls', but got {pooling!r}.")
        made = self._build_encoder(backbone, pretrained, max_length, tokenizer, config)
        self.pooling: Pooling = (made.pooling or DEFAULT_POOLING) if pooling == "auto" else pooling
        self.record_arguments(pooling=self.pooling)
        return self._features

    def forward_features(self, x: dict[str, Tensor]) -> Tensor:
        """Return one vector per text, shape ``(batch, features)``.

        Args:
            x: ``input_ids`` and ``attention_mask``, both of shape ``(batch, tokens)``; for pairs of texts also
                ``token_type_ids``, if the backbone takes them.
        """
        return pool(encode(self.backbone, x), x["attention_mask"], self.pooling)


def check_dropout(dropout: Any) -> None:
    """Check that a dropout probability is one.

    Raises:
        ConfigurationError: If it is not from 0 to below 1.
    """
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ConfigurationError(f"Expected dropout to be from 0 to below 1, but got {dropout!r}.")


@rank_zero_only
def _log_padding(name: str, length: int) -> None:
    _log.warning(
        "Padding changes what %s returns for a text, so all are padded to %s tokens. A smaller max_length is faster.",
        name,
        length,
    )


def _made_tokenizer(tokenizer: TokenizerSpec | None) -> Tokenizer:
    if isinstance(tokenizer, Mapping):
        return tokenizer_from_dict(tokenizer)
    if isinstance(tokenizer, str | Path):
        return load_tokenizer(tokenizer)
    if isinstance(tokenizer, PreTrainedTokenizerBase) and not tokenizer.is_fast:
        raise ConfigurationError(
            f"Expected a fast tokenizer, but got a {type(tokenizer).__name__}. Load it with "
            "AutoTokenizer.from_pretrained(..., use_fast=True)."
        )
    if not callable(tokenizer):
        raise ConfigurationError(
            "Expected tokenizer to be a name or folder, a fast tokenizer of transformers, or a callable from a "
            f"list of texts to a list of lists of token ids, but got {tokenizer!r}."
        )
    chosen: Tokenizer = tokenizer
    return chosen


def _checked_length(max_length: int | None, made: TextBackbone) -> int:
    """Return the maximum number of tokens per text: ``max_length``, or by default that of the backbone's training."""
    positions = max_positions(made.encoder)
    special = made.tokenizer.num_special_tokens_to_add() if isinstance(made.tokenizer, PreTrainedTokenizerBase) else 0
    if max_length is None:
        limits = [made.max_length, getattr(made.tokenizer, "model_max_length", None), positions, DEFAULT_MAX_LENGTH]
        return min(limit for limit in limits if limit is not None)
    if isinstance(max_length, bool) or not isinstance(max_length, int) or max_length <= special:
        raise ConfigurationError(
            f"Expected max_length to be a whole number of at least {special + 1} ({special} tokens are special), but "
            f"got {max_length!r}."
        )
    if positions is not None and max_length > positions:
        raise ConfigurationError(
            f"Expected max_length to be at most {positions}, the number of positions of the backbone, but got "
            f"{max_length}."
        )
    return max_length
