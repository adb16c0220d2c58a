"""Training against an adversary, as in generative adversarial networks."""

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
    """An adversary that learns to tell fake from real, and the loss of whoever wants to deceive it.

    The state of the adversary's optimizer is part of this module's state.

    Args:
        adversary: Gives a score for each sample: high for what it thinks is fake.
        optimizer: Trains the adversary.
        loss: Compares scores with targets, 1 for fake and 0 for real.

    Example:
        >>> adversary = nn.Linear(2, 1)
        >>> loss = AdversarialLoss(adversary, torch.optim.SGD(adversary.parameters(), lr=0.1))
        >>> fake, real = torch.zeros(4, 2, requires_grad=True), torch.ones(4, 2)
        >>> bool(loss.train_adv(fake, real) > 0)
        True
        >>> loss(fake).backward()  # the adversary's own gradients are left alone
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
        """Train the adversary for one step; gradients of several processes are averaged.

        Args:
            fake: What was generated; no gradient flows back into it.
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
        """Return the loss of the generator: how far the adversary is from taking its samples for real."""
        with readonly(self.adversary):
            scores = self.get_adversary_pred(fake)
            loss: Tensor = self.loss(scores, torch.zeros_like(scores))
        return loss
