"""Fixtures of the tests of encoder-decoders: tiny checkpoints in folders, and pairs of short texts."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BartConfig, PreTrainedTokenizerFast, T5Config

from flash.text.hub import make_model

WORDS = ["red", "tea", "sun", "sea", "oak", "elm", "fox", "owl", "ice", "ash"]
SPECIAL = ["<pad>", "</s>", "<s>", "<unk>"]


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A token for each word, and an end; words it does not know are <unk>."""
    words = [*SPECIAL, *WORDS, "summarize", ":"]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", bos_token="<s>", unk_token="<unk>"
    )


def t5_config(**options: Any) -> T5Config:
    """A T5 of one layer on each side."""
    sizes: dict[str, Any] = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 1, "num_heads": 4}
    ids = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    return T5Config(**{"vocab_size": len(WORDS) + 6, "dropout_rate": 0.0, **sizes, **ids, **options})


def bart_config(**options: Any) -> BartConfig:
    """A BART of one layer on each side, which can tell 32 places."""
    sides = {
        f"{side}_{name}": size
        for side in ("encoder", "decoder")
        for name, size in (("layers", 1), ("attention_heads", 4), ("ffn_dim", 64))
    }
    ids = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 1, "decoder_start_token_id": 1}
    rest = {"d_model": 32, "max_position_embeddings": 32, "dropout": 0.0, "forced_eos_token_id": 1, "init_std": 0.2}
    return BartConfig(**{"vocab_size": len(WORDS) + 6, **sides, **ids, **rest, **options})


CONFIGS: dict[str, Callable[..., Any]] = {"t5": t5_config, "bart": bart_config}


def save(folder: Path, config: Any) -> str:
    """Leave a checkpoint with random weights in a folder."""
    torch.manual_seed(0)
    make_model(config, "seq2seq").save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders with a tiny T5 and a tiny BART."""
    return {name: save(tmp_path_factory.mktemp(name), config()) for name, config in CONFIGS.items()}


@pytest.fixture
def t5(folders: dict[str, str]) -> str:
    """A folder with a tiny T5."""
    return folders["t5"]


@pytest.fixture(params=sorted(CONFIGS))
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of encoder-decoder in turn."""
    return str(request.param)


@pytest.fixture
def backbone(kind: str, folders: dict[str, str]) -> str:
    """A folder with each kind of encoder-decoder in turn."""
    return folders[kind]


@pytest.fixture
def folder_of(tmp_path: Path) -> Callable[..., str]:
    """Makes folders with a checkpoint whose configuration has other settings."""
    return lambda kind="t5", **options: save(tmp_path / f"{kind}-of-its-own", CONFIGS[kind](**options))


def make_texts(rows: int, longest: int = 5, seed: int = 0) -> list[str]:
    """Texts of one to some words."""
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(1, longest))) for _ in range(rows)]


@pytest.fixture
def texts() -> Callable[..., list[str]]:
    """Makes texts of one to five words."""
    return make_texts


@pytest.fixture
def backwards() -> Callable[[list[str]], list[str]]:
    """Turns the words of each text around."""
    return lambda texts: [" ".join(reversed(text.split())) for text in texts]
