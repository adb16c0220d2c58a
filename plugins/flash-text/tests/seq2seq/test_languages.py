"""Models of many languages: mBART and NLLB read and write the languages that are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoTokenizer, M2M100Config, MBartConfig, MBartTokenizer, NllbTokenizer

import flash
from flash.errors import ConfigurationError
from flash.text import SummarizationTask, TranslationData, TranslationTask
from flash.text.hub import make_model

if int(transformers.__version__.split(".")[0]) < 5:
    pytest.skip("tiny tokenizers of mBART and NLLB are made otherwise", allow_module_level=True)

WORDS = ["red", "tea", "sun", "sea", "oak", "rot", "tee", "sonne", "see", "eiche"]
ENGLISH, GERMAN = WORDS[:5], WORDS[5:]
CODES = {"mbart": ("en_XX", "de_DE", "ro_RO"), "nllb": ("eng_Latn", "deu_Latn", "ron_Latn")}


def save(folder: Path, kind: str) -> str:
    """Leave a tiny mBART or NLLB with random weights in a folder."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    words = ["▁", *(f"▁{word}" for word in WORDS), *"abcdefghijklmnopqrstuvwxyz"]
    if kind == "mbart":
        tokenizer: Any = MBartTokenizer(vocab=[*((each, 0.0) for each in special), *((each, -1.0) for each in words)])
    else:
        vocabulary = {each: place for place, each in enumerate([*special, *words])}
        tokenizer = NllbTokenizer(vocab=vocabulary, merges=[])
    sides: dict[str, Any] = {
        f"{side}_{name}": size
        for side in ("encoder", "decoder")
        for name, size in (("layers", 1), ("attention_heads", 4), ("ffn_dim", 64))
    }
    ids: dict[str, Any] = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2}
    make = MBartConfig if kind == "mbart" else M2M100Config
    config = make(
        vocab_size=len(tokenizer), d_model=32, max_position_embeddings=32, dropout=0.0, init_std=0.1, **sides, **ids
    )
    torch.manual_seed(0)
    make_model(config, "seq2seq").save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {kind: save(tmp_path_factory.mktemp(kind), kind) for kind in CODES}


@pytest.fixture(params=sorted(CODES))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def data() -> TranslationData:
    return TranslationData.from_lists(ENGLISH * 20, GERMAN * 20, ENGLISH, GERMAN, batch_size=10, seed=0)


def make(folders: dict[str, str], kind: str, data: TranslationData, **options: Any) -> TranslationTask:
    source, target, _ = CODES[kind]
    return TranslationTask.from_data(
        data, backbone=folders[kind], source_language=source, target_language=target, **options
    )


def test_both_sides_are_encoded_as_transformers_does(folders: dict[str, str], kind: str, data: TranslationData) -> None:
    task = make(folders, kind, data)
    source, target, _ = CODES[kind]
    tokenizer = AutoTokenizer.from_pretrained(folders[kind], src_lang=source, tgt_lang=target)
    expected = tokenizer("tea", text_target="tee")
    pair: Any = data.train_dataset[1]
    assert pair.source.tolist() == expected["input_ids"]
    assert pair.target.tolist() == expected["labels"]
    assert task.prefix == ""


@pytest.mark.train
def test_a_translation_is_learned_written_in_its_language_and_stored(
    folders: dict[str, str], kind: str, data: TranslationData, trainer: Callable[..., flash.Trainer], tmp_path: Path
) -> None:
    task = make(folders, kind, data, learning_rate=1e-2, max_new_tokens=12, metrics=[])
    run = trainer(max_epochs=20)
    run.fit(task, data)
    assert task.predict(ENGLISH) == GERMAN
    code = task.tokenizer.convert_tokens_to_ids(CODES[kind][1])
    written = task(task_inputs(task))[0].tolist()
    assert code in written[:2]
    run.save_checkpoint(tmp_path / "task.ckpt")
    loaded: Any = flash.Task.load_from_checkpoint(tmp_path / "task.ckpt")
    assert loaded.predict(ENGLISH) == GERMAN
    labels = loaded.target_tokenizer.backend_tokenizer.encode("rot").ids
    assert labels == task.target_tokenizer.backend_tokenizer.encode("rot").ids
    assert code in labels


def task_inputs(task: TranslationTask) -> Any:
    encoded = task.tokenizer("red tea", return_tensors="pt")
    return {name: encoded[name] for name in ("input_ids", "attention_mask")}


def test_both_languages_have_to_be_named_by_their_codes(folders: dict[str, str], kind: str) -> None:
    source, target, other = CODES[kind]
    with pytest.raises(ConfigurationError, match=r"Expected source_language to be one of the codes .* but got None"):
        TranslationTask(folders[kind], target_language=target)
    with pytest.raises(ConfigurationError, match=r"Expected target_language to be one of the codes .* but got 'de'"):
        TranslationTask(folders[kind], source_language=source, target_language="de")
    task = TranslationTask(folders[kind], source_language=source, target_language=other)
    assert task.tokenizer.convert_tokens_to_ids(other) in task.generation_kwargs.values()


def test_summaries_need_no_languages(folders: dict[str, str]) -> None:
    assert SummarizationTask(folders["mbart"]).target_tokenizer is None
