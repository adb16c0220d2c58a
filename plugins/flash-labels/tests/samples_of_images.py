"""Batches of images with boxes or masks as samples, for the checks of the kit that compare them."""

from __future__ import annotations

from typing import Any

from torch.utils._pytree import tree_leaves


class BoxesOfImages:
    """A batch of images, each with its objects."""

    def samples_of(self, batch: Any) -> list[Any]:
        inputs, targets = batch
        return list(zip(inputs["images"], targets, strict=True))


class MasksOfImages:
    """A batch of images, each with its mask."""

    def samples_of(self, batch: Any) -> list[Any]:
        inputs, masks = batch
        leaves = tree_leaves(inputs)
        return [[*(leaf[row] for leaf in leaves), masks[row]] for row in range(len(leaves[0]))]
