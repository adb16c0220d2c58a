"""Damaged weights: files for images, folders for texts."""

from __future__ import annotations

import functools
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from flash.image import ImageClassifier
from flash.serialization import equal
from flash.text import TextClassifier

from .corpus import (
    OTHERS,
    Damaged,
    damaged_bytes,
    damaged_json,
    damaged_members,
    damaged_values,
    other_formats,
    outcome,
)

pytestmark = [pytest.mark.unit, pytest.mark.slow]

#: How many damaged files there are of each kind; docs/promises.md has the sums.
BYTES, MEMBERS, VALUES = 36, 16, 24
FORMATS = (".pth", ".safetensors")
FILES = ("model.safetensors", "pytorch_model.bin", "config.json", "tokenizer.json", "tokenizer_config.json")
TEXT_BYTES, TEXT_VALUES = 12, 16
COUNTS = {".pth": BYTES + MEMBERS + VALUES + OTHERS, ".safetensors": BYTES + VALUES + 1 + OTHERS}
COUNTS |= {name: TEXT_BYTES + OTHERS + (TEXT_VALUES + 1 if name.endswith(".json") else 0) for name in FILES}
COUNT = sum(COUNTS.values())


def network(weights: Any) -> ImageClassifier:
    return ImageClassifier(2, backbone="test_resnet", pretrained=weights)


@pytest.mark.parametrize("suffix", FORMATS)
def test_damaged_weights_of_images_are_an_error(suffix: str, tmp_path: Path) -> None:
    weights = network(False).backbone.network.state_dict()
    marker, file = tmp_path / "code ran", tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(weights, file)
    else:
        save_file(weights, file)
    content = file.read_bytes()
    right = dict(network(file).backbone.network.state_dict())
    assert equal(right, weights)
    wrong = []
    damages = list(_damaged(content, weights, suffix, marker))
    assert len(damages) == COUNTS[suffix]
    for damage in damages:
        file.write_bytes(damage.content)
        result = outcome(
            lambda: dict(network(file).backbone.network.state_dict()),
            # Without checksums, or with right ones, another value is one that might have been meant.
            functools.partial(_is_right, suffix == ".pth" and "swapped" not in damage.name, right),
        )
        wrong += [f"{damage.name}: {result.wrong}"] if result.wrong else []
        if result.sentence and str(file) not in result.sentence:
            wrong.append(f"{damage.name}: which file? {result.sentence}")
        assert not marker.exists(), damage.name
    assert not wrong, "\n".join(wrong)


def _is_right(exactly: bool, right: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> bool:
    return equal(right, found) if exactly else _shapes(right) == _shapes(found)


def _shapes(weights: dict[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: each.shape for name, each in weights.items()}


def _damaged(content: bytes, weights: dict[str, Any], suffix: str, marker: Path) -> Iterator[Damaged]:
    yield from damaged_bytes(content, 4, BYTES)
    yield from other_formats(marker)
    if suffix == ".pth":
        yield from damaged_members(content, 5, MEMBERS)
        yield from damaged_values(weights, 6, VALUES, _of_torch)
        return
    length = int.from_bytes(content[:8], "little")
    for damage in damaged_json(content[8 : 8 + length], 6, VALUES):
        yield Damaged(damage.name, len(damage.content).to_bytes(8, "little") + damage.content + content[8 + length :])


def _of_torch(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole folder of a tiny BERT with its tokenizer."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("bert")
    words = ["[PAD]", "[UNK]", "a", "film", "story", "good", "bad"]
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(place)
    sizes: Any = dict.fromkeys(("hidden_size", "intermediate_size"), 8)
    config = BertConfig(vocab_size=7, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=16, **sizes)
    BertModel(config).save_pretrained(place)
    return place


@pytest.mark.parametrize("name", FILES)
def test_a_folder_of_a_text_backbone_with_a_damaged_file_is_an_error(name: str, folder: Path, tmp_path: Path) -> None:
    place, marker = tmp_path / "bert", tmp_path / "code ran"
    shutil.copytree(folder, place)
    if name == "pytorch_model.bin":
        torch.save(load_file(place / "model.safetensors"), place / name)
        (place / "model.safetensors").unlink()

    def weights() -> dict[str, Any]:
        return dict(TextClassifier(2, backbone=str(place)).state_dict())

    right = _shapes(weights())
    content = (place / name).read_bytes()
    wrong = []
    damages = list(_damaged_in_folder(name, content, marker))
    assert len(damages) == COUNTS[name]
    for damage in damages:
        (place / name).write_bytes(damage.content)
        # A setting that another file repeats, or that has a default, is not missed; the shapes of the network are.
        result = outcome(weights, lambda found: _shapes(found) == right)
        wrong += [f"{damage.name}: {result.wrong}"] if result.wrong else []
        assert not marker.exists(), damage.name
    assert not wrong, "\n".join(wrong)


def _damaged_in_folder(name: str, content: bytes, marker: Path) -> Iterator[Damaged]:
    yield from damaged_bytes(content, 7, TEXT_BYTES)
    yield from other_formats(marker)
    if name.endswith(".json"):
        yield from damaged_json(content, 8, TEXT_VALUES)
