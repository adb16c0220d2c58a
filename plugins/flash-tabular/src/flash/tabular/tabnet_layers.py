"""pytorch-tabnet's layers, computed with fewer operations: the same parameters, the same numbers."""

from __future__ import annotations

import math

import torch
from pytorch_tabnet.tab_network import GBN, GLU_Block, GLU_Layer
from torch import Tensor, nn

__all__ = ["GLUBlock", "GLULayer", "GhostBatchNorm", "speed_up"]


class GhostBatchNorm(GBN):  # type: ignore[misc]  # the library has no types
    """Ghost batch normalisation (https://arxiv.org/abs/1705.08741) of all virtual batches at once.

    Each virtual batch is normalised by its own statistics. Rows of different virtual batches become different
    features of one batch normalisation here; the running statistics end where one update after the other would have
    brought them.

    Shape:
        ``(batch, features)`` in and out.

    Example:
        >>> GhostBatchNorm(3, virtual_batch_size=4)(torch.randn(8, 3)).shape
        torch.Size([8, 3])
    """

    bn: nn.BatchNorm1d
    virtual_batch_size: int

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
        weight = self.bn.weight.expand(ghosts, features).reshape(-1)
        bias = self.bn.bias.expand(ghosts, features).reshape(-1)
        out, mean, inverse_std = torch.native_batch_norm(side_by_side, weight, bias, None, None, True, 0.0, self.bn.eps)
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
        weight = mean.new_tensor([bn.momentum * left**later for later in range(ghosts - 1, -1, -1)])
        variance = (inverse_std.pow(-2) - bn.eps) * (size / (size - 1))
        bn.running_mean.mul_(left**ghosts).add_(weight @ mean)
        bn.running_var.mul_(left**ghosts).add_(weight @ variance)
        bn.num_batches_tracked += ghosts


class GLULayer(GLU_Layer):  # type: ignore[misc]  # the library has no types
    """A gated linear unit with torch's own kernel, whose backward pass copies nothing.

    Example:
        >>> GLULayer(3, 4)(torch.randn(8, 3)).shape
        torch.Size([8, 4])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the gated features, shape ``(batch, output_dim)``."""
        return nn.functional.glu(self.bn(self.fc(x)), dim=1)


class GLUBlock(GLU_Block):  # type: ignore[misc]  # the library has no types
    """A block of gated linear units, without a tensor for the constant that scales their sums.

    Example:
        >>> GLUBlock(3, 4, first=True)(torch.randn(8, 3)).shape
        torch.Size([8, 4])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's features, shape ``(batch, output_dim)``."""
        layers = list(self.glu_layers)
        if self.first:
            x, layers = layers[0](x), layers[1:]
        for layer in layers:
            x = (x + layer(x)) * math.sqrt(0.5)
        return x


def speed_up(network: nn.Module) -> None:
    """Let the library's layers inside a network compute as those of this module do.

    Nothing but the forward pass of each layer changes: parameters, statistics and their names stay.
    """
    for original, faster in ((GBN, GhostBatchNorm), (GLU_Layer, GLULayer), (GLU_Block, GLUBlock)):
        for module in network.modules():
            if type(module) is original:
                module.__class__ = faster
