"""Backbones: pooling, what a checkpoint says of itself, and the order of its layers."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from flash.core.finetuning import backbone_layers
from flash.core.layers import block_layers
from flash.text import TextClassificationData, TextClassifier
from flash.text.backbones import (
    depends_on_padding,
    encode,
    huggingface,
    max_positions,
    order_by_execution,
    pool,
    text_features,
)
from flash.text.hub import load_model

VECTORS = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]], [[5.0, 6.0], [8.0, 8.0], [9.0, 9.0]]])
MASK = torch.tensor([[1, 1, 0], [1, 0, 0]])


class TestPool:
    def test_the_mean_leaves_padding_out(self) -> None:
        assert pool(VECTORS, MASK, "mean").tolist() == [[2.0, 3.0], [5.0, 6.0]]

    def test_cls_is_the_first_token(self) -> None:
        assert pool(VECTORS, MASK, "cls").tolist() == [[1.0, 2.0], [5.0, 6.0]]

    def test_one_vector_a_text_stays_as_it_is(self) -> None:
        assert pool(VECTORS[:, 0], MASK, "mean") is not None
        assert torch.equal(pool(VECTORS[:, 0], MASK, "mean"), VECTORS[:, 0])

    @pytest.mark.parametrize("how", ["mean", "cls"])
    def test_it_can_be_trained_through(self, how: Any) -> None:
        vectors = VECTORS.clone().requires_grad_()
        pool(vectors, MASK, how).sum().backward()
        assert vectors.grad is not None
        assert vectors.grad[0, 2].tolist() == [0, 0]


class TestCheckpoints:
    @pytest.fixture
    def folder(self, checkpoints: dict[str, Path], tmp_path: Path) -> Path:
        return shutil.copytree(checkpoints["bert"], tmp_path / "bert")

    @pytest.mark.parametrize(
        ("stored", "pooling"),
        [
            ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
            ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
            ({"pooling_mode": "cls"}, "cls"),
            ({"pooling_mode_max_tokens": True}, None),
        ],
    )
    def test_the_pooling_that_it_was_trained_with_is_read(self, folder: Path, stored: Any, pooling: Any) -> None:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(stored))
        assert huggingface(str(folder)).pooling == pooling
        assert TextClassifier(2, backbone=folder).pooling == (pooling or "mean")
        assert TextClassifier(2, backbone=folder, pooling="cls").pooling == "cls"

    def test_the_length_that_it_was_trained_with_is_read(self, folder: Path) -> None:
        (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 33}')
        assert TextClassifier(2, backbone=folder).max_length == 33
        assert TextClassifier(2, backbone=folder, max_length=40).max_length == 40

    def test_the_real_one_says_both(self, minilm: str) -> None:
        made = huggingface(minilm)
        assert (made.pooling, made.max_length) == ("mean", 256)

    def test_weights_can_be_random(self, folder: Path) -> None:
        torch.manual_seed(1)
        made, loaded = (huggingface(str(folder), pretrained=way).encoder for way in (False, True))
        assert not torch.equal(next(made.parameters()), next(loaded.parameters()))


class TestEncoders:
    @pytest.mark.parametrize(("kind", "places"), [("bert", 64), ("roberta", 64), ("bart", 64), ("t5", None)])
    def test_it_is_known_how_many_places_they_can_tell(
        self, checkpoints: dict[str, Path], kind: str, places: int | None
    ) -> None:
        assert max_positions(load_model(checkpoints[kind], "encoder")) == places

    @pytest.mark.parametrize("kind", ["bert", "roberta", "bart", "t5"])
    def test_the_longest_text_that_is_allowed_works(self, checkpoints: dict[str, Path], kind: str) -> None:
        task = TextClassifier(2, backbone=checkpoints[kind])
        assert task.max_length == (512 if kind == "t5" else 64)
        assert len(task.predict(["great " * 1000])) == 1

    @pytest.mark.parametrize("kind", ["bert", "roberta", "bart", "t5"])
    def test_the_number_of_features_is_found_out(self, checkpoints: dict[str, Path], kind: str) -> None:
        assert text_features(load_model(checkpoints[kind], "encoder")) == 32

    def test_a_module_may_say_its_number_of_features(self) -> None:
        module = nn.Identity()
        module.out_features = 7  # type: ignore[assignment]  # a plain number
        assert text_features(module) == 7

    def test_finding_out_leaves_no_trace(self, bert: str) -> None:
        encoder = load_model(bert, "encoder")
        encoder.encoder.eval()
        state = torch.get_rng_state()
        text_features(encoder)
        assert encoder.training
        assert not encoder.encoder.training
        assert torch.equal(torch.get_rng_state(), state)
        assert all(parameter.grad is None for parameter in encoder.parameters())


class TestOrder:
    def test_layers_come_in_the_order_in_which_they_run(self) -> None:
        class Backwards(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.last = nn.Linear(4, 4)
                self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
                self.norm = nn.LayerNorm(4)
                self.embed = nn.Embedding(9, 4)
                self.looked_at = nn.Embedding(9, 4)

            def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
                x: Tensor = self.norm(self.embed(input_ids) + self.looked_at.weight[0])
                for layer in self.layers:
                    x = layer(x)
                return self.last(x)

        encoder = Backwards()
        order_by_execution(encoder)
        assert [name for name, _ in encoder.named_children()] == ["looked_at", "embed", "norm", "layers", "last"]

    @pytest.mark.parametrize("kind", ["bert", "roberta", "bart", "t5"])
    def test_the_last_layers_of_real_ones_come_last(self, checkpoints: dict[str, Path], kind: str) -> None:
        encoder = load_model(checkpoints[kind], "encoder")
        before = {name: parameter.clone() for name, parameter in encoder.named_parameters()}
        order_by_execution(encoder)
        after = dict(encoder.named_parameters())
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
        names = [name for name in after if ".1." in name or ".layer.1" in name]
        rest = [name for name in [*after][[*after].index(names[0]) :] if name not in names]
        assert rest == (["final_layer_norm.weight"] if kind == "t5" else [])


class TestLayers:
    @pytest.mark.parametrize("kind", ["bert", "roberta", "bart", "t5"])
    def test_they_are_the_embeddings_and_the_blocks_in_their_order(
        self, checkpoints: dict[str, Path], kind: str
    ) -> None:
        task = TextClassifier(2, backbone=checkpoints[kind])
        embeddings, first, last = backbone_layers(task)
        names = {parameter: name for name, parameter in task.backbone.named_parameters()}
        assert all("embed" in names[parameter] for parameter in embeddings.parameters())
        assert all(re.search(r"(layer|layers|block)\.0\.", names[parameter]) for parameter in first.parameters())
        blocks = [
            name for name in map(names.get, last.parameters()) if re.search(r"(layer|layers|block)\.1\.", str(name))
        ]
        assert len(blocks) >= 8
        assert {p for layer in (embeddings, first, last) for p in layer.parameters()} == {*names}

    def test_an_encoder_without_blocks_has_its_children(self) -> None:
        encoder = nn.Sequential(nn.Embedding(257, 4))
        encoder.out_features = 4  # type: ignore[assignment]  # a plain number
        assert block_layers([encoder]) == [encoder[0]]


class Mixing(nn.Module):
    """An encoder that adds the mean of all places to each, padding included."""

    def __init__(self, strength: float = 1.0) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 4)
        self.strength = strength

    def forward(self, input_ids: Tensor) -> Tensor:
        vectors: Tensor = self.embed(input_ids)
        return vectors + self.strength * vectors.mean(1, keepdim=True)


class TestPadding:
    @pytest.mark.parametrize("kind", ["bert", "roberta", "bart", "t5"])
    def test_networks_with_an_attention_mask_do_not_depend_on_it(self, checkpoints: dict[str, Path], kind: str) -> None:
        assert not depends_on_padding(load_model(checkpoints[kind], "encoder"), 0 if kind == "bert" else 1)

    @pytest.mark.parametrize("kind", ["fnet", "convbert"])
    def test_networks_that_mix_places_depend_on_it(self, checkpoints: dict[str, Path], kind: str) -> None:
        assert depends_on_padding(load_model(checkpoints[kind], "encoder"))

    def test_it_is_measured_of_a_network_of_ones_own(self) -> None:
        assert depends_on_padding(Mixing())
        assert not depends_on_padding(Mixing(0.0))
        assert not depends_on_padding(Mixing(0.0), pad_id=3)

    def test_a_network_without_a_mask_is_called_without_one(self) -> None:
        ids = torch.tensor([[1, 2]])
        network = Mixing()
        assert torch.equal(encode(network, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}), network(ids))

    def test_measuring_leaves_no_trace(self, bert: str) -> None:
        network = load_model(bert, "encoder").train()
        before = {name: value.clone() for name, value in network.state_dict().items()}
        depends_on_padding(network)
        assert network.training
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
        assert all(parameter.grad is None for parameter in network.parameters())

    @pytest.mark.train
    def test_a_step_does_not_depend_on_how_texts_are_batched(self, checkpoints: dict[str, Path]) -> None:
        texts, labels = ["a great film", "the plot was weak and the music boring"], ["good", "bad"]
        gradients = []
        for batch_size in (1, 2):
            torch.manual_seed(0)
            data = TextClassificationData.from_lists(texts, labels, batch_size=batch_size, seed=0)
            task = TextClassifier.from_data(data, backbone=checkpoints["fnet"], dropout=0.0)
            task.train()
            for module in task.modules():
                if isinstance(module, nn.Dropout):
                    module.p = 0.0
            for batch in data.train_dataloader():
                loss = task.step(batch, 0)["loss"] * len(batch[1]) / 2
                loss.backward()
            gradients.append({name: p.grad.clone() for name, p in task.named_parameters() if p.grad is not None})
        assert gradients[0].keys() == gradients[1].keys()
        for name, gradient in gradients[0].items():
            torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-3, atol=1e-5)
