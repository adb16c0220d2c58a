"""Seq2SeqTask: what tasks share that write a text for each text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from flash import Preprocess, Registry
from flash.core.layers import block_layers
from flash.core.registry import ComponentRegistry, backbone_registry
from flash.errors import ConfigurationError

from ..adapters import AdaptableTask
from ..backbones import longest_input, sort_by_use
from ..hub import load_tokenizer, tokenizer_from_plain, tokenizer_to_plain
from .backbones import Seq2SeqBackbone, model_from_plain, model_to_plain
from .generation import checked_settings, effective_config
from .pairs import Encoding
from .preprocess import Seq2SeqPreprocess

__all__ = ["Seq2SeqTask"]

_BACKBONES = backbone_registry("seq2seq")
_OUTPUTS = ComponentRegistry("output", "outputs", "text/summarization", "text/translation")
# Where neither the tokenizer nor the model says how long texts may be.
_USUAL_LENGTH = 512
_USUAL_TARGET_LENGTH = 128
# Between what T5 (1e-4 to 1e-3) and BART (3e-5) are finetuned with.
_RATE = 1e-4
_SETTINGS = ("num_beams", "max_new_tokens", "min_new_tokens", "no_repeat_ngram_size", "length_penalty", "do_sample")


class Seq2SeqTask(AdaptableTask):
    """Writes a text for each text with an encoder-decoder of transformers.

    Training compares the decoder's next token with that of the target (teacher forcing); validation and testing also
    generate texts, which the metrics compare with the targets as they were given.

    The strategy ``freeze`` keeps the encoder and the embeddings that it shares with the decoder as they are; the
    decoder learns to write. ``unfreeze_milestones`` thaws the last layers of the encoder first.

    Args:
        backbone: The name of a checkpoint on the Hugging Face hub, a folder with one, a name that a plugin
            registered, or a model of transformers together with ``tokenizer``.
        pretrained: Whether the backbone gets its trained weights; otherwise they are random.
        prefix: What stands before each text that is read; by default what the checkpoint says, often nothing.
        max_source_length: How many tokens of a text are read, special ones included; by default what the model was
            made for, else 512.
        max_target_length: How many tokens of a target are learned, by default 128, and as many are written at most
            where neither ``max_new_tokens`` nor the checkpoint says it.
        num_beams: How many texts a beam search follows; 1 takes the likeliest token each time.
        max_new_tokens: How many tokens are written at most.
        min_new_tokens: How many tokens are written at least.
        no_repeat_ngram_size: How many tokens in a row are never written twice; 0 allows all.
        length_penalty: Above 0, a beam search prefers longer texts; below 0, shorter ones.
        do_sample: Whether tokens are drawn at random by their probabilities.
        generation_kwargs: More generation settings by name, such as ``{"top_p": 0.9}``. What is not set is as the
            checkpoint says.
        tokenizer: Another tokenizer than the checkpoint's: a name or folder, or a fast tokenizer of transformers.
        config: The model's configuration as plain data; a checkpoint of this task brings it.
        learning_rate: By default 1e-4.
        metrics: As in :class:`~flash.core.model.Task`; they take two lists of texts, those written and the targets.
            Without metrics (``[]``), validation generates nothing.
        kwargs: Arguments of :class:`~flash.core.model.Task`, such as ``optimizer``. A ``loss_fn`` takes logits,
            shape ``(tokens, vocabulary)``, and labels, shape ``(tokens,)``, -100 where nothing is to be learned.

    Attributes:
        generation_kwargs: The settings to generate with; can be changed at any time, and travel in checkpoints.

    Raises:
        HubError: If the backbone is in no folder, not cached, and cannot be had from the hub.
        ConfigurationError: If the checkpoint is no encoder-decoder, or an argument is out of range.

    Example:
        >>> from tokenizers import Tokenizer, models, pre_tokenizers
        >>> from transformers import BartConfig, BartForConditionalGeneration, PreTrainedTokenizerFast
        >>> words = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "good": 4, "day": 5}
        >>> vocabulary = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
        >>> vocabulary.pre_tokenizer = pre_tokenizers.Whitespace()
        >>> tokenizer = PreTrainedTokenizerFast(
        ...     tokenizer_object=vocabulary, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
        ... )
        >>> sizes = {"d_model": 8, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8}
        >>> heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 32}
        >>> ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
        >>> config = BartConfig(vocab_size=6, forced_eos_token_id=2, **sizes, **heads, **ids)
        >>> model = BartForConditionalGeneration(config)
        >>> task = Seq2SeqTask(model, tokenizer=tokenizer, num_beams=2, max_new_tokens=4)
        >>> [type(text).__name__ for text in task.predict(["good day", "day"])]
        ['str', 'str']
    """

    backbones: ClassVar[Registry] = _BACKBONES
    outputs: ClassVar[Registry] = _OUTPUTS
    preprocess_cls: ClassVar[type[Preprocess]] = Seq2SeqPreprocess
    default_output = "texts"
    network_attribute: ClassVar[str] = "model"
    source_attribute: ClassVar[str] = "model"
    model: PreTrainedModel

    def __init__(
        self,
        backbone: str | Path | PreTrainedModel = "google-t5/t5-small",
        pretrained: bool = True,
        prefix: str | None = None,
        max_source_length: int | None = None,
        max_target_length: int | None = None,
        *,
        num_beams: int | None = None,
        max_new_tokens: int | None = None,
        min_new_tokens: int | None = None,
        no_repeat_ngram_size: int | None = None,
        length_penalty: float | None = None,
        do_sample: bool | None = None,
        generation_kwargs: Mapping[str, Any] | None = None,
        tokenizer: Any = None,
        config: Mapping[str, Any] | None = None,
        learning_rate: float | None = None,
        **kwargs: Any,
    ) -> None:
        named = (num_beams, max_new_tokens, min_new_tokens, no_repeat_ngram_size, length_penalty, do_sample)
        settings = {**(generation_kwargs or {}), **checked_settings(dict(zip(_SETTINGS, named, strict=True)))}
        made = self._make_backbone(backbone, pretrained, tokenizer, config)
        super().__init__(model=made.model, learning_rate=learning_rate, **kwargs)
        self.use_default_rates(_RATE)
        self.tokenizer = made.tokenizer
        self.generation_kwargs = checked_settings(settings)
        self._generation: tuple[dict[str, Any], GenerationConfig] | None = None
        self.prefix = self.default_prefix() if prefix is None else prefix
        self._longest = longest_input(made.model.get_encoder())
        self.max_source_length = _source_length(max_source_length, made.tokenizer, self._longest)
        self.max_target_length = _target_length(max_target_length, self._longest)
        sort_by_use(made.model.get_encoder())
        self._remember()

    def default_prefix(self) -> str:
        """What stands before each text unless ``prefix`` says otherwise."""
        return ""

    def _make_backbone(
        self, backbone: Any, pretrained: bool, tokenizer: Any, config: Mapping[str, Any] | None
    ) -> Seq2SeqBackbone:
        if config is not None:
            made = Seq2SeqBackbone(model_from_plain(config), _made_tokenizer(tokenizer))
        elif isinstance(backbone, nn.Module):
            _check_model(backbone)
            made = Seq2SeqBackbone(backbone, _made_tokenizer(tokenizer))  # type: ignore[arg-type]  # checked above
        else:
            made = self.build_backbone(backbone, makes=Seq2SeqBackbone, pretrained=pretrained)
            if tokenizer is not None:
                made.tokenizer = _made_tokenizer(tokenizer)
        embeddings: Any = made.model.get_input_embeddings()
        if len(made.tokenizer) > embeddings.num_embeddings:
            raise ConfigurationError(
                f"Expected a tokenizer with at most {embeddings.num_embeddings:,} tokens, as many as the model has "
                f"embeddings for, but got one with {len(made.tokenizer):,}. Pass the one that belongs to the model."
            )
        return made

    def _remember(self) -> None:
        """Put into the arguments that a checkpoint carries what makes this task again without folder and hub."""
        self.record_arguments(
            backbone=self.recorded_arguments.get("backbone"),
            prefix=self.prefix,
            max_source_length=self.max_source_length,
            max_target_length=self.max_target_length,
            config=model_to_plain(self.model),
            tokenizer=tokenizer_to_plain(self.tokenizer),
        )
        # Loggers write down hyperparameters, of which these are none.
        for name in ("tokenizer", "config"):
            self.hparams.pop(name, None)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the generation settings as they are now."""
        self.record_arguments(**dict.fromkeys(_SETTINGS), generation_kwargs=dict(self.generation_kwargs))
        super().on_save_checkpoint(checkpoint)

    @property
    def input_spec(self) -> Encoding:
        """How texts become the tokens that the network expects."""
        pad_id = getattr(self.tokenizer, "pad_token_id", None) or 0
        return Encoding(self.tokenizer, self.prefix, self.max_source_length, self.max_target_length, pad_id)

    def modules_to_freeze(self) -> list[nn.Module]:
        """The encoder, and the embeddings of tokens, which most models share with the decoder and the head."""
        return [self.model.get_input_embeddings(), self.model.get_encoder()]

    def backbone_layers(self) -> list[nn.Module]:
        """Return the embeddings, then the blocks of the encoder, in the order of the forward pass."""
        return block_layers(self.modules_to_freeze())

    def step(self, batch: Any, batch_idx: int) -> Any:
        """Compute the loss of the targets' tokens; where metrics look, also write texts."""
        x, targets = batch
        labels = targets["labels"]
        output = self.model(**x, labels=labels, use_cache=False)
        loss = output.loss
        # The loss is a mean of tokens.
        weight = (labels != -100).sum()
        if self.loss_fn is not None:
            loss = self.compute_loss(output.logits.flatten(0, 1), labels.flatten())
        if "texts" not in targets or not self._has_metrics():
            return {"loss": loss, "weight": weight}
        return {"loss": loss, "y_hat": self.decode(self(x)), "y": targets["texts"], "weight": weight}

    def _has_metrics(self) -> bool:
        metrics: Any = self.stage_metrics["val_metrics"]
        return bool(len(metrics.objects) or metrics.functions)

    def forward(self, x: Any) -> Tensor:
        """Write a text for each text.

        Args:
            x: ``input_ids`` and ``attention_mask``, both of shape ``(batch, tokens)``.

        Returns:
            The token ids of the texts, special ones and padding included, shape ``(batch, tokens)``.
        """
        generate: Any = self.model.generate
        ids: Tensor = generate(**x, generation_config=self._generation_config())
        return ids

    def _generation_config(self) -> GenerationConfig:
        """The settings as they are now, checked again where they have changed."""
        if self._generation is None or self._generation[0] != self.generation_kwargs:
            settings = checked_settings(self.generation_kwargs)
            config = effective_config(self.model, settings, self.max_target_length, self._longest)
            self._generation = dict(self.generation_kwargs), config
        return self._generation[1]

    def decode(self, ids: Tensor) -> list[str]:
        """Return the texts of token ids, shape ``(batch, tokens)``."""
        texts: list[str] = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [text.strip() for text in texts]

    def predict(
        self,
        raw: Any,
        output: str | Callable[[Any], Any] | None = None,
        batch_size: int = 16,
        **generation_kwargs: Any,
    ) -> list[Any]:
        """Write a text for each raw text.

        Args:
            raw: A list of texts, a table with the column ``input_field``, or the path of a file with one.
            output: ``"texts"`` (the default), ``"tokens"`` for lists of token ids, ``"raw"``, or a callable.
            batch_size: How many texts the network sees at once.
            generation_kwargs: Generation settings for this call alone, such as ``num_beams=4``.

        Returns:
            One text for each, in their order.
        """
        with self.generating(**generation_kwargs):
            return super().predict(raw, output, batch_size)

    @contextmanager
    def generating(self, **generation_kwargs: Any) -> Iterator[None]:
        """Let other generation settings hold while the context is open."""
        before = self.generation_kwargs
        self.generation_kwargs = {**before, **checked_settings(generation_kwargs)}
        try:
            yield
        finally:
            self.generation_kwargs = before


def texts(predictions: Any, task: Any) -> list[str]:
    """The written texts."""
    written: list[str] = task.decode(predictions)
    return written


def tokens(predictions: Tensor, task: Any) -> list[list[int]]:
    """The token ids of the written texts, without special ones."""
    special = {*task.tokenizer.all_special_ids}
    return [[token for token in row if token not in special] for row in predictions.tolist()]


def _made_tokenizer(tokenizer: Any) -> Any:
    if isinstance(tokenizer, Mapping):
        return tokenizer_from_plain(tokenizer)
    if isinstance(tokenizer, str | Path):
        return load_tokenizer(tokenizer)
    if isinstance(tokenizer, PreTrainedTokenizerBase) and tokenizer.is_fast:
        return tokenizer
    raise ConfigurationError(
        "Expected tokenizer to be a name or folder, or a fast tokenizer of transformers, which can also make texts of "
        f"tokens, but got {type(tokenizer).__name__}."
    )


def _check_model(model: nn.Module) -> None:
    config = getattr(model, "config", None)
    if not isinstance(model, PreTrainedModel) or not getattr(config, "is_encoder_decoder", False):
        raise ConfigurationError(
            "Expected backbone to be a name, a folder, or an encoder-decoder of transformers such as a "
            f"T5ForConditionalGeneration, but got a {type(model).__name__}."
        )


def _source_length(asked: int | None, tokenizer: Any, longest: int | None) -> int:
    if asked is not None:
        return _checked_length("max_source_length", asked, longest)
    said = getattr(tokenizer, "model_max_length", None)
    # Tokenizers that do not know it say some 10 to the power of 30.
    limits = [limit for limit in (said, longest) if isinstance(limit, int) and limit < 1_000_000]
    return min(limits, default=_USUAL_LENGTH)


def _target_length(asked: int | None, longest: int | None) -> int:
    if asked is not None:
        return _checked_length("max_target_length", asked, longest)
    return min(_USUAL_TARGET_LENGTH, longest or _USUAL_TARGET_LENGTH)


def _checked_length(name: str, value: Any, longest: int | None) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 2:
        raise ConfigurationError(f"Expected {name} to be a whole number of at least 2, but got {value!r}.")
    if longest is not None and value > longest:
        raise ConfigurationError(
            f"Expected {name} to be at most {longest}, which is as far as the model can count places, but got {value}."
        )
    return value
