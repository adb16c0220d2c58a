"""Ghost batch normalisation of all virtual batches at once."""

from __future__ import annotations

import math

import torch
from pytorch_tabnet.tab_network import GBN
from torch import Tensor, nn

__all__ = ["GhostBatchNorm", "speed_up"]


class GhostBatchNorm(nn.Module):
    """What pytorch-tabnet's ``GBN`` computes, with one call for all virtual batches instead of one for each.

    Ghost batch normalisation (https://arxiv.org/abs/1705.08741) normalises each virtual batch by its own statistics.
    Rows of different virtual batches become different features of one batch normalisation here; the running
    statistics end where one update after the other would have brought them.

    Args:
        original: The module to stand in for; its parameters and running statistics are shared, under their names.

    Shape:
        ``(batch, features)`` in and out.

    Example:
        >>> fast = GhostBatchNorm(GBN(3, virtual_batch_size=4))
        >>> fast(torch.randn(8, 3)).shape
        torch.Size([8, 3])
    """

    def __init__(self, original: GBN) -> None:
        super().__init__()
        self.bn: nn.BatchNorm1d = original.bn
        self.virtual_batch_size: int = original.virtual_batch_size

    def forward(self, x: Tensor) -> Tensor:
        """Normalise a batch."""
        if not self.bn.training:
            # All rows are normalised alike.
            normalised: Tensor = self.bn(x)
            return normalised
        rows, features = x.shape
        ghosts = math.ceil(rows / self.virtual_batch_size)
        size = math.ceil(rows / ghosts)
        if ghosts == 1 or rows != ghosts * size:
            return torch.cat([self.bn(part) for part in x.chunk(ghosts)])
        side_by_side = x.view(ghosts, size, features).transpose(0, 1).reshape(size, ghosts * features)
        out, mean, inverse_std = torch.native_batch_norm(
            side_by_side,
            self.bn.weight.expand(ghosts, features).reshape(-1),
            self.bn.bias.expand(ghosts, features).reshape(-1),
            None,
            None,
            True,
            0.0,
            self.bn.eps,
        )
        self._update(mean.view(ghosts, features), inverse_std.view(ghosts, features), size)
        return out.view(size, ghosts, features).transpose(0, 1).reshape(rows, features)

    @torch.no_grad()
    def _update(self, mean: Tensor, inverse_std: Tensor, size: int) -> None:
        bn, ghosts = self.bn, len(mean)
        assert bn.momentum is not None
        assert bn.running_mean is not None
        assert bn.running_var is not None
        assert bn.num_batches_tracked is not None
        # The virtual batches update one after the other: the last one counts most.
        left = 1 - bn.momentum
        weights = [bn.momentum * left**later for later in range(ghosts - 1, -1, -1)]
        weight = mean.new_tensor(weights)
        bn.running_mean.addmv_(mean.t(), weight, beta=left**ghosts)
        unbiased = size / (size - 1)
        bn.running_var.addmv_(inverse_std.pow(-2).t(), weight, beta=left**ghosts, alpha=unbiased)
        bn.running_var.sub_(bn.eps * unbiased * sum(weights))
        bn.num_batches_tracked += ghosts


def speed_up(network: nn.Module) -> None:
    """Put a :class:`GhostBatchNorm` in the place of each ``GBN`` inside a network."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, GBN):
                setattr(module, name, GhostBatchNorm(child))
