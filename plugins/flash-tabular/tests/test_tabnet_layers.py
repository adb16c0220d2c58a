"""The faster layers compute what pytorch-tabnet's own compute: forward, backward and running statistics."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from pytorch_tabnet.tab_network import TabNetEncoder
from torch import Tensor, nn

from flash.tabular import tabnet_layers
from flash.tabular.backbones import tabnet
from flash.tabular.tabnet_layers import FastEncoder, _sort_descending, speed_up


def _as_blocks(rows: int, at_most: int) -> Tensor:
    """The order of rows in which the library's virtual batches, blocks, are those of the faster layers."""
    size = math.ceil(rows / math.ceil(rows / at_most))
    whole = rows // size * size
    return torch.cat([torch.arange(whole).view(size, -1).t().reshape(-1), torch.arange(whole, rows)])


def _encoder(groups: Tensor, **options: Any) -> TabNetEncoder:
    # An epsilon that keeps the logarithm of a weight of nothing from being steep.
    encoder = TabNetEncoder(
        groups.shape[1], 2, virtual_batch_size=64, epsilon=1e-3, group_attention_matrix=groups, **options
    ).double()
    for parameter in encoder.parameters():
        parameter.data.add_(torch.rand_like(parameter) / 10)
    return encoder


def _assert_same_training(original: nn.Module, faster: nn.Module, rows: int, prior: Tensor | None = None) -> Tensor:
    assert original.state_dict().keys() == faster.state_dict().keys()
    blocks = _as_blocks(rows, 64)
    for _ in range(2):
        x = torch.randn(rows, 6, dtype=torch.float64) * 3 + 1
        losses = []
        for network, order in ((original, blocks), (faster, torch.arange(rows))):
            network.zero_grad()
            steps, sparsity = network(x[order], None if prior is None else prior[order])
            losses.append(torch.stack(steps).pow(2).mean() + sparsity)
            losses[-1].backward()
        one, other = losses
        assert torch.allclose(one, other, rtol=1e-6)
        for weight, same in zip(original.parameters(), faster.parameters(), strict=True):
            assert weight.grad is not None
            assert same.grad is not None
            assert torch.allclose(weight.grad, same.grad, rtol=1e-4, atol=1e-5)
    for name, value in original.state_dict().items():
        assert torch.allclose(value.float(), faster.state_dict()[name].float(), rtol=1e-4, atol=1e-5), name
    return x


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each chain of layers that is computed as one node."""
    calls: list[int] = []
    apply = tabnet_layers._Units.apply

    def noted(*args: Any) -> Any:
        calls.append(1)
        return apply(*args)

    monkeypatch.setattr(tabnet_layers._Units, "apply", noted)
    return calls


@pytest.mark.parametrize("rows", [512, 256, 200, 100, 131, 63])
def test_the_faster_encoder_equals_the_librarys_in_training_and_evaluation(rows: int, fused: list[int]) -> None:
    torch.manual_seed(0)
    original = _encoder(torch.eye(6, dtype=torch.float64))
    faster = copy.deepcopy(original)
    speed_up(faster)
    x = _assert_same_training(original, faster, rows)
    assert fused
    original.eval()
    faster.eval()
    assert torch.allclose(original(x)[0][0], faster(x)[0][0], rtol=1e-4, atol=1e-5)
    assert faster(x[:0])[0][0].shape == (0, 8)


@pytest.mark.parametrize(
    "options",
    [{"mask_type": "entmax"}, {"n_shared": 0}, {"n_independent": 0}, {"n_d": 4, "n_a": 6}, {"n_steps": 1}],
    ids=str,
)
def test_so_does_every_shape_of_it(options: dict[str, Any], fused: list[int]) -> None:
    torch.manual_seed(0)
    original = _encoder(torch.eye(6, dtype=torch.float64), **options)
    faster = copy.deepcopy(original)
    speed_up(faster)
    _assert_same_training(original, faster, 256)
    assert fused


def test_groups_of_columns_and_a_prior_are_respected(fused: list[int]) -> None:
    torch.manual_seed(0)
    groups = torch.tensor([[0.5, 0.5, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 0.2, 0.3, 0.5]], dtype=torch.float64)
    original = _encoder(groups)
    faster = copy.deepcopy(original)
    speed_up(faster)
    _assert_same_training(original, faster, 131, prior=torch.rand(131, 3, dtype=torch.float64))
    assert fused
    assert not faster.groups_are_columns


@pytest.mark.parametrize("rows", [200, 131])
def test_layers_that_are_called_one_by_one_compute_the_same_and_hooks_are_called(rows: int, fused: list[int]) -> None:
    torch.manual_seed(0)
    original = _encoder(torch.eye(6, dtype=torch.float64))
    faster = copy.deepcopy(original)
    speed_up(faster)
    seen: list[int] = []
    faster.feat_transformers[0].shared.glu_layers[0].fc.register_forward_hook(lambda *_: seen.append(1))
    _assert_same_training(original, faster, rows)
    assert seen
    assert not fused


def test_frozen_statistics_stay_and_a_single_row_is_refused_as_by_the_library(fused: list[int]) -> None:
    faster = _encoder(torch.eye(6, dtype=torch.float64))
    speed_up(faster)
    with pytest.raises(ValueError, match="more than 1 value"):
        faster(torch.randn(1, 6, dtype=torch.float64))
    for module in faster.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.eval()
    before = copy.deepcopy(faster.state_dict())
    faster(torch.randn(200, 6, dtype=torch.float64))
    assert all(torch.equal(value, faster.state_dict()[name]) for name, value in before.items())
    assert not fused


def test_the_gradients_of_fused_layers_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    encoder = FastEncoder(5, 2, n_d=2, n_a=2, group_attention_matrix=torch.eye(5)).double()
    x = torch.randn(12, 5, dtype=torch.float64, requires_grad=True)
    attention = encoder.att_transformers[0]
    chains = [
        (x, list(tabnet_layers._iter_units(encoder.initial_splitter))),
        (x[:, :2], [tabnet_layers._Unit(attention.fc, attention.bn.bn, gated=False)]),
    ]
    for inputs, units in chains:
        norms = [unit.norm for unit in units]
        parameters = [unit.linear.weight for unit in units]
        parameters += [norm.weight for norm in norms] + [norm.bias for norm in norms]
        assert torch.autograd.gradcheck(
            lambda x, *rest, units=units: tabnet_layers._Units.apply(x, units, 3, [], *rest),
            (inputs.detach().requires_grad_(), *parameters),
        )


def test_second_derivatives_are_refused_rather_than_wrong() -> None:
    x = torch.randn(16, 4, requires_grad=True)
    steps, _ = FastEncoder(4, 2, group_attention_matrix=torch.eye(4))(x)
    (gradient,) = torch.autograd.grad(steps[0].sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_autocast_trains(fused: list[int]) -> None:
    torch.manual_seed(0)
    network = tabnet(2, [3, 4], [[0.0, 1.0]] * 2, virtual_batch_size=16)
    inputs = {"numerical": torch.randn(64, 2), "categorical": torch.randint(0, 3, (64, 2))}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features, auxiliary = network(inputs)
        (features.sum() + auxiliary).backward()
    assert not fused
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("cardinalities", [[3, 5, 2], []], ids=str)
def test_the_backbone_equals_the_librarys_embeddings_before_its_encoder(size: int, cardinalities: list[int]) -> None:
    torch.manual_seed(0)
    network = tabnet(2, cardinalities, [[0.0, 1.0]] * 2, cat_emb_dim=size)
    columns = [torch.randint(0, cardinality, (32,)) for cardinality in cardinalities]
    codes = torch.stack(columns, dim=1) if columns else torch.zeros(32, 0, dtype=torch.int64)
    numbers = torch.randn(32, 2)
    gradients = []
    for by_library in (False, True):
        network.zero_grad()
        if by_library:
            steps, sparsity = network.encoder(network.embedder(torch.cat([numbers, codes.float()], dim=1)))
            features, auxiliary = torch.stack(steps).sum(0), -network.lambda_sparse * sparsity
        else:
            features, auxiliary = network({"numerical": numbers, "categorical": codes})
        (features.pow(2).sum() + auxiliary).backward()
        gradients.append([features.detach(), *(parameter.grad for parameter in network.parameters())])
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_scores_are_sorted_in_any_precision(precision: torch.dtype) -> None:
    scores = torch.tensor([[0.5, 2.0, -1.0]], dtype=precision)
    assert _sort_descending(scores).tolist() == [[2.0, 0.5, -1.0]]
