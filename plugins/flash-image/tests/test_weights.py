"""Weights from files: all fit, or it is an error; nothing in the file is executed."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from flash.errors import CheckpointError, UnsafeCheckpointError
from flash.image.weights import load_weights

NAME = "test_resnet"


def network(**options: Any) -> Any:
    return timm.create_model(NAME, **{"num_classes": 0, **options})


def same(one: nn.Module, other: nn.Module) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.state_dict().items())


SHAPES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "as it is": lambda weights: weights,
    "in a checkpoint": lambda weights: {"epoch": 3, "state_dict": weights},
    "in a checkpoint of timm": lambda weights: {
        "state_dict": {"conv1.weight": torch.zeros(1)},
        "state_dict_ema": weights,
    },
    "of DDP": lambda weights: {"model": {f"module.{name}": value for name, value in weights.items()}},
    "of Flash": lambda weights: {
        "state_dict": {
            **{f"backbone.network.{name}": value for name, value in weights.items()},
            "head.weight": torch.zeros(2, 96),
        }
    },
    "without counters": lambda weights: {n: v for n, v in weights.items() if not n.endswith("num_batches_tracked")},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_weights_are_found_however_they_were_stored(shape: str) -> None:
    trained, fresh = network(), network()
    for module in (trained, fresh):  # Counters that no training has moved are the same.
        module.train()
    torch.save(SHAPES[shape](trained.state_dict()), "weights.pt")
    assert not same(fresh, trained)
    load_weights(fresh, "weights.pt", NAME)
    assert same(fresh, trained)


def test_safetensors_are_read() -> None:
    trained, fresh = network(), network()
    save_file(trained.state_dict(), "weights.safetensors")
    load_weights(fresh, Path("weights.safetensors"), NAME)
    assert same(fresh, trained)


def test_the_weights_of_a_classifier_are_left_out() -> None:
    trained, fresh = network(num_classes=10), network()
    torch.save(trained.state_dict(), "weights.pt")
    load_weights(fresh, "weights.pt", NAME)
    assert torch.equal(fresh.state_dict()["conv1.0.weight"], trained.state_dict()["conv1.0.weight"])


def broken(change: Callable[[dict[str, Any]], Any]) -> str:
    weights = dict(network().state_dict())
    change(weights)
    torch.save(weights, "weights.pt")
    return "weights.pt"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda weights: weights.pop("bn1.weight"), "missing: bn1.weight."),
        (lambda weights: weights.update(extra=torch.zeros(1)), "unknown: extra."),
        (
            lambda weights: weights.update({"bn1.weight": torch.zeros(1)}),
            r"of another shape: bn1.weight \(1,\) instead of \(32,\).",
        ),
    ],
)
def test_weights_that_do_not_fit_are_an_error_that_names_them(change: Any, reason: str) -> None:
    fresh = network()
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    with pytest.raises(
        CheckpointError, match=f"Expected the weights of {NAME}, but those in weights.pt do not fit: {reason}"
    ):
        load_weights(fresh, broken(change), NAME)
    assert all(torch.equal(before[name], value) for name, value in fresh.state_dict().items())


def test_of_many_weights_that_do_not_fit_some_are_named() -> None:
    torch.save(timm.create_model("test_vit", num_classes=0).state_dict(), "weights.pt")
    with pytest.raises(CheckpointError, match=r"missing: conv1.0.weight, .* \(\d+ in all\); unknown: cls_token, "):
        load_weights(network(), "weights.pt", NAME)


def test_a_file_without_weights_is_an_error() -> None:
    torch.save({"epoch": 3}, "weights.pt")
    with pytest.raises(CheckpointError, match="Expected weights in weights.pt, but found none, only 'epoch'."):
        load_weights(network(), "weights.pt", NAME)


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_a_file_that_is_something_else_is_an_error(name: str) -> None:
    Path(name).write_text("no weights")
    with pytest.raises(CheckpointError, match=name):
        load_weights(network(), name, NAME)


def test_a_file_that_would_execute_code_is_refused() -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (Path("executed"),)

    with Path("weights.pt").open("wb") as file:
        pickle.dump({"state_dict": Evil()}, file)
    with pytest.raises(UnsafeCheckpointError, match="would execute code"):
        load_weights(network(), "weights.pt", NAME)
    assert not Path("executed").exists()
