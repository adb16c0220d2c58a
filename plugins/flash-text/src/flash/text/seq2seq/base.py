"""Seq2SeqTask: the base of tasks that generate a text from each text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.distributed.fsdp import register_fsdp_forward_method
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from flash import Preprocess, Registry
from flash.core.export import ExportedPart
from flash.core.layers import block_layers
from flash.core.registry import ComponentRegistry, backbone_registry
from flash.core.sharding import is_sharded
from flash.data.portable import InputSpecs, Portable
from flash.data.tables import READ_OPTIONS
from flash.errors import ConfigurationError

from ..adapters import AdaptableTask
from ..backbones import max_positions, order_by_execution
from ..tokens import TokenizerSpec
from .backbones import (
    Seq2SeqBackbone,
    load_tokenizers,
    model_from_dict,
    model_to_dict,
    tokenizers_from_dict,
    tokenizers_to_dict,
)
from .export import exported_networks, generation_settings, unknown_setting
from .generation import checked_settings, effective_config
from .preprocess import Seq2SeqPreprocess
from .samples import Seq2SeqTokenizerConfig

__all__ = ["Seq2SeqTask"]

_BACKBONES = backbone_registry("seq2seq")
_OUTPUTS = ComponentRegistry("output", "outputs", "text/summarization", "text/translation")
# Used if neither the tokenizer nor the model has a maximum length.
DEFAULT_MAX_SOURCE_LENGTH = 512
DEFAULT_MAX_TARGET_LENGTH = 128
# Between the usual rates for finetuning T5 (1e-4 to 1e-3) and BART (3e-5).
_DEFAULT_RATE = 1e-4
_SETTINGS = ("num_beams", "max_new_tokens", "min_new_tokens", "no_repeat_ngram_size", "length_penalty", "do_sample")


class Seq2SeqTask(AdaptableTask):
    """Generate a text from each text with an encoder-decoder of transformers.

    Training minimizes the cross entropy of the next token (teacher forcing); validation and testing also generate
    texts, which the metrics compare with the original targets.

    The strategy ``freeze`` freezes the encoder and the embeddings that it shares with the decoder, and trains the
    decoder. ``unfreeze_milestones`` unfreezes the last layers of the encoder first.

    Args:
        backbone: The name of a checkpoint on the Hugging Face hub, a folder with one, a name that a plugin
            registered, or a model of transformers together with ``tokenizer``.
        pretrained: Whether to load the pretrained weights of the backbone; otherwise they are random.
        prefix: The prefix of each source text; by default that of the checkpoint, often empty.
        max_source_length: The maximum number of tokens per source text, including special tokens; by default that of
            the model, else 512.
        max_target_length: The maximum number of tokens per target, by default 128; also the maximum number of
            generated tokens if neither ``max_new_tokens`` nor the checkpoint sets it.
        num_beams: The number of beams; 1 is greedy search.
        max_new_tokens: The maximum number of generated tokens.
        min_new_tokens: The minimum number of generated tokens.
        no_repeat_ngram_size: The size of n-grams of tokens that are not generated twice; 0 allows all.
        length_penalty: Above 0, beam search prefers longer texts; below 0, shorter ones.
        do_sample: Whether to sample tokens by their probabilities.
        generation_kwargs: More generation settings by name, such as ``{"top_p": 0.9}``. Settings that are not passed
            are those of the checkpoint.
        tokenizer: A tokenizer in place of the checkpoint's: a name or folder, or a fast tokenizer of transformers.
        config: The model's configuration as a dict; set when a checkpoint of this task is loaded.
        learning_rate: By default 1e-4.
        metrics: As in :class:`~flash.core.model.Task`; they take two lists of texts, generated ones and targets.
            Without metrics (``[]``), validation generates no texts.
        kwargs: Arguments of :class:`~flash.core.model.Task`, such as ``optimizer``. A ``loss_fn`` takes logits,
            shape ``(tokens, vocabulary)``, and labels, shape ``(tokens,)``, where -100 is to be ignored.

    Attributes:
        generation_kwargs: The generation settings; they can be changed at any time, and are saved in checkpoints.

    Raises:
        HubError: If the backbone is neither in a folder nor cached, and cannot be downloaded.
        ConfigurationError: If the checkpoint is not an encoder-decoder, or an argument is out of range.

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
        tokenizer: TokenizerSpec | None = None,
        config: Mapping[str, Any] | None = None,
        learning_rate: float | None = None,
        **kwargs: Any,
    ) -> None:
        named = (num_beams, max_new_tokens, min_new_tokens, no_repeat_ngram_size, length_penalty, do_sample)
        settings = {**(generation_kwargs or {}), **checked_settings(dict(zip(_SETTINGS, named, strict=True)))}
        made = self._make_backbone(backbone, pretrained, tokenizer, config)
        super().__init__(model=made.model, learning_rate=learning_rate, **kwargs)
        self.use_default_rates(_DEFAULT_RATE)
        self.tokenizer = made.tokenizer
        self._own_target_tokenizer = made.target_tokenizer
        #: The tokenizer of target texts, if it is another one; see :mod:`flash.text.seq2seq.languages`.
        self.target_tokenizer, of_language = self.use_languages(made.tokenizer)
        self.target_tokenizer = self.target_tokenizer or made.target_tokenizer
        self.generation_kwargs = checked_settings({**of_language, **settings})
        self._generation: tuple[dict[str, Any], GenerationConfig] | None = None
        self.prefix = self.default_prefix() if prefix is None else prefix
        self._max_positions = max_positions(made.model.get_encoder())
        self.max_source_length = _source_length(max_source_length, made.tokenizer, self._max_positions)
        self.max_target_length = _target_length(max_target_length, self._max_positions)
        order_by_execution(made.model.get_encoder())
        self._record_for_checkpoints()

    def use_languages(
        self, tokenizer: PreTrainedTokenizerFast
    ) -> tuple[PreTrainedTokenizerFast | None, dict[str, Any]]:
        """Return the tokenizer of target texts and the generation settings of their language, if there are others.

        Args:
            tokenizer: That of source texts.
        """
        return None, {}

    def default_prefix(self) -> str:
        """Return the prefix of each source text if ``prefix`` is not passed."""
        return ""

    def _make_backbone(
        self, backbone: Any, pretrained: bool, tokenizer: TokenizerSpec | None, config: Mapping[str, Any] | None
    ) -> Seq2SeqBackbone:
        if config is not None:
            made = Seq2SeqBackbone(model_from_dict(config), *_made_tokenizers(tokenizer))
        elif isinstance(backbone, nn.Module):
            _check_model(backbone)
            made = Seq2SeqBackbone(backbone, *_made_tokenizers(tokenizer))  # type: ignore[arg-type]  # checked above
        else:
            made = self.build_backbone(backbone, makes=Seq2SeqBackbone, pretrained=pretrained)
            if tokenizer is not None:
                made.tokenizer, made.target_tokenizer = _made_tokenizers(tokenizer)
        embeddings: Any = made.model.get_input_embeddings()
        if len(made.tokenizer) > embeddings.num_embeddings:
            raise ConfigurationError(
                f"Expected a tokenizer with at most {embeddings.num_embeddings:,} tokens, as many as the model has "
                f"embeddings for, but got one with {len(made.tokenizer):,}. Pass the one that belongs to the model."
            )
        return made

    def _record_for_checkpoints(self) -> None:
        """Record tokenizer and configuration, so that checkpoints load without the backbone's folder or the hub."""
        self.record_arguments(
            backbone=self.recorded_arguments.get("backbone"),
            prefix=self.prefix,
            max_source_length=self.max_source_length,
            max_target_length=self.max_target_length,
            config=model_to_dict(self.model),
            tokenizer=tokenizers_to_dict(self.tokenizer, self._own_target_tokenizer),
        )
        # These are no hyperparameters, which loggers would log.
        for name in ("tokenizer", "config"):
            self.hparams.pop(name, None)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Record the current generation settings."""
        self.record_arguments(**dict.fromkeys(_SETTINGS), generation_kwargs=dict(self.generation_kwargs))
        super().on_save_checkpoint(checkpoint)

    @property
    def input_spec(self) -> Seq2SeqTokenizerConfig:
        """The tokenizer, the prefix and the maximum lengths of the network."""
        pad_id = getattr(self.tokenizer, "pad_token_id", None) or 0
        return Seq2SeqTokenizerConfig(
            self.tokenizer, self.prefix, self.max_source_length, self.max_target_length, pad_id, self.target_tokenizer
        )

    def modules_to_freeze(self) -> list[nn.Module]:
        """Return the encoder, and the token embeddings, which most models share with the decoder and the head."""
        return [self.model.get_input_embeddings(), self.model.get_encoder()]

    def backbone_layers(self) -> list[nn.Module]:
        """Return the embeddings and then the blocks of the encoder, in the order of the forward pass."""
        return block_layers(self.modules_to_freeze())

    def step(self, batch: Any, batch_idx: int) -> Any:
        """Compute the loss of the target tokens; generate texts too, if metrics need them."""
        x, targets = batch
        labels = targets["labels"]
        output = self.model(**x, labels=labels, use_cache=False)
        loss = output.loss
        # The loss is a mean over tokens.
        weight = (labels != -100).sum()
        if self.loss_fn is not None:
            loss = self.compute_loss(output.logits.flatten(0, 1), labels.flatten())
        if "texts" not in targets or not self._has_metrics():
            return {"loss": loss, "weight": weight}
        return {"loss": loss, "y_hat": self.decode(self(x)), "y": targets["texts"], "weight": weight}

    def _has_metrics(self) -> bool:
        metrics: Any = self.stage_metrics["val_metrics"]
        return bool(len(metrics.objects) or metrics.functions)

    def configure_model(self) -> None:
        """Shard the weights over processes, if the strategy of the trainer is one that does."""
        # Called before each run.
        was_sharded = is_sharded(self.model)
        super().configure_model()
        if is_sharded(self.model) and not was_sharded:
            # Weights outside of the layers, such as embeddings, are gathered for it as for a call of the model.
            register_fsdp_forward_method(self.model, "generate")

    def forward(self, x: Any) -> Tensor:
        """Generate a text from each text.

        Args:
            x: ``input_ids`` and ``attention_mask``, both of shape ``(batch, tokens)``.

        Returns:
            The token ids of the texts, including special tokens and padding, shape ``(batch, tokens)``.
        """
        generate: Any = self.model.generate
        # Processes that share the weights take equally many steps, however long their texts are.
        ids: Tensor = generate(**x, generation_config=self._generation_config(), synced_gpus=is_sharded(self.model))
        return ids

    def _generation_config(self) -> GenerationConfig:
        """Return the current generation settings; check them again if they have changed."""
        if self._generation is None or self._generation[0] != self.generation_kwargs:
            settings = checked_settings(self.generation_kwargs)
            config = effective_config(self.model, settings, self.max_target_length, self._max_positions)
            self._generation = dict(self.generation_kwargs), config
        return self._generation[1]

    def exported_parts(self, inputs: InputSpecs) -> dict[str, ExportedPart]:
        """Return the encoder, and the decoder for the next token; the loop around them is in the encoder of texts."""
        return exported_networks(self.model, inputs, self._max_positions)

    def exported_result(self) -> dict[str, Any]:
        """Return the settings of the generation loop."""
        config: Any = self._generation_config()
        start = config.decoder_start_token_id
        settings = generation_settings(config, config.bos_token_id if start is None else start)
        clean_up = bool(getattr(self.tokenizer, "clean_up_tokenization_spaces", False))
        return {"kind": "texts", "generation": settings, "clean_up": clean_up}

    def exported_encoder(self, portable: Portable) -> Portable:
        """Return what the preprocess says, without an encoder if texts are generated in a way that it does not know."""
        unknown = unknown_setting(self._generation_config())
        if unknown is None:
            return super().exported_encoder(portable)
        return replace(portable, encoder=None, reason=f"its generation loop does not know the setting {unknown}")

    def decode(self, ids: Tensor) -> list[str]:
        """Decode token ids, shape ``(batch, tokens)``, to texts."""
        texts: list[str] = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [text.strip() for text in texts]

    def predict(
        self,
        raw: Any,
        output: str | Callable[[Any], Any] | None = None,
        batch_size: int = 16,
        **generation_kwargs: Any,
    ) -> list[Any]:
        """Generate a text from each raw text.

        Args:
            raw: A list of texts, a table with the column ``input_field``, or the path of a file with one.
            output: ``"texts"`` (the default), ``"tokens"`` for lists of token ids, ``"raw"``, or a callable.
            batch_size: Texts per batch.
            generation_kwargs: Generation settings for this call only, such as ``num_beams=4``; and how to read a table
                of text: ``sep``, ``encoding``, ``quotechar``.

        Returns:
            One text per raw text, in order.
        """
        reading = {name: generation_kwargs.pop(name) for name in READ_OPTIONS if name in generation_kwargs}
        with self.generating(**generation_kwargs):
            return super().predict(raw, output, batch_size, **reading)

    @contextmanager
    def generating(self, **generation_kwargs: Any) -> Iterator[None]:
        """Override generation settings while the context is open."""
        before = self.generation_kwargs
        self.generation_kwargs = {**before, **checked_settings(generation_kwargs)}
        try:
            yield
        finally:
            self.generation_kwargs = before


def texts(predictions: Any, task: Any) -> list[str]:
    """Return the generated texts."""
    generated: list[str] = task.decode(predictions)
    return generated


def tokens(predictions: Tensor, task: Any) -> list[list[int]]:
    """Return the token ids of the generated texts, without special tokens."""
    special = {*task.tokenizer.all_special_ids}
    return [[token for token in row if token not in special] for row in predictions.tolist()]


def _made_tokenizers(tokenizer: TokenizerSpec | None) -> tuple[Any, Any]:
    """Return the tokenizer, and that of target texts if it is another one."""
    if isinstance(tokenizer, Mapping):
        return tokenizers_from_dict(tokenizer)
    if isinstance(tokenizer, str | Path):
        return load_tokenizers(tokenizer)
    if isinstance(tokenizer, PreTrainedTokenizerBase) and tokenizer.is_fast:
        return tokenizer, None
    raise ConfigurationError(
        "Expected tokenizer to be a name or folder, or a fast tokenizer of transformers, which can also decode, "
        f"but got {type(tokenizer).__name__}."
    )


def _check_model(model: nn.Module) -> None:
    config = getattr(model, "config", None)
    if not isinstance(model, PreTrainedModel) or not getattr(config, "is_encoder_decoder", False):
        raise ConfigurationError(
            "Expected backbone to be a name, a folder, or an encoder-decoder of transformers such as a "
            f"T5ForConditionalGeneration, but got a {type(model).__name__}."
        )


def _source_length(length: int | None, tokenizer: Any, positions: int | None) -> int:
    if length is not None:
        return _checked_length("max_source_length", length, positions)
    limit_of_tokenizer = getattr(tokenizer, "model_max_length", None)
    # Tokenizers without a limit have the value 10 ** 30.
    limits = [limit for limit in (limit_of_tokenizer, positions) if isinstance(limit, int) and limit < 1_000_000]
    return min(limits, default=DEFAULT_MAX_SOURCE_LENGTH)


def _target_length(length: int | None, positions: int | None) -> int:
    if length is not None:
        return _checked_length("max_target_length", length, positions)
    return min(DEFAULT_MAX_TARGET_LENGTH, positions or DEFAULT_MAX_TARGET_LENGTH)


def _checked_length(name: str, value: Any, positions: int | None) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 2:
        raise ConfigurationError(f"Expected {name} to be a whole number of at least 2, but got {value!r}.")
    if positions is not None and value > positions:
        raise ConfigurationError(
            f"Expected {name} to be at most {positions}, the number of positions of the model, but got {value}."
        )
    return value
