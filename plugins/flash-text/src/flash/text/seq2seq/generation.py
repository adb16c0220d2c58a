"""Generation settings, by their names in transformers' ``GenerationConfig``."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from transformers import GenerationConfig, PreTrainedModel

from flash.errors import ConfigurationError

__all__ = ["checked_settings", "effective_config"]

# The constructor has no type annotations in transformers.
_CONFIG: Any = GenerationConfig
# With these, the result would not be one text per text.
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
                f"Expected the name of a generation setting, but got {name!r}. Pass num_beams, max_new_tokens, "
                "min_new_tokens, no_repeat_ngram_size, length_penalty, do_sample, temperature, top_k, top_p or "
                "another one: see GenerationConfig of transformers."
            )
        if name in _REFUSED:
            raise ConfigurationError(
                f"Expected settings that generate one text per text, but got {name}. Leave it out."
            )
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
    model: PreTrainedModel, settings: Mapping[str, Any], max_new_tokens: int, max_positions: int | None = None
) -> GenerationConfig:
    """Return the generation config of a model, with settings that override those of its checkpoint.

    Args:
        model: A model with the ``generation_config`` of its checkpoint.
        settings: The settings to override.
        max_new_tokens: The maximum number of generated tokens if neither of them sets it.
        max_positions: The number of positions that the model supports; ``None`` if it is not limited.

    Raises:
        ConfigurationError: If the maximum number of tokens is greater than ``max_positions``.
    """
    config: Any = copy.deepcopy(model.generation_config)
    stored = config.to_diff_dict()
    if not {"max_length", "max_new_tokens"} & {*stored, *settings}:
        settings = {**settings, "max_new_tokens": max_new_tokens}
    # A limit of new tokens here must override a limit of all tokens in the checkpoint, and vice versa.
    for new, total in (("max_new_tokens", "max_length"), ("min_new_tokens", "min_length")):
        for given, other in ((new, total), (total, new)):
            if given in settings and other not in settings and other in stored:
                setattr(config, other, getattr(_CONFIG(), other))
    config.update(**settings)
    limit = config.max_new_tokens or config.max_length
    if max_positions is not None and limit > max_positions:
        raise ConfigurationError(
            f"Expected max_new_tokens to be at most {max_positions}, the number of positions of the model, "
            f"but got {limit}."
        )
    made: GenerationConfig = config
    return made
