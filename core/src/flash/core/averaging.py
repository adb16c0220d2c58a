"""AverageWeights: an exponential moving average of the weights, with which a task is validated and ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import ModelParallelStrategy
from torch import Tensor, nn

from flash.core.run_state import AVERAGED
from flash.errors import CheckpointError, ConfigurationError

__all__ = ["AverageWeights"]


class AverageWeights(Callback):
    """Average the weights over the steps; validate the average, and leave the task with it.

    After step ``t`` the average moves towards the trained weights by ``1 - min(decay, (1 + t) / (10 + t))`` of the
    distance, so that at first it spans about the last tenth of the steps. Floating-point buffers, such as the
    statistics of batch norm, are averaged too; what is frozen is not, and what is unfrozen joins at the start of the
    epoch.

    The task has the averaged weights from the end of an epoch, or from the start of a validation, until the next step:
    metrics, early stopping, ``keep_best`` and checkpoints see them. A checkpoint holds the trained weights beside
    them, so that a resumed run equals the whole one. Only what Lightning saves with ``save_weights_only`` in the middle
    of an epoch are the trained weights.

    Args:
        decay: The largest share that the average keeps in a step, from 0 to below 1: 0.998 spans about 500 steps.

    Raises:
        ConfigurationError: If the decay is out of range.

    References:
        Polyak and Juditsky, Acceleration of stochastic approximation by averaging, 1992. The growing decay is that of
        TensorFlow's ``ExponentialMovingAverage(num_updates=...)``.

    Example:
        >>> AverageWeights(decay=0.99).decay
        0.99
    """

    def __init__(self, decay: float = 0.998) -> None:
        if not 0 <= decay < 1:
            raise ConfigurationError(
                f"Expected decay to be at least 0 and below 1, but got {decay!r}. Pass 0.998 for an average over about "
                "500 steps."
            )
        self.decay = decay
        self._reset()

    def _reset(self) -> None:
        self._steps = 0
        self._global_step = 0
        self._average: dict[str, Tensor] = {}
        # The tensors of the task, in the order of the average.
        self._current: list[Tensor] = []
        # The weights that are trained, in the same order, while the task has their average.
        self._trained: list[Tensor] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Clear the state of a previous run.

        Raises:
            ConfigurationError: If the weights are sharded: a checkpoint would not have all of the average.
        """
        if stage == "fit":
            if isinstance(trainer.strategy, ModelParallelStrategy):
                raise ConfigurationError(
                    "Expected whole weights in each process, to average them, but strategy='sharded' has shares. Leave "
                    "the callback average_weights out, or train with strategy='ddp'."
                )
            self._reset()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add what was unfrozen to the average."""
        self._restore_trained(pl_module)
        self._match(pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Go on with the trained weights after a validation, or in a run that is resumed within an epoch."""
        is_resumed = not self._current
        self._restore_trained(pl_module)
        if is_resumed:
            self._match(pl_module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count the steps from here."""
        self._global_step = trainer.global_step

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the average if the optimizer made a step."""
        if trainer.global_step == self._global_step:
            return
        self._global_step = trainer.global_step
        self._steps += 1
        weight = 1 - min(self.decay, (1 + self._steps) / (10 + self._steps))
        averages = list(self._average.values())
        current = [value.to(average.dtype) for value, average in zip(self._current, averages, strict=True)]
        torch._foreach_lerp_(averages, current, weight)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give the task the averaged weights, for the checkpoints of this epoch."""
        self._show_average()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give the task the averaged weights, if this is a validation within a training."""
        if trainer.state.fn == "fit":
            self._show_average()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give the task the averaged weights, if training ended within an epoch."""
        self._show_average()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give the task the averaged weights, if training was interrupted."""
        if trainer.state.fn == "fit":
            self._show_average()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the averaged weights as those of the task, and that they are."""
        checkpoint[AVERAGED] = bool(self._average)
        if not self._trained:
            current = checkpoint["state_dict"]
            checkpoint["state_dict"] = {
                name: self._average[name].to(value.dtype) if name in self._average else value
                for name, value in current.items()
            }

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Check that a file with averaged weights has the trained weights too.

        Raises:
            CheckpointError: If it has not.
        """
        is_resumed = trainer.state.fn == "fit"
        if is_resumed and checkpoint.get(AVERAGED) and self.state_key not in checkpoint.get("callbacks", {}):
            raise CheckpointError(
                "Expected the trained weights beside their average in the file to resume from, but there is only the "
                "average. The file is damaged: resume from another one."
            )

    def state_dict(self) -> dict[str, Any]:
        """Return the average and the trained weights, for the checkpoint."""
        trained = self._trained or self._current
        return {
            "steps": self._steps,
            "average": {name: value.detach() for name, value in self._average.items()},
            "trained": {name: value.detach() for name, value in zip(self._average, trained, strict=True)},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state of the run that is resumed."""
        self._steps, self._average = state_dict["steps"], state_dict["average"]
        self._trained, self._current = list(state_dict["trained"].values()), []

    def _match(self, pl_module: pl.LightningModule) -> None:
        """Average what is trained now, each from its present value if it is new, and nothing else."""
        known, self._average, self._current = self._average, {}, []
        for name, value in pl_module.state_dict(keep_vars=True).items():
            is_frozen = isinstance(value, nn.Parameter) and not value.requires_grad
            if value.is_floating_point() and not is_frozen:
                start = known[name].to(value.device) if name in known else _precise_copy(value)
                self._average[name] = start
                self._current.append(value)

    def _show_average(self) -> None:
        """Put the average in place of the trained weights, which are kept."""
        if self._steps and not self._trained:
            self._trained = [value.detach().clone() for value in self._current]
            _copy(self._average.values(), self._current)

    def _restore_trained(self, pl_module: pl.LightningModule) -> None:
        """Put the trained weights back."""
        if not self._trained:
            return
        if not self._current:
            self._current = self._resumed(pl_module)
        _copy(self._trained, self._current)
        self._trained = []

    def _resumed(self, pl_module: pl.LightningModule) -> list[Tensor]:
        """Return the tensors of the task that the loaded ones are for."""
        values = pl_module.state_dict(keep_vars=True)
        for (name, average), trained in zip(self._average.items(), self._trained, strict=True):
            shape = values[name].shape if name in values else None
            if average.shape != shape or trained.shape != shape:
                raise CheckpointError(
                    f"Expected averaged weights of this task in the file to resume from, but those of {name} have the "
                    f"shape {tuple(average.shape)} in place of {shape and tuple(shape)}. Resume it with the same task."
                )
        return [values[name] for name in self._average]


def _precise_copy(value: Tensor) -> Tensor:
    """Return a copy in which small steps of an average are not rounded away."""
    return value.detach().to(torch.promote_types(value.dtype, torch.float32), copy=True)


@torch.no_grad()
def _copy(sources: Iterable[Tensor], targets: Iterable[Tensor]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source)
