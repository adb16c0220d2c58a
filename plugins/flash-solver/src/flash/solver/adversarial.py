"""Adversarial loss, as in generative adversarial networks."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from flash.solver import distrib
from flash.solver.utils import readonly

__all__ = ["AdversarialLoss"]


class AdversarialLoss(nn.Module):
    """Trains an adversary (discriminator) to distinguish fake from real samples, and returns the generator's loss.

    The state of the adversary's optimizer is part of this module's state dict.

    Args:
        adversary: Returns a score per sample: high for samples that it classifies as fake.
        optimizer: The optimizer of the adversary.
        loss: Loss function of scores and targets, 1 for fake and 0 for real.

    Example:
        >>> adversary = nn.Linear(2, 1)
        >>> loss = AdversarialLoss(adversary, torch.optim.SGD(adversary.parameters(), lr=0.1))
        >>> fake, real = torch.zeros(4, 2, requires_grad=True), torch.ones(4, 2)
        >>> bool(loss.train_adv(fake, real) > 0)
        True
        >>> loss(fake).backward()  # the adversary's own gradients are unchanged
        >>> fake.grad.shape, adversary.weight.grad
        (torch.Size([4, 2]), None)
    """

    def __init__(
        self, adversary: nn.Module, optimizer: Optimizer, loss: Any = functional.binary_cross_entropy_with_logits
    ) -> None:
        super().__init__()
        self.adversary = adversary
        self.optimizer = optimizer
        self.loss = loss
        distrib.broadcast_model(adversary)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "optimizer"] = self.optimizer.state_dict()

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any, **kwargs: Any) -> None:
        optimizer = state_dict.pop(prefix + "optimizer", None)
        if optimizer is not None:
            self.optimizer.load_state_dict(optimizer)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def get_adversary_pred(self, samples: Tensor) -> Tensor:
        """Return the adversary's scores."""
        return cast(Tensor, self.adversary(samples))

    def train_adv(self, fake: Tensor, real: Tensor) -> Tensor:
        """Train the adversary for one step; gradients are averaged over all processes.

        Args:
            fake: Generated samples; they are detached.
            real: Samples from the data.

        Returns:
            The adversary's loss.
        """
        with torch.enable_grad():
            fake_scores = self.get_adversary_pred(fake.detach())
            real_scores = self.get_adversary_pred(real.detach())
            loss: Tensor = self.loss(fake_scores, torch.ones_like(fake_scores))
            loss = loss + self.loss(real_scores, torch.zeros_like(real_scores))
            self.optimizer.zero_grad()
            with distrib.eager_sync_model(self.adversary):
                loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach()

    def forward(self, fake: Tensor) -> Tensor:
        """Return the loss of the generator: the adversary's scores of fake samples against the target "real"."""
        with readonly(self.adversary):
            scores = self.get_adversary_pred(fake)
            loss: Tensor = self.loss(scores, torch.zeros_like(scores))
        return loss
