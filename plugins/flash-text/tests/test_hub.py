"""Checkpoints of the hub: loaded whole or not at all, offline, and without running anything in them."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from flash.download.pretrained import HubError, config_to_dict, read_json
from flash.errors import CheckpointError, ConfigurationError, FlashError
from flash.text.hub import (
    config_from_dict,
    load_config,
    load_model,
    load_tokenizer,
    make_model,
    tokenizer_from_dict,
    tokenizer_to_dict,
)

KINDS = ["bert", "roberta", "t5", "bart"]
TEXTS = ["the film was great", "", "😀 שלום très Ünïcode", "(a) b-c, 'd'!"]


@pytest.fixture
def folder(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the tiny BERT, to spoil."""
    return shutil.copytree(checkpoints["bert"], tmp_path / "bert")


class TestModels:
    @pytest.mark.parametrize("kind", KINDS)
    def test_an_encoder_has_the_weights_of_its_file(self, checkpoints: dict[str, Path], kind: str) -> None:
        stored = load_file(checkpoints[kind] / "model.safetensors")
        weights = load_model(checkpoints[kind], "encoder").state_dict()
        found = [
            any(key.endswith(name) and torch.equal(stored[key], weight) for key in stored)
            for name, weight in weights.items()
        ]
        assert found.count(False) <= 1  # T5 and BART have the embedding under another name

    @pytest.mark.parametrize("kind", ["t5", "bart"])
    def test_of_an_encoder_decoder_the_encoder_is_taken(self, checkpoints: dict[str, Path], kind: str) -> None:
        model: Any = load_model(checkpoints[kind], "encoder")
        token = torch.zeros(1, 3, dtype=torch.long)
        assert model(input_ids=token, attention_mask=token + 1).last_hidden_state.shape == (1, 3, 32)
        assert not any("decoder" in name for name, _ in model.named_parameters())

    @pytest.mark.parametrize("kind", ["t5", "bart"])
    def test_a_model_that_writes_text_is_complete(self, checkpoints: dict[str, Path], kind: str) -> None:
        model: Any = load_model(checkpoints[kind], "seq2seq")
        assert model.generate(torch.zeros(1, 3, dtype=torch.long), max_new_tokens=2).shape[0] == 1

    def test_no_pooler_is_left_that_nobody_trains(self, bert: str) -> None:
        assert not any("pooler" in name for name, _ in load_model(bert, "encoder").named_parameters())

    def test_half_precision_weights_become_whole_ones(self, folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        save_file({name: w.half() for name, w in weights.items()}, folder / "model.safetensors", {"format": "pt"})
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "dtype": "float16", "torch_dtype": "float16"}))
        assert {parameter.dtype for parameter in load_model(folder, "encoder").parameters()} == {torch.float32}

    def test_a_model_trains(self, bert: str) -> None:
        assert load_model(bert, "encoder").training

    def test_weights_are_random_only_where_that_is_asked_for(self, bert: str) -> None:
        torch.manual_seed(1)
        made, loaded = load_model(bert, "encoder", pretrained=False), load_model(bert, "encoder")
        name = "encoder.layer.0.attention.self.query.weight"
        assert not torch.equal(made.state_dict()[name], loaded.state_dict()[name])


class TestRefusals:
    def test_a_name_that_is_not_cached_says_how_to_pass_a_folder(self) -> None:
        with pytest.raises(HubError, match="download it with `hf download prajjwal1/bert-tiny --local-dir FOLDER`"):
            load_model("prajjwal1/bert-tiny", "encoder")

    def test_the_error_is_one_of_flash_and_an_oserror(self) -> None:
        with pytest.raises(OSError, match="Expected a tokenizer for 'nobody/nothing'") as caught:
            load_tokenizer("nobody/nothing")
        assert isinstance(caught.value, FlashError)

    def test_a_file_is_no_folder(self, bert: str) -> None:
        with pytest.raises(HubError, match="is a file. Pass the folder of the file."):
            load_config(f"{bert}/config.json")

    def test_a_folder_without_weights_is_no_checkpoint(self, folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        with pytest.raises(HubError, match="Expected weights in the folder"):
            load_model(folder, "encoder")

    def test_a_folder_without_a_tokenizer_is_no_checkpoint(self, folder: Path) -> None:
        (folder / "tokenizer.json").unlink()
        (folder / "tokenizer_config.json").unlink()
        # Before transformers 5 there is an error, and no tokenizer of special tokens.
        message = "there are only special tokens: files such as tokenizer.json are missing|Expected a tokenizer in the"
        with pytest.raises(HubError, match=message):
            load_tokenizer(folder)

    def test_a_truncated_file_is_an_error(self, folder: Path) -> None:
        weights = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
        with pytest.raises(HubError, match="Copy or download the checkpoint again."):
            load_model(folder, "encoder")

    def test_missing_weights_are_never_made_up(self, folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        kept = {name: weight for name, weight in weights.items() if "layer.1" not in name}
        save_file(kept, folder / "model.safetensors", {"format": "pt"})
        with pytest.raises(HubError, match="Expected weights for all of a BertModel .* but 16 are missing"):
            load_model(folder, "encoder")

    def test_weights_of_another_size_are_an_error(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 65}))
        with pytest.raises(HubError, match="Expected weights in the folder"):
            load_model(folder, "encoder")

    def test_an_encoder_writes_no_text(self, bert: str) -> None:
        with pytest.raises(ConfigurationError, match="such as a T5 or BART, but got one of a 'bert'"):
            load_model(bert, "seq2seq")
        with pytest.raises(ConfigurationError, match="an encoder-decoder"):
            load_model(bert, "seq2seq", pretrained=False)

    def test_code_in_a_checkpoint_never_runs(self, folder: Path, tmp_path: Path) -> None:
        mark = tmp_path / "it_ran"
        code = f"open({str(mark)!r}, 'w')\nfrom transformers import BertConfig, BertModel\n"
        code += "class C(BertConfig):\n    model_type = 'mine'\nclass M(BertModel):\n    pass\n"
        (folder / "mine.py").write_text(code)
        config = json.loads((folder / "config.json").read_text())
        config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.C", "AutoModel": "mine.M"}}
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(ConfigurationError, match="needs custom code, which is never run"):
            load_model(folder, "encoder")
        assert not mark.exists()

    def test_a_pickle_in_place_of_weights_never_runs(self, folder: Path, tmp_path: Path) -> None:
        mark = tmp_path / "it_ran"

        class Harm:
            def __reduce__(self) -> Any:
                return open, (str(mark), "w")

        (folder / "model.safetensors").unlink()
        torch.save({"embeddings.word_embeddings.weight": Harm()}, folder / "pytorch_model.bin", pickle_module=pickle)
        with pytest.raises(HubError, match="Expected weights in the folder"):
            load_model(folder, "encoder")
        assert not mark.exists()


class TestPlainData:
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_tokenizer_survives(self, checkpoints: dict[str, Path], kind: str) -> None:
        tokenizer = load_tokenizer(checkpoints[kind])
        again = tokenizer_from_dict(json.loads(json.dumps(tokenizer_to_dict(tokenizer))))
        assert again(TEXTS)["input_ids"] == tokenizer(TEXTS)["input_ids"]
        for name in ("pad_token_id", "eos_token_id", "model_max_length", "padding_side", "special_tokens_map"):
            assert getattr(again, name) == getattr(tokenizer, name)

    def test_the_real_vocabulary_of_t5_survives(self, shared: Path) -> None:
        tokenizer = load_tokenizer(shared / "weights" / "t5-small-tokenizer")
        again = tokenizer_from_dict(tokenizer_to_dict(tokenizer))
        ids = tokenizer(TEXTS)["input_ids"]
        assert again(TEXTS)["input_ids"] == ids
        decode = {"skip_special_tokens": True}
        assert again.batch_decode(ids, **decode) == tokenizer.batch_decode(ids, **decode)

    def test_truncation_that_somebody_switched_on_stays_behind(self, bert: str) -> None:
        tokenizer = load_tokenizer(bert)
        tokenizer(["the film was great"], truncation=True, max_length=3)
        again = tokenizer_from_dict(tokenizer_to_dict(tokenizer))
        assert len(again.backend_tokenizer.encode("the film was great").ids) == 6

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_configuration_survives(self, checkpoints: dict[str, Path], kind: str) -> None:
        plain = json.loads(json.dumps(config_to_dict(load_config(checkpoints[kind]))))
        model = make_model(config_from_dict(plain), "encoder")
        model.load_state_dict(load_model(checkpoints[kind], "encoder").state_dict())

    def test_a_configuration_does_not_say_where_it_was(self, bert: str) -> None:
        assert bert not in json.dumps(config_to_dict(load_config(bert)))

    def test_a_model_that_is_not_known_here_says_so(self) -> None:
        with pytest.raises(CheckpointError, match="knows, but got 'bert9000': pip install --upgrade transformers."):
            config_from_dict({"model_type": "bert9000"})


class TestOtherFiles:
    def test_a_file_that_is_not_there_is_nothing(self, bert: str) -> None:
        assert read_json(bert, "1_Pooling/config.json") is None
        assert read_json("prajjwal1/bert-tiny", "1_Pooling/config.json") is None

    def test_broken_json_is_an_error(self, folder: Path) -> None:
        (folder / "sentence_bert_config.json").write_text("{")
        with pytest.raises(HubError, match="Expected JSON in"):
            read_json(folder, "sentence_bert_config.json")


@pytest.mark.parametrize("length", [{}, "many", 0, None])
def test_a_tokenizer_without_a_number_of_tokens_is_an_error(folder: Path, length: Any) -> None:
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": length}))
    if length is None:  # transformers takes its own default
        assert load_tokenizer(folder).model_max_length > 0
        return
    with pytest.raises(
        HubError, match="the number of tokens that a text may have as model_max_length in the .*but got"
    ):
        load_tokenizer(folder)
