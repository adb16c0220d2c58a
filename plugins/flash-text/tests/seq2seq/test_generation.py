"""Generation settings: what is accepted, and which of several limits wins."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import GenerationConfig

from flash.errors import ConfigurationError
from flash.text.hub import load_model
from flash.text.seq2seq.generation import checked_settings, effective_config


def model(folder: str, **stored: Any) -> Any:
    made = load_model(folder, "seq2seq")
    made.generation_config = GenerationConfig(pad_token_id=0, eos_token_id=1, **stored)
    return made


def test_settings_that_are_none_are_left_to_the_checkpoint() -> None:
    assert checked_settings({"num_beams": None, "top_p": 0.5, "do_sample": True}) == {"top_p": 0.5, "do_sample": True}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"num_beam": 4}, "Expected the name of a generation setting, but got 'num_beam'."),
        ({"num_beams": 0}, "Expected num_beams to be a whole number of at least 1, but got 0."),
        ({"num_beams": "four"}, "Expected num_beams to be a whole number of at least 1, but got 'four'."),
        ({"min_new_tokens": -1}, "Expected min_new_tokens to be a whole number of at least 0, but got -1."),
        ({"length_penalty": "long"}, "Expected length_penalty to be a number, but got 'long'."),
        ({"do_sample": 1}, "Expected do_sample to be True or False, but got 1."),
        (
            {"num_return_sequences": 3},
            "Expected settings that generate one text per text, but got num_return_sequences",
        ),
        ({"early_stopping": "perhaps"}, "Expected generation settings that fit together"),
    ],
)
def test_what_cannot_be_set_is_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        checked_settings(settings)
    assert sentence in str(caught.value)


def test_what_is_given_wins_over_what_the_checkpoint_says(t5: str) -> None:
    config: Any = effective_config(model(t5, num_beams=4, length_penalty=2.0), {"num_beams": 1}, 10)
    assert (config.num_beams, config.length_penalty, config.max_new_tokens) == (1, 2.0, 10)


def test_the_checkpoints_own_limit_holds_where_none_is_given(t5: str) -> None:
    config: Any = effective_config(model(t5, max_length=50, min_length=5), {}, 10)
    assert (config.max_length, config.max_new_tokens, config.min_length) == (50, None, 5)


def test_a_limit_of_new_tokens_replaces_the_checkpoints_limit_of_all_tokens(t5: str) -> None:
    config: Any = effective_config(
        model(t5, max_length=50, min_length=30), {"max_new_tokens": 7, "min_new_tokens": 2}, 10
    )
    usual: Any = GenerationConfig()
    assert (config.max_new_tokens, config.min_new_tokens) == (7, 2)
    assert (config.max_length, config.min_length) == (usual.max_length, usual.min_length)


def test_the_models_own_settings_stay_as_they_are(t5: str) -> None:
    network = model(t5, num_beams=4)
    effective_config(network, {"num_beams": 2}, 10)
    assert network.generation_config.num_beams == 4


def test_more_tokens_than_the_model_has_places_for_are_refused(t5: str) -> None:
    with pytest.raises(ConfigurationError, match="Expected max_new_tokens to be at most 32, .* but got 33."):
        effective_config(model(t5), {"max_new_tokens": 33}, 10, max_positions=32)
