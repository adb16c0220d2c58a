"""pytorch-tabnet's layers, computed with fewer operations: the same parameters, the same numbers."""

from __future__ import annotations

import math
from typing import Any

import torch
from pytorch_tabnet.sparsemax import Sparsemax
from pytorch_tabnet.tab_network import GBN, GLU_Block, GLU_Layer
from torch import Tensor, nn

__all__ = ["FastSparsemax", "GLUBlock", "GLULayer", "GhostBatchNorm", "speed_up"]


class GhostBatchNorm(GBN):  # type: ignore[misc]  # the library has no types
    """Ghost batch normalisation (https://arxiv.org/abs/1705.08741) of all virtual batches at once.

    Each virtual batch is normalised by its own statistics. Of ``n`` virtual batches each takes every ``n``-th row, so
    that a view of the rows turns them into features of one batch normalisation; the library takes blocks of rows, which
    is the same for rows in random order. The running statistics end where one update after the other would have
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
        weight = self.bn.weight.expand(ghosts, features).reshape(-1)
        bias = self.bn.bias.expand(ghosts, features).reshape(-1)
        out, mean, inverse_std = torch.native_batch_norm(
            x.reshape(size, ghosts * features), weight, bias, None, None, True, 0.0, self.bn.eps
        )
        self._update(mean.view(ghosts, features), inverse_std.view(ghosts, features), size)
        return out.view(rows, features)

    @torch.no_grad()
    def _update(self, mean: Tensor, inverse_std: Tensor, size: int) -> None:
        bn, ghosts = self.bn, len(mean)
        assert bn.momentum is not None
        assert bn.running_mean is not None
        assert bn.running_var is not None
        assert bn.num_batches_tracked is not None
        # The virtual batches update one after the other: the last one counts most.
        left = 1 - bn.momentum
        counts = mean.new_tensor([bn.momentum * left**later for later in range(ghosts - 1, -1, -1)])
        variance = inverse_std.pow(-2).sub_(bn.eps)
        torch.addmv(bn.running_mean, mean.t(), counts, beta=left**ghosts, out=bn.running_mean)
        torch.addmv(
            bn.running_var, variance.t(), counts, beta=left**ghosts, alpha=size / (size - 1), out=bn.running_var
        )
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


class _Sparsemax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor) -> Tensor:
        """Project each row onto the simplex."""
        scores = scores - scores.amax(1, keepdim=True)
        ordered = scores.sort(dim=1, descending=True).values
        beyond = ordered.cumsum(1).sub_(1)
        places = torch.arange(1, scores.shape[1] + 1, dtype=scores.dtype, device=scores.device)
        support = (ordered.mul_(places) > beyond).sum(1, keepdim=True)
        threshold = beyond.gather(1, support - 1).div_(support)
        weights = (scores - threshold).clamp_(min=0)
        ctx.save_for_backward(weights, support)
        return weights

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Spread over the columns in use what their weights, which sum up to one, cannot follow."""
        weights, support = ctx.saved_tensors
        used = weights > 0
        inside = gradient * used
        spread: Tensor = inside.sub_(used * (inside.sum(1, keepdim=True) / support))
        return spread


class FastSparsemax(Sparsemax):  # type: ignore[misc]  # the library has no types
    """Sparsemax (https://arxiv.org/abs/1602.02068) of each row, with half the operations.

    Example:
        >>> FastSparsemax(dim=-1)(torch.tensor([[2.0, 1.9, 0.0]]))
        tensor([[0.5500, 0.4500, 0.0000]])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return weights that are not negative and sum up to one, shape ``(batch, columns)`` in and out."""
        weights: Tensor = _Sparsemax.apply(x)
        return weights


_FASTER: dict[type[nn.Module], type[nn.Module]] = {
    GBN: GhostBatchNorm,
    GLU_Layer: GLULayer,
    GLU_Block: GLUBlock,
    Sparsemax: FastSparsemax,
}


def speed_up(network: nn.Module) -> None:
    """Let the library's layers inside a network compute as those of this module do.

    Nothing but the forward pass of each layer changes: parameters, statistics and their names stay.
    """
    for original, faster in _FASTER.items():
        for module in network.modules():
            if type(module) is original:
                module.__class__ = faster
