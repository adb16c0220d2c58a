"""The faster layers compute what pytorch-tabnet's own compute: forward, backward and running statistics."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from pytorch_tabnet.tab_network import TabNetEncoder

from flash.tabular.tabnet_layers import speed_up


@pytest.mark.parametrize("rows", [512, 256, 200, 100, 131])
def test_the_faster_encoder_equals_the_librarys_in_training_and_evaluation(rows: int) -> None:
    torch.manual_seed(0)
    # In double precision, and with an epsilon that keeps the logarithm of a weight of nothing from being steep.
    groups = torch.eye(6, dtype=torch.float64)
    original = TabNetEncoder(6, 2, virtual_batch_size=64, epsilon=1e-3, group_attention_matrix=groups).double()
    for parameter in original.parameters():
        parameter.data.add_(torch.rand_like(parameter) / 10)
    faster = copy.deepcopy(original)
    speed_up(faster)
    assert original.state_dict().keys() == faster.state_dict().keys()
    # A virtual batch is every n-th row here, and a block of rows there; a network of shuffled rows knows no difference.
    ghosts = math.ceil(rows / 64)
    blocks = torch.arange(rows).view(-1, ghosts).t().reshape(-1) if rows % ghosts == 0 else torch.arange(rows)
    for _ in range(2):
        x = torch.randn(rows, 6, dtype=torch.float64) * 3 + 1
        losses = []
        for network, batch in ((original, x[blocks]), (faster, x)):
            network.zero_grad()
            steps, sparsity = network(batch)
            losses.append(torch.stack(steps).pow(2).mean() + sparsity)
            losses[-1].backward()
        assert torch.allclose(*losses, rtol=1e-6)
        for one, other in zip(original.parameters(), faster.parameters(), strict=True):
            assert torch.allclose(one.grad, other.grad, rtol=1e-4, atol=1e-5)
    for name, value in original.state_dict().items():
        assert torch.allclose(value.float(), faster.state_dict()[name].float(), rtol=1e-4, atol=1e-5), name
    original.eval()
    faster.eval()
    assert torch.allclose(original(x)[0][0], faster(x)[0][0], rtol=1e-4, atol=1e-5)
