"""Backbones: what stands before each text, and models as plain data."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import T5Config

from flash.core.finetuning import backbone_layers
from flash.errors import ConfigurationError
from flash.text import SummarizationTask, TranslationTask
from flash.text.seq2seq.backbones import huggingface, model_from_dict, model_to_dict, read_prefix

PARAMS = {
    "summarization": {"prefix": "summarize: ", "num_beams": 4},
    "translation_en_to_de": {"prefix": "translate English to German: "},
    "translation_en_to_ro": {"prefix": "translate English to Romanian: "},
}
OPTIONS: dict[str, Any] = {"task_specific_params": PARAMS}
CONFIG = T5Config(**OPTIONS)


def test_the_prefix_is_what_the_checkpoint_says_for_the_task() -> None:
    assert read_prefix(CONFIG, "summarization") == "summarize: "
    assert read_prefix(CONFIG, "translation", target_language="ro") == "translate English to Romanian: "
    assert read_prefix(CONFIG, "translation", "en", "de") == "translate English to German: "


def test_of_several_pairs_of_languages_the_first_is_taken_and_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "flash.text"):
        assert read_prefix(CONFIG, "translation") == "translate English to German: "
    assert "The checkpoint has translation_en_to_de, translation_en_to_ro" in caplog.text


@pytest.mark.parametrize("params", [None, {}, {"summarization": {"num_beams": 4}}, {"summarization": None}, ["odd"]])
def test_most_checkpoints_want_no_prefix(params: Any) -> None:
    config = T5Config()
    config.task_specific_params = params
    assert read_prefix(config, "summarization") == ""


def test_a_pair_of_languages_that_the_checkpoint_does_not_know_is_refused() -> None:
    sentence = "from any language to fr, but it has only translation_en_to_de, translation_en_to_ro."
    with pytest.raises(ConfigurationError, match=sentence):
        read_prefix(CONFIG, "translation", target_language="fr")
    with pytest.raises(ConfigurationError, match="from en to de, but it has no pair of languages."):
        read_prefix(T5Config(), "translation", "en", "de")


def test_tasks_take_the_prefix_from_their_checkpoint_unless_another_is_given(folder_of: Any) -> None:
    folder = folder_of(task_specific_params=PARAMS)
    assert SummarizationTask(folder).prefix == "summarize: "
    assert TranslationTask(folder, target_language="ro").prefix == "translate English to Romanian: "
    assert TranslationTask(folder, prefix="").prefix == ""


def test_a_model_becomes_plain_data_and_a_model_again(backbone: str) -> None:
    model = huggingface(backbone).model
    model.generation_config.num_beams = 3
    again = model_from_dict(model_to_dict(model))
    assert type(again) is type(model)
    assert again.generation_config.num_beams == 3
    again.load_state_dict(model.state_dict())
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


def test_seq2seq_backbones_are_listed() -> None:
    assert "google-t5/t5-small" in SummarizationTask.available_backbones("google-t5/*")


@pytest.mark.parametrize("kind", ["bart", "t5"])
def test_layers_are_the_embeddings_and_the_blocks_of_the_encoder(checkpoints: dict[str, Path], kind: str) -> None:
    task = SummarizationTask(backbone=checkpoints[kind])
    layers = backbone_layers(task)
    frozen = {parameter for module in task.modules_to_freeze() for parameter in module.parameters()}
    assert len(layers) == 3
    assert {parameter for layer in layers for parameter in layer.parameters()} == frozen
    assert task.model.get_input_embeddings().weight in {*layers[0].parameters()}
