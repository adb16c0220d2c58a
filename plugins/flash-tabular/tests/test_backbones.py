"""The backbones: what each gives for a table, how it is listed, and that all of it learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from flash.tabular import TabularClassifier, TabularRegressor

NAMES = ["ft_transformer", "mlp", "resnet", "tabm", "tabnet"]
# Numbers, cardinalities of categories, bins of the numbers.
COLUMNS: dict[str, tuple[int, list[int], list[list[float]]]] = {
    "both": (2, [3, 4], [[-1.0, 0.0, 1.0], [-1.0, -0.5, 1.0]]),
    "numbers": (2, [], [[-1.0, 0.0, 1.0], [-1.0, -0.5, 1.0]]),
    "categories": (0, [3, 4], []),
    "one number": (1, [], [[-1.0, 1.0]]),
    "one category": (0, [2], []),
}


def make(options: dict[str, Any], columns: str = "both") -> nn.Module:
    factory = TabularClassifier.backbones.get(options["backbone"])
    made: nn.Module = factory(*COLUMNS[columns], **options["backbone_kwargs"])
    return made


def rows_of(columns: str, rows: int) -> dict[str, torch.Tensor]:
    num_numerical, cardinalities, _ = COLUMNS[columns]
    codes = [torch.randint(count, (rows, 1), dtype=torch.int32) for count in cardinalities]
    return {
        "numerical": torch.randn(rows, num_numerical),
        "categorical": torch.cat(codes, dim=1) if codes else torch.empty(rows, 0, dtype=torch.int32),
    }


def features_of(backbone: nn.Module, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    features = backbone(inputs)
    tensor: torch.Tensor = features[0] if isinstance(features, tuple) else features
    return tensor


# ---------------------------------------------------------------------- the registry


@pytest.mark.parametrize("task", [TabularClassifier, TabularRegressor])
def test_both_tasks_list_all_backbones(task: Any) -> None:
    assert set(task.available_backbones()) >= set(NAMES)
    assert task.available_backbones("tab*") == ["tabm", "tabnet"]


@pytest.mark.parametrize("name", NAMES)
def test_each_backbone_has_a_summary_and_a_source(name: str) -> None:
    description = str(TabularClassifier.backbones.describe(name))
    assert "flash-tabular" in description
    assert "arxiv.org" in description


@pytest.mark.parametrize("name", NAMES)
def test_each_backbone_has_defaults(name: str) -> None:
    backbone = TabularClassifier.backbones.get(name)(*COLUMNS["both"]).eval()
    features = features_of(backbone, rows_of("both", 5))
    assert features.shape[-1] == backbone.out_features
    assert 0 < backbone.learning_rate < 1
    assert 0 <= backbone.weight_decay < 1


@pytest.mark.parametrize("name", NAMES)
def test_an_argument_that_a_backbone_does_not_know_is_an_error(name: str) -> None:
    with pytest.raises(TypeError, match="no_such_size"):
        TabularClassifier.backbones.get(name)(*COLUMNS["both"], no_such_size=3)


# ---------------------------------------------------------------------- what a backbone gives


@pytest.mark.parametrize("columns", list(COLUMNS))
@pytest.mark.parametrize("rows", [1, 5, 130])
def test_each_row_of_any_kind_of_table_gets_its_features(backbone: dict[str, Any], columns: str, rows: int) -> None:
    network = make(backbone, columns).eval()
    members = getattr(network, "members", 1)
    shape = (rows, members, network.out_features) if members > 1 else (rows, network.out_features)
    features = features_of(network, rows_of(columns, rows))
    assert features.shape == shape
    assert torch.isfinite(features).all()


@pytest.mark.parametrize("columns", list(COLUMNS))
def test_rows_do_not_see_each_other(backbone: dict[str, Any], columns: str) -> None:
    network = make(backbone, columns).eval()
    inputs = rows_of(columns, 200)
    together = features_of(network, inputs)
    alone = features_of(network, {name: value[7:8] for name, value in inputs.items()})
    torch.testing.assert_close(alone[0], together[7], rtol=1e-4, atol=1e-5)


def test_every_column_makes_a_difference(backbone: dict[str, Any]) -> None:
    torch.manual_seed(1)
    network = make(backbone).train()
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    inputs = rows_of("both", 64)
    # Some weights start at zero: each column counts only after a few steps.
    for _ in range(10):
        optimizer.zero_grad()
        features_of(network, inputs).square().mean().sub(1).square().backward()
        optimizer.step()
    network.eval()
    before = features_of(network, inputs)
    for name, column in (("numerical", 0), ("numerical", 1), ("categorical", 0), ("categorical", 1)):
        changed = {key: value.clone() for key, value in inputs.items()}
        changed[name][:, column] = changed[name][:, column].flip(0)
        assert not torch.allclose(features_of(network, changed), before), (name, column)


@pytest.mark.parametrize("columns", ["both", "numbers", "categories"])
def test_the_gradient_reaches_every_parameter(backbone: dict[str, Any], columns: str) -> None:
    network = make(backbone, columns).train()
    inputs = rows_of(columns, 64)
    features = features_of(network, inputs)
    (features * torch.randn_like(features)).sum().backward()
    trainable = {name: p for name, p in network.named_parameters() if p.requires_grad}
    assert trainable
    for name, parameter in trainable.items():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any() or parameter.ndim == 1, name


def test_members_of_an_ensemble_differ(tiny: Callable[[str], dict[str, Any]]) -> None:
    features = features_of(make(tiny("tabm")).eval(), rows_of("both", 16))
    assert not torch.allclose(features[:, 0], features[:, 1])


def test_numbers_outside_the_bins_get_finite_features(backbone: dict[str, Any]) -> None:
    network = make(backbone).eval()
    inputs = rows_of("both", 4)
    inputs["numerical"] = torch.tensor([[1e6, -1e6], [-1e6, 1e6], [0.0, 0.0], [1e3, 1e3]])
    assert torch.isfinite(features_of(network, inputs)).all()


def test_layers_have_each_parameter_once_and_the_blocks_after_the_embeddings(
    backbone: dict[str, Any],
) -> None:
    network = make(backbone)
    layers = network.layers()
    held = [parameter for layer in layers for parameter in layer.parameters()]
    assert len(layers) > 1
    assert len({*held}) == len([*network.parameters()])
    embedding = next(network.parameters())
    assert any(embedding is parameter for parameter in layers[0].parameters())
