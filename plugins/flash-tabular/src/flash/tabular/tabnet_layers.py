"""Faster implementations of pytorch-tabnet's layers, with the same parameters and outputs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from pytorch_tabnet.sparsemax import Sparsemax
from pytorch_tabnet.tab_network import GBN, FeatTransformer, GLU_Block, GLU_Layer, TabNetEncoder
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["FastEncoder", "FastSparsemax", "GLUBlock", "GLULayer", "GhostBatchNorm", "speed_up"]

# The scale of a residual sum.
_SQRT_HALF = math.sqrt(0.5)

# A layer, and the means and inverse standard deviations of its virtual batches.
_Statistics = tuple[nn.BatchNorm1d, Tensor, Tensor]


def _virtual_batches(rows: int, at_most: int) -> list[tuple[int, int]]:
    """Return the virtual batches as ``[(count, size)]``: all of equal size, and the remaining rows as a smaller one."""
    size = math.ceil(rows / math.ceil(rows / at_most)) if rows else 1
    whole, left = divmod(rows, size)
    return [(whole, size), (1, left)] if left else [(whole, size)]


@torch.no_grad()
def _update_statistics(statistics: Sequence[_Statistics], ghosts: int, size: int) -> None:
    """Update the running statistics of equal layers as one update per virtual batch would."""
    norms, means, inverse_stds = zip(*statistics, strict=True)
    momentum, eps = norms[0].momentum, norms[0].eps
    assert momentum is not None
    # Exponential moving average over the virtual batches in order: the last one has the largest weight.
    left = 1 - momentum
    moved = 1 - left**ghosts
    counts = means[0].new_tensor([[momentum * left**later / moved] for later in range(ghosts - 1, -1, -1)])
    every = torch.cat([mean.view(ghosts, -1) for mean in means], dim=1)
    variances = torch.cat([inverse_std.view(ghosts, -1) for inverse_std in inverse_stds], dim=1).pow_(-2).sub_(eps)
    # Not a matrix product: autocast would compute it in lower precision.
    mean, variance = (every * counts).sum(0), (variances * counts).sum(0).mul_(size / (size - 1))
    sizes = [norm.num_features for norm in norms]
    running: list[Any] = [norm.running_mean for norm in norms] + [norm.running_var for norm in norms]
    torch._foreach_lerp_(running, [*mean.split_with_sizes(sizes), *variance.split_with_sizes(sizes)], moved)
    batches: list[Any] = [norm.num_batches_tracked for norm in norms]
    torch._foreach_add_(batches, ghosts)


class GhostBatchNorm(GBN):  # type: ignore[misc]  # the library has no types
    """Ghost batch normalization (https://arxiv.org/abs/1705.08741) of all virtual batches at once.

    Each virtual batch is normalized by its own statistics. Each of ``n`` virtual batches consists of every ``n``-th
    row, so that a view turns them into features of a single batch normalization; the library uses contiguous rows,
    which is equivalent for shuffled rows. The running statistics equal those of sequential updates.

    Shape:
        ``(batch, features)`` in and out.

    Example:
        >>> GhostBatchNorm(3, virtual_batch_size=4)(torch.randn(8, 3)).shape
        torch.Size([8, 3])
    """

    bn: nn.BatchNorm1d
    virtual_batch_size: int

    def forward(self, x: Tensor) -> Tensor:
        """Normalize a batch."""
        if not self.bn.training:
            # In eval mode all rows are normalized by the running statistics.
            normalized: Tensor = self.bn(x)
            return normalized
        batches = _virtual_batches(len(x), self.virtual_batch_size)
        parts = x.split_with_sizes([ghosts * size for ghosts, size in batches])
        return torch.cat([self._normalize(part, *each) for part, each in zip(parts, batches, strict=True)])

    def _normalize(self, x: Tensor, ghosts: int, size: int) -> Tensor:
        if ghosts == 1 or size == 1:
            normalized: Tensor = self.bn(x)
            return normalized
        weight = self.bn.weight.expand(ghosts, -1).reshape(-1)
        bias = self.bn.bias.expand(ghosts, -1).reshape(-1)
        out, mean, inverse_std = torch.native_batch_norm(
            x.reshape(size, -1), weight, bias, None, None, True, 0.0, self.bn.eps
        )
        _update_statistics([(self.bn, mean, inverse_std)], ghosts, size)
        return out.view_as(x)


class GLULayer(GLU_Layer):  # type: ignore[misc]  # the library has no types
    """A gated linear unit with torch's fused kernel, whose backward pass makes no copies.

    Example:
        >>> GLULayer(3, 4)(torch.randn(8, 3)).shape
        torch.Size([8, 4])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the gated features, shape ``(batch, output_dim)``."""
        return nn.functional.glu(self.bn(self.fc(x)), dim=1)


class GLUBlock(GLU_Block):  # type: ignore[misc]  # the library has no types
    """A block of gated linear units that scales its sums by a Python float instead of a tensor.

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


def _sort_descending(scores: Tensor) -> Tensor:
    is_plain = scores.device.type == "cpu" and scores.dtype in (torch.float32, torch.float64)
    if is_plain and not torch.compiler.is_compiling():
        # For short rows NumPy takes a third of the time of torch.sort, which computes indices too.
        return torch.from_numpy(np.sort(scores.detach().neg().numpy())).neg_()
    return scores.sort(dim=1, descending=True).values


def _project(scores: Tensor) -> Tensor:
    """Project each row onto the simplex."""
    ordered = _sort_descending(scores)
    highest = ordered[:, :1]
    places = torch.arange(1, scores.shape[1] + 1, dtype=scores.dtype, device=scores.device)
    # The threshold is the maximum over k of the thresholds of the k largest scores.
    threshold = (ordered - highest).cumsum(1).sub_(1).div_(places).amax(1, keepdim=True)
    return (scores - highest).sub_(threshold).relu_()


class _Sparsemax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor) -> Tensor:
        """Project each row onto the simplex."""
        weights = _project(scores)
        ctx.save_for_backward(weights)
        return weights

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Subtract the mean gradient over the support from the gradient of each row, and zero it elsewhere."""
        (weights,) = ctx.saved_tensors
        used = weights.sign()
        inside = gradient * used
        spread: Tensor = inside.sub_(used * (inside.sum(1, keepdim=True) / used.sum(1, keepdim=True)))
        return spread


class FastSparsemax(Sparsemax):  # type: ignore[misc]  # the library has no types
    """Sparsemax (https://arxiv.org/abs/1602.02068) of each row, with half the operations.

    Example:
        >>> FastSparsemax(dim=-1)(torch.tensor([[2.0, 1.9, 0.0]]))
        tensor([[0.5500, 0.4500, 0.0000]])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return non-negative weights that sum to one per row, shape ``(batch, columns)`` in and out."""
        if torch.compiler.is_compiling():
            return _project(x)  # An exported network has no backward pass.
        weights: Tensor = _Sparsemax.apply(x)
        return weights


class _Unit(NamedTuple):
    """A linear layer with ghost batch normalization, optionally followed by a gate and a residual sum."""

    linear: nn.Linear
    norm: nn.BatchNorm1d
    gated: bool = True
    residual: bool = False


class _Units(torch.autograd.Function):
    """Sequential units as one autograd node: with small layers, the overhead of nodes dominates."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, units: Sequence[_Unit], ghosts: int, statistics: list[_Statistics], *parameters: Tensor
    ) -> Tensor:
        """Compute all units, and append the statistics of their virtual batches to ``statistics``."""
        count, rows, saved = len(units), len(x), []
        weights = parameters[:count]
        affine = torch.stack(parameters[count:])[:, None].expand(-1, ghosts, -1).reshape(2 * count, -1).unbind()
        for unit, weight, scale, shift in zip(units, weights, affine[:count], affine[count:], strict=True):
            mixed = nn.functional.linear(x, weight).view(rows // ghosts, -1)
            normalized, mean, inverse_std = torch.native_batch_norm(
                mixed, scale, shift, None, None, True, 0.0, unit.norm.eps
            )
            normalized = normalized.view(rows, -1)
            statistics.append((unit.norm, mean, inverse_std))
            # Not saved without a gate: then it is the output, which the library's sparsemax changes in place.
            saved += [x, weight, scale, mixed, normalized if unit.gated else None, mean, inverse_std]
            out = nn.functional.glu(normalized, dim=1) if unit.gated else normalized
            x = out.add_(x).mul_(_SQRT_HALF) if unit.residual else out
        ctx.save_for_backward(*saved)
        ctx.units, ctx.ghosts = units, ghosts
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        """Backpropagate through the units in reverse order."""
        units, ghosts, saved = ctx.units, ctx.ghosts, ctx.saved_tensors
        weights, scales, shifts = [], [], []
        gradient = gradient * _SQRT_HALF if units[-1].residual else gradient.contiguous()
        for place in reversed(range(len(units))):
            unit = units[place]
            x, weight, scale, mixed, normalized, mean, inverse_std = saved[7 * place : 7 * place + 7]
            inner = torch.ops.aten.glu_backward.default(gradient, normalized, 1) if unit.gated else gradient
            inner, scale, shift = torch.ops.aten.native_batch_norm_backward.default(
                inner.view_as(mixed), mixed, scale, None, None, mean, inverse_std, True, unit.norm.eps, [True] * 3
            )
            inner = inner.view(len(x), -1)
            weights.append(inner.t() @ x)
            scales.append(scale)
            shifts.append(shift)
            if unit.residual:
                # Fused with the scale of the previous residual sum.
                factor = _SQRT_HALF if place and units[place - 1].residual else 1.0
                gradient = torch.addmm(gradient, inner, weight, beta=factor, alpha=factor)
            else:
                gradient = inner @ weight
        affine = torch.stack(scales[::-1] + shifts[::-1]).view(2 * len(units), ghosts, -1).sum(1)
        return gradient, None, None, None, *weights[::-1], *affine.unbind()


class FastEncoder(TabNetEncoder):  # type: ignore[misc]  # the library has no types
    """TabNet's encoder, fused into few autograd nodes in train mode.

    Under autocast, when compiled, in eval mode, or with hooks on its layers, it calls the layers one by one.

    Shape:
        ``(batch, input_dim)`` in; a list of ``(batch, n_d)``, one per step, and the sparsity of the masks out.

    Example:
        >>> steps, sparsity = FastEncoder(4, 2, group_attention_matrix=torch.eye(4))(torch.randn(8, 4))
        >>> len(steps), steps[0].shape
        (3, torch.Size([8, 8]))
    """

    #: Whether the groups are the columns in order, so that the mask of the groups is the mask of the columns.
    groups_are_columns = False

    def forward(self, x: Tensor, prior: Tensor | None = None) -> tuple[list[Tensor], Tensor]:
        """Return the outputs of all decision steps, and the sparsity of the masks.

        Args:
            x: The columns.
            prior: The prior scale of the attention per group, shape ``(batch, groups)``; by default 1.
        """
        if not self.training:
            # Before the number of rows is read, which would fix the batch size of an exported network.
            evaluated: tuple[list[Tensor], Tensor] = super().forward(x, prior)
            return evaluated
        batches = _virtual_batches(len(x), self.virtual_batch_size)
        first, *others = chains = [
            *(list(_iter_units(transformer)) for transformer in (self.initial_splitter, *self.feat_transformers)),
            *([_Unit(attention.fc, attention.bn.bn, gated=False)] for attention in self.att_transformers),
        ]
        if not self._can_fuse(x, batches, chains):
            result: tuple[list[Tensor], Tensor] = super().forward(x, prior)
            return result
        steps = list(zip(others[self.n_steps :], others[: self.n_steps], strict=True))
        rows = [ghosts * size for ghosts, size in batches]
        priors = [None] * len(rows) if prior is None else prior.split_with_sizes(rows)
        parts = [
            self._run_steps(*part, first, steps)
            for part in zip(self.initial_bn(x).split_with_sizes(rows), priors, batches, strict=True)
        ]
        outputs = parts[0][0] if len(parts) == 1 else torch.cat([part[0] for part in parts], dim=1)
        return list(outputs.unbind()), sum(part[1] for part in parts) / (len(x) * self.n_steps)

    def _can_fuse(self, x: Tensor, batches: Sequence[tuple[int, int]], chains: Sequence[Sequence[_Unit]]) -> bool:
        units = [unit for chain in chains for unit in chain]
        norm = units[0].norm
        return (
            self.training
            and x.dtype in (torch.float32, torch.float64)
            and not torch.is_autocast_enabled(x.device.type)
            and not torch.compiler.is_compiling()
            and all(size > 1 for _, size in batches)
            and all(
                type(unit.linear) is nn.Linear
                and unit.linear.weight.dtype == x.dtype
                and unit.norm.training
                and not _is_hooked(unit.linear)
                and not _is_hooked(unit.norm)
                and (unit.norm.momentum, unit.norm.eps) == (norm.momentum, norm.eps)
                for unit in units
            )
        )

    def _run_steps(
        self,
        x: Tensor,
        prior: Tensor | None,
        batches: tuple[int, int],
        first: list[_Unit],
        steps: list[tuple[list[_Unit], list[_Unit]]],
    ) -> tuple[Tensor, Tensor]:
        """Return the outputs of all decision steps, and the sum of the negative entropies of their masks."""
        ghosts, size = batches
        statistics: list[_Statistics] = []

        def run(units: list[_Unit], x: Tensor) -> Tensor:
            norms = [unit.norm for unit in units]
            parameters = [unit.linear.weight for unit in units]
            parameters += [norm.weight for norm in norms] + [norm.bias for norm in norms]
            out: Tensor = _Units.apply(x, units, ghosts, statistics, *parameters)
            return out

        decisions, masks = [], []
        attended = run(first, x)[:, self.n_d :]
        for place, (attention, transformer) in enumerate(steps):
            scores = run(attention, attended)
            mask = self.att_transformers[place].selector(scores if prior is None else scores * prior)
            masks.append(mask)
            prior = self.gamma - mask if prior is None else (self.gamma - mask) * prior
            seen = mask if self.groups_are_columns else mask @ self.group_attention_matrix
            decision, attended = run(transformer, seen * x).split_with_sizes([self.n_d, self.n_a], dim=1)
            decisions.append(decision)
        every = torch.cat(masks)
        _update_statistics(statistics, ghosts, size)
        return torch.stack(decisions).relu(), (every * torch.log(every + self.epsilon)).sum()


def _is_hooked(module: nn.Module) -> bool:
    return bool(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    )


def _iter_units(transformer: FeatTransformer) -> Iterator[_Unit]:
    for block in (transformer.shared, transformer.specifics):
        if isinstance(block, GLU_Block):
            for place, layer in enumerate(block.glu_layers):
                yield _Unit(layer.fc, layer.bn.bn, residual=place > 0 or not block.first)


_REPLACEMENTS: dict[type[nn.Module], type[nn.Module]] = {
    GBN: GhostBatchNorm,
    GLU_Layer: GLULayer,
    GLU_Block: GLUBlock,
    Sparsemax: FastSparsemax,
    TabNetEncoder: FastEncoder,
}


def speed_up(network: nn.Module) -> None:
    """Replace the classes of the library's layers in a network by those of this module, in place.

    Only the forward pass changes: parameters, buffers and their names stay the same.
    """
    for original, faster in _REPLACEMENTS.items():
        for module in network.modules():
            if type(module) is original:
                module.__class__ = faster
                if isinstance(module, FastEncoder):
                    groups = module.group_attention_matrix
                    module.groups_are_columns = torch.equal(groups, torch.eye(len(groups)).to(groups))
