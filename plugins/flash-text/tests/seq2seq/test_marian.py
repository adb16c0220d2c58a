"""Marian models: their SentencePiece files become fast tokenizers, which encode as transformers' own slow ones do."""

from __future__ import annotations

import io
import json
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import MarianConfig, MarianTokenizer

import flash
from flash.download.pretrained import HubError
from flash.errors import ConfigurationError
from flash.text import TranslationData, TranslationTask
from flash.text.hub import make_model
from flash.text.seq2seq.marian import load_marian_tokenizers, target_codes
from flash.text.seq2seq.sentencepiece import read_sentencepieces

spm = pytest.importorskip("sentencepiece")

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")

ENGLISH = ["red tea", "the sun", "a sea", "an oak tree", "ice and ash"]
GERMAN = ["roter tee", "die sonne", "ein meer", "eine eiche", "eis und straße"]
CODES = [">>de<<", ">>fr<<"]


def train(sentences: list[str], **options: Any) -> bytes:
    """A small SentencePiece model of some sentences, whose words are shuffled."""
    draw = random.Random(0)
    lines = [" ".join(draw.sample(each.split(), len(each.split()))) for each in sentences for _ in range(20)]
    model = io.BytesIO()
    settings = {"model_type": "unigram", "vocab_size": 45, "character_coverage": 1.0, "hard_vocab_limit": False}
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, minloglevel=2, num_threads=1, **{**settings, **options}
    )
    return model.getvalue()


def save(folder: Path, codes: list[str]) -> Path:
    """Leave a tiny Marian model with random weights in a folder."""
    folder.mkdir()
    pieces: set[str] = set()
    for name, sentences in (("source.spm", ENGLISH), ("target.spm", GERMAN)):
        (folder / name).write_bytes(train(sentences))
        model = spm.SentencePieceProcessor(model_file=str(folder / name))
        ids = range(model.get_piece_size())
        pieces |= {model.id_to_piece(each) for each in ids if not model.is_control(each) and not model.is_unknown(each)}
    words = ["</s>", "<unk>", *codes, *sorted(pieces), "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({word: place for place, word in enumerate(words)}))
    settings = {"model_max_length": 64, "tokenizer_class": "MarianTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    pad = len(words) - 1
    sides: dict[str, Any] = {
        f"{side}_{name}": size
        for side in ("encoder", "decoder")
        for name, size in (("layers", 1), ("attention_heads", 4), ("ffn_dim", 64))
    }
    ids_of: dict[str, Any] = {"pad_token_id": pad, "eos_token_id": 0, "decoder_start_token_id": pad}
    config = MarianConfig(
        vocab_size=len(words),
        d_model=32,
        max_position_embeddings=64,
        dropout=0.0,
        forced_eos_token_id=0,
        init_std=0.1,
        **sides,
        **ids_of,
    )
    torch.manual_seed(0)
    made: Any = make_model(config, "seq2seq")
    made.generation_config.bad_words_ids = [[pad]]
    made.save_pretrained(folder)
    # As in the checkpoints of the hub, the positions are computed.
    weights = {name: each for name, each in load_file(folder / "model.safetensors").items() if "positions" not in name}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("marian")
    return {"one": save(root / "one", []), "several": save(root / "several", CODES)}


@pytest.fixture
def folder(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the model of one language, to spoil."""
    return shutil.copytree(folders["one"], tmp_path / "marian")


@pytest.fixture
def data() -> TranslationData:
    return TranslationData.from_lists(ENGLISH * 12, GERMAN * 12, ENGLISH, GERMAN, batch_size=10, seed=0)


TEXTS = [*ENGLISH, "  two   spaces ", "", "Ünknown ж zz straße", "fo\nx\tsea", "ﬁsh ½ №3", "a" * 50]


@pytest.mark.parametrize("kind", ["one", "several"])
def test_both_sides_are_encoded_and_decoded_as_the_slow_tokenizer_does(folders: dict[str, Path], kind: str) -> None:
    slow = MarianTokenizer.from_pretrained(folders[kind])
    found = load_marian_tokenizers(folders[kind])
    assert found is not None
    source, target = found
    texts = [*TEXTS, *([">>fr<< the sea", ">>de<<tea"] if kind == "several" else [])]
    assert [source(text)["input_ids"] for text in texts] == [slow(text)["input_ids"] for text in texts]
    ids = [slow(text_target=text)["input_ids"] for text in GERMAN]
    assert [target(text)["input_ids"] for text in GERMAN] == ids
    decode: dict[str, Any] = {"skip_special_tokens": True}
    assert source.batch_decode(ids, **decode) == slow.batch_decode(ids, **decode) == GERMAN
    assert source.model_max_length == 64
    assert source("sea" * 99, truncation=True)["input_ids"][-1] == 0


@pytest.mark.train
def test_a_translation_is_learned_stored_whole_and_pickled(
    folder: Path, data: TranslationData, trainer: Callable[..., flash.Trainer], tmp_path: Path
) -> None:
    task = TranslationTask.from_data(data, backbone=str(folder), learning_rate=3e-3, num_beams=2, metrics=[])
    pair: Any = data.train_dataset[1]
    slow = MarianTokenizer.from_pretrained(folder)
    assert pair.source.tolist() == slow(ENGLISH[1])["input_ids"]
    assert pair.target.tolist() == slow(text_target=GERMAN[1])["input_ids"]
    run = trainer(max_epochs=40)
    run.fit(task, data)
    assert task.predict(ENGLISH) == GERMAN
    run.save_checkpoint(tmp_path / "task.ckpt")
    shutil.rmtree(folder)
    loaded: Any = flash.Task.load_from_checkpoint(tmp_path / "task.ckpt")
    assert loaded.predict(ENGLISH) == GERMAN
    assert loaded.target_tokenizer(GERMAN)["input_ids"] == slow(text_target=GERMAN)["input_ids"]
    assert pickle.loads(pickle.dumps(loaded)).predict(ENGLISH) == GERMAN


@pytest.mark.filterwarnings("ignore:Expected this TranslationTask to be trained")
def test_the_code_of_the_target_language_is_put_before_each_text(folders: dict[str, Path], tmp_path: Path) -> None:
    task = TranslationTask(str(folders["several"]), target_language="fr", max_source_length=4)
    ids = task.tokenizer.backend_tokenizer.encode("the sea").ids
    assert task.tokenizer.convert_ids_to_tokens(ids)[0] == ">>fr<<"
    assert task.target_tokenizer is not None
    assert target_codes(task.tokenizer) == ["de", "fr"]
    assert ids[1:] == MarianTokenizer.from_pretrained(folders["several"])("the sea")["input_ids"]
    task.save_pretrained(tmp_path / "saved")
    loaded: Any = flash.Task.from_pretrained(tmp_path / "saved")
    assert loaded.tokenizer.backend_tokenizer.encode("the sea").ids == ids


def test_texts_may_begin_with_codes_of_their_own(folders: dict[str, Path]) -> None:
    task = TranslationTask(str(folders["several"]), prefix="")
    tokens = task.tokenizer.backend_tokenizer.encode(">>de<< tea").tokens
    assert tokens[0] == ">>de<<"
    assert task.tokenizer.backend_tokenizer.encode("tea").tokens[0] != ">>de<<"


def test_languages_that_a_model_does_not_have_are_an_error(folders: dict[str, Path]) -> None:
    several = str(folders["several"])
    with pytest.raises(
        ConfigurationError, match=r"languages that the model writes, 'de', 'fr', but got None.*'>>de<<'"
    ):
        TranslationTask(several)
    with pytest.raises(ConfigurationError, match="languages that the model writes, 'de', 'fr', but got 'ro'"):
        TranslationTask(several, target_language="ro")
    with pytest.raises(ConfigurationError, match="find out the source language, but got source_language='en'"):
        TranslationTask(several, source_language="en", target_language="de")
    with pytest.raises(ConfigurationError, match="has no pair of languages. Leave the languages out"):
        TranslationTask(str(folders["one"]), target_language="de")


def test_a_tokenizer_of_a_folder_belongs_to_a_model_that_is_passed(folders: dict[str, Path]) -> None:
    model = TranslationTask(str(folders["one"])).model
    task = TranslationTask(model, tokenizer=str(folders["one"]))
    assert task.target_tokenizer is not None


@pytest.mark.parametrize("name", ["target.spm", "vocab.json"])
def test_a_file_that_is_missing_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(HubError, match=rf"Expected source.spm, target.spm and vocab.json .* but there is no {name}"):
        TranslationTask(str(folder))


def test_a_vocabulary_with_gaps_and_two_vocabularies_are_refused(folder: Path) -> None:
    words = json.loads((folder / "vocab.json").read_text())
    (folder / "vocab.json").write_text(json.dumps({**words, "gap": 9999}))
    with pytest.raises(HubError, match="with the ids from 0 on, and </s>, <unk> and <pad> among its pieces"):
        load_marian_tokenizers(folder)
    (folder / "tokenizer_config.json").write_text('{"separate_vocabs": true}')
    with pytest.raises(ConfigurationError, match="with one vocabulary for both languages, but .* has two"):
        load_marian_tokenizers(folder)


def test_a_damaged_model_of_sentencepiece_and_one_of_another_type_are_refused(folder: Path) -> None:
    whole = (folder / "source.spm").read_bytes()
    for damaged in (whole[:-100], b"", b"\xff" * 50, b"PK\x03\x04 no model"):
        (folder / "source.spm").write_bytes(damaged)
        with pytest.raises(HubError, match="Expected a model of SentencePiece in .* damaged"):
            read_sentencepieces(folder / "source.spm")
    (folder / "source.spm").write_bytes(train(ENGLISH, model_type="char"))
    with pytest.raises(ConfigurationError, match="Expected a unigram model of SentencePiece"):
        load_marian_tokenizers(folder)


def test_a_model_without_normalization_keeps_spaces(tmp_path: Path) -> None:
    path = tmp_path / "plain.spm"
    path.write_bytes(
        train(ENGLISH, normalization_rule_name="identity", add_dummy_prefix=False, remove_extra_whitespaces=False)
    )
    found = read_sentencepieces(path)
    assert (found.characters, found.dummy_prefix, found.remove_extra_spaces) == (b"", False, False)
    model = spm.SentencePieceProcessor(model_file=str(path))
    expected = {model.id_to_piece(each): model.get_score(each) for each in range(3, model.get_piece_size())}
    assert found.scores == pytest.approx(expected)
