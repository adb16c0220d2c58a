"""Generation settings: how texts are written, by the names that transformers has for them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from transformers import GenerationConfig, PreTrainedModel

from flash.errors import ConfigurationError

__all__ = ["checked_settings", "effective_config"]

# Transformers gives its constructor no types.
_CONFIG: Any = GenerationConfig
# They change what comes back: not one text for each text any more.
_REFUSED = ("num_return_sequences", "return_dict_in_generate")
_COUNTS = {"num_beams": 1, "max_new_tokens": 1, "min_new_tokens": 0, "no_repeat_ngram_size": 0, "top_k": 0}
_NUMBERS = ("length_penalty", "temperature", "top_p", "repetition_penalty")


def checked_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that are not ``None``.

    Args:
        settings: Names and values, as in transformers' ``GenerationConfig``.

    Raises:
        ConfigurationError: If there is no such setting, or a value is out of range.

    Example:
        >>> checked_settings({"num_beams": 4, "max_new_tokens": None})
        {'num_beams': 4}
    """
    known = {name for name in _CONFIG().to_dict() if not name.startswith("_")}
    given = {name: value for name, value in settings.items() if value is not None}
    for name, value in given.items():
        if name not in known:
            raise ConfigurationError(
                f"Expected the name of a generation setting, but got {name!r}. There are num_beams, max_new_tokens, "
                "min_new_tokens, no_repeat_ngram_size, length_penalty, do_sample, temperature, top_k, top_p and "
                "others: see GenerationConfig of transformers."
            )
        if name in _REFUSED:
            raise ConfigurationError(f"Expected one written text for each text, so that {name} cannot be set.")
        _check_value(name, value)
    try:
        _CONFIG(**given).validate()
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"Expected generation settings that fit together, but got {given}: {error}") from error
    return given


def _check_value(name: str, value: Any) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if name in _COUNTS and not (is_number and value == int(value) and value >= _COUNTS[name]):
        expected = f"a whole number of at least {_COUNTS[name]}"
    elif name in _NUMBERS and not is_number:
        expected = "a number"
    elif name == "do_sample" and not isinstance(value, bool):
        expected = "True or False"
    else:
        return
    raise ConfigurationError(f"Expected {name} to be {expected}, but got {value!r}.")


def effective_config(
    model: PreTrainedModel, settings: Mapping[str, Any], max_new_tokens: int, longest: int | None = None
) -> GenerationConfig:
    """Return the settings to generate with: those given, else what the checkpoint says.

    Args:
        model: Its ``generation_config`` is what the checkpoint says.
        settings: Those given.
        max_new_tokens: How many tokens may be written where neither says it.
        longest: How many places the model can tell, where it has a table of them.

    Raises:
        ConfigurationError: If more tokens may be written than the model can tell the places of.
    """
    config: Any = copy.deepcopy(model.generation_config)
    stored = config.to_diff_dict()
    if not {"max_length", "max_new_tokens"} & {*stored, *settings}:
        settings = {**settings, "max_new_tokens": max_new_tokens}
    # Of two limits, a count of new tokens and one of all tokens, the one given here must win.
    for new, whole in (("max_new_tokens", "max_length"), ("min_new_tokens", "min_length")):
        for given, other in ((new, whole), (whole, new)):
            if given in settings and other not in settings and other in stored:
                setattr(config, other, getattr(_CONFIG(), other))
    config.update(**settings)
    limit = config.max_new_tokens or config.max_length
    if longest is not None and limit > longest:
        raise ConfigurationError(
            f"Expected max_new_tokens to be at most {longest}, which is as far as the model can count places, but got "
            f"{limit}."
        )
    made: GenerationConfig = config
    return made
