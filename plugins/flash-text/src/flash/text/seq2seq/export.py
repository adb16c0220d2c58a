"""The networks of an encoder-decoder for export, and the settings of its generation loop."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from flash.core.export import ExportedPart
from flash.data.portable import InputSpecs, TensorSpec, named_specs

__all__ = ["exported_networks", "generation_settings", "unknown_setting"]

# The settings of the loop in flash.text.encoder, and those that do not change what it returns.
_KNOWN = frozenset(
    {
        *("num_beams", "max_length", "max_new_tokens", "min_length", "min_new_tokens", "length_penalty"),
        *(
            "early_stopping",
            "bad_words_ids",
            "no_repeat_ngram_size",
            "repetition_penalty",
            "forced_bos_token_id",
            "forced_eos_token_id",
        ),
        *("decoder_start_token_id", "bos_token_id", "eos_token_id", "pad_token_id", "use_cache", "do_sample"),
        *("transformers_version", "temperature", "top_k", "top_p", "cache_implementation", "num_return_sequences"),
        *("output_attentions", "output_hidden_states", "output_scores", "output_logits", "return_dict_in_generate"),
    }
)


class _Encoder(nn.Module):
    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.encoder: Any = model.get_encoder()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor]:
        return (self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state,)


class _Decoder(nn.Module):
    """Compute the logits of the next token, without a cache of the tokens before."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, decoder_input_ids: Tensor, hidden: Tensor, attention_mask: Tensor) -> tuple[Tensor]:
        output = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=hidden),
            attention_mask=attention_mask,
            decoder_input_ids=decoder_input_ids,
            use_cache=False,
        )
        return (output.logits[:, -1].float(),)


def exported_networks(model: PreTrainedModel, inputs: InputSpecs, max_tokens: int | None) -> dict[str, ExportedPart]:
    """Return the encoder, and the decoder for the next token.

    Args:
        model: An encoder-decoder.
        inputs: The inputs of the encoder.
        max_tokens: The maximum number of tokens that the decoder is called with; ``None`` if there is no limit.
    """
    # The ONNX exporter cannot decompose fused attention with a bias, as in T5.
    model = copy.deepcopy(model)
    model.set_attn_implementation("eager")
    specs = named_specs(inputs)
    size = int(getattr(model.config, "d_model", None) or model.config.hidden_size)
    longest = specs["input_ids"].longest
    of_decoder = {
        "decoder_input_ids": TensorSpec("int64", ("batch", "tokens"), specs["input_ids"].values, longest=max_tokens),
        "hidden": TensorSpec("float32", ("batch", "length", size), longest=longest),
        "attention_mask": specs["attention_mask"],
    }
    return {
        "encoder": ExportedPart(_Encoder(model), specs, ("hidden",)),
        "decoder": ExportedPart(_Decoder(model), of_decoder, ("logits",)),
    }


def unknown_setting(config: GenerationConfig) -> str | None:
    """Return a setting that the generation loop of exported folders does not know, or ``None``."""
    settings: Mapping[str, Any] = config.to_diff_dict()
    if config.do_sample:
        return "do_sample"
    if any(len(each) > 1 for each in config.bad_words_ids or ()):
        return "bad_words_ids"
    return next((name for name in settings if name not in _KNOWN and not name.startswith("_")), None)


def generation_settings(config: Any, start: int) -> dict[str, Any]:
    """Return the settings of the generation loop, as JSON can hold them.

    Args:
        config: The settings of transformers.
        start: The first token of the decoder.
    """
    max_length = config.max_length if config.max_new_tokens is None else config.max_new_tokens + 1
    least = config.min_length or 0 if config.min_new_tokens is None else config.min_new_tokens + 1
    return {
        "start": start,
        "eos": _listed(config.eos_token_id),
        "max_length": max_length,
        "min_length": least,
        "num_beams": config.num_beams or 1,
        "length_penalty": 1.0 if config.length_penalty is None else config.length_penalty,
        "early_stopping": config.early_stopping or False,
        "no_repeat_ngram_size": config.no_repeat_ngram_size or 0,
        "repetition_penalty": config.repetition_penalty or 1.0,
        # transformers lets texts end whatever is forbidden.
        "never": [each[0] for each in config.bad_words_ids or () if each[0] not in _listed(config.eos_token_id)],
        "forced_bos": config.forced_bos_token_id,
        "forced_eos": _listed(config.forced_eos_token_id),
    }


def _listed(token: int | list[int] | None) -> list[int]:
    return [] if token is None else [token] if isinstance(token, int) else list(token)
