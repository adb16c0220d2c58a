"""Tokens: ids as the tokenizer gives them, cut and counted, and batches as wide as their longest text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers.processors import TemplateProcessing

from flash.errors import ConfigurationError, DataError
from flash.text.hub import load_tokenizer
from flash.text.texts import PackedTexts, packed
from flash.text.tokens import pad, tokenize

ODD = ["", " ", "😀😀", "שלום עולם", "a\0b", "great " * 20_000]


class TestTokenize:
    @pytest.mark.parametrize("kind", ["bert", "roberta", "t5", "bart"])
    def test_ids_are_those_that_transformers_gives(self, checkpoints: dict[str, Path], kind: str) -> None:
        tokenizer = load_tokenizer(checkpoints[kind])
        store, _ = tokenize(tokenizer, PackedTexts(ODD), max_length=20)
        theirs = tokenizer(ODD, truncation=True, max_length=20)["input_ids"]
        assert [store[row].tolist() for row in range(len(store))] == theirs

    def test_texts_that_are_too_long_are_cut_and_counted(self, bert: str) -> None:
        tokenizer = load_tokenizer(bert)
        store, cut = tokenize(tokenizer, PackedTexts(["great film", "great film was great", "great " * 50]), 5)
        assert store.lengths.tolist() == [4, 5, 5]
        assert cut == 2

    def test_a_text_that_just_fits_is_not_cut(self, bert: str) -> None:
        assert tokenize(load_tokenizer(bert), PackedTexts(["great film was"]), 5)[1] == 0

    def test_special_tokens_stay_when_a_text_is_cut(self, bert: str) -> None:
        tokenizer = load_tokenizer(bert)
        store, _ = tokenize(tokenizer, PackedTexts(["great " * 50]), 4)
        assert store[0][[0, -1]].tolist() == [tokenizer.cls_token_id, tokenizer.sep_token_id]

    def test_the_texts_of_several_blocks_stay_in_order(self) -> None:
        store, _ = tokenize(lambda texts: [[len(text)] for text in texts], PackedTexts("x" * n for n in range(3000)), 9)
        assert store.ids.tolist() == list(range(3000))

    @pytest.mark.parametrize(
        "give",
        [
            lambda texts: {"input_ids": [[1, 2] for _ in texts]},
            lambda texts: torch.ones(len(texts), 2),
            lambda texts: [np.ones(2) for _ in texts],
        ],
    )
    def test_a_callable_may_give_what_tokenizers_usually_give(self, give: Any) -> None:
        assert tokenize(give, PackedTexts(["a", "b"]), 9)[0].lengths.tolist() == [2, 2]

    def test_a_callable_that_takes_one_text_at_a_time_says_so(self) -> None:
        with pytest.raises(DataError, match="take a list of texts and return a list of ids per text, but for 2 texts"):
            tokenize(lambda texts: [1, 2], PackedTexts(["a", "b"]), 9)

    def test_a_callable_that_gives_too_few_says_so(self) -> None:
        with pytest.raises(DataError, match="for 2 texts it returned a list of 1 list"):
            tokenize(lambda texts: [[1]], PackedTexts(["a", "b"]), 9)

    def test_a_text_without_tokens_has_a_padding_token_to_look_at(self) -> None:
        store, _ = tokenize(lambda texts: [[] for _ in texts], PackedTexts([""]), 9, pad_id=7)
        assert pad([store[0]], 7) == {"input_ids": torch.tensor([[7]]), "attention_mask": torch.tensor([[1]])}


PAIRS = [("a great film", "boring"), ("", "great"), ("great", ""), ("", ""), ("😀", "a\0b"), ("great " * 30, "weak")]
LONG = [("great " * 60, "weak " * 60), ("a", "weak " * 60), ("great " * 60, "b")]


class TestPairs:
    @pytest.mark.parametrize("kind", ["bert", "roberta", "t5", "bart"])
    @pytest.mark.parametrize("max_length", [10, 64])
    def test_ids_and_segments_are_those_that_transformers_gives(
        self, checkpoints: dict[str, Path], kind: str, max_length: int
    ) -> None:
        tokenizer = load_tokenizer(checkpoints[kind])
        rows = [*PAIRS, *LONG]
        store, truncated = tokenize(tokenizer, packed(rows, "it"), max_length, segments=True)
        first, second = (list(part) for part in zip(*rows, strict=True))
        theirs = tokenizer(first, second, truncation=True, max_length=max_length, return_token_type_ids=True)
        assert [store[row][0].tolist() for row in range(len(store))] == theirs["input_ids"]
        assert [store[row][1].tolist() for row in range(len(store))] == theirs["token_type_ids"]
        whole = tokenizer(first, second)["input_ids"]
        assert truncated == sum(len(ids) > max_length for ids in whole)
        plain, _ = tokenize(tokenizer, packed(rows, "it"), max_length)
        assert [plain[row].tolist() for row in range(len(plain))] == theirs["input_ids"]

    def test_a_batch_is_what_transformers_pads(self, bert: str) -> None:
        tokenizer = load_tokenizer(bert)
        store, _ = tokenize(tokenizer, packed(PAIRS, "it"), 64, segments=True)
        first, second = (list(part) for part in zip(*PAIRS, strict=True))
        theirs = tokenizer(first, second, padding=True, return_tensors="pt", return_token_type_ids=True)
        ours = pad([store[row] for row in range(len(store))], tokenizer.pad_token_id)
        assert {name: tensor.tolist() for name, tensor in ours.items()} == {
            name: tensor.tolist() for name, tensor in theirs.items()
        }

    def test_a_callable_takes_no_pairs(self) -> None:
        with pytest.raises(ConfigurationError, match="a tokenizer of transformers for pairs of texts, .* Join the two"):
            tokenize(lambda texts: [[1] for _ in texts], packed(PAIRS, "it"), 9)

    def test_a_length_leaves_room_for_the_special_tokens_of_a_pair(self, bert: str) -> None:
        with pytest.raises(ConfigurationError, match=r"max_length to be at least 4 for pairs of texts \(3 tokens are"):
            tokenize(load_tokenizer(bert), packed(PAIRS, "it"), 3)

    def test_a_pair_without_tokens_has_a_padding_token_to_look_at(self, bert: str) -> None:
        tokenizer = load_tokenizer(bert)
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="$A", pair="$A $B:1", special_tokens=[])
        store, _ = tokenize(tokenizer, packed([("", ""), ("a", "film")], "it"), 9, pad_id=7, segments=True)
        assert store[0].tolist() == [[7], [0]]
        assert store[1][1].tolist() == [0, 1]
        assert store.nbytes == store.ids.nbytes + store.offsets.nbytes + 3


class TestMemory:
    def test_short_texts_with_their_tokens_take_less_than_two_and_a_half_times_the_tokens(self, bert: str) -> None:
        words = ["great", "film", "was", "the", "plot", "weak", "music", "very"]
        rng = np.random.default_rng(0)
        texts = PackedTexts(" ".join(rng.choice(words, size=rng.integers(3, 30))) for _ in range(5000))
        store, _ = tokenize(load_tokenizer(bert), texts, 64)
        assert store.nbytes + texts.nbytes < 2.5 * store.ids.nbytes
        assert store.ids.itemsize == 4


class TestPad:
    def test_a_batch_is_as_wide_as_its_longest_text(self) -> None:
        batch = pad([np.array([5, 6, 7]), np.array([8])], pad_id=1)
        assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 1, 1]]
        assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]

    def test_a_length_may_be_fixed(self) -> None:
        batch = pad([np.array([5, 6]), np.array([8])], pad_id=1, length=4)
        assert batch["input_ids"].tolist() == [[5, 6, 1, 1], [8, 1, 1, 1]]
        assert batch["attention_mask"].tolist() == [[1, 1, 0, 0], [1, 0, 0, 0]]

    def test_a_padding_token_inside_a_text_counts(self) -> None:
        assert pad([np.array([0, 5]), np.array([6])])["attention_mask"].tolist() == [[1, 1], [1, 0]]

    def test_ids_have_the_type_that_embeddings_take(self) -> None:
        assert pad([np.array([5], dtype=np.int32)])["input_ids"].dtype is torch.long
