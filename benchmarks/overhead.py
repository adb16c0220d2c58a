"""Time of a training step: a hand-written loop, Lightning and Flash, on the same small network.

An MLP (32-64-2) on rows in memory, batch 64, AdamW: so little arithmetic that what is measured is the machinery.
The hand-written loop has torch's own ``DataLoader`` on a ``TensorDataset`` and no metrics; Flash has its default
metrics on (loss and accuracy of each epoch). Run: ``nox -s bench -- overhead``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from typing import Any

import pytorch_lightning as pl
import torch
from _timing import Clock, compare, quiet, table
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import flash
from flash.core.classification import ClassificationTask

BATCH = 64


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 2))


def by_hand(dataset: TensorDataset, steps: int) -> float:
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    loader = DataLoader(dataset, batch_size=BATCH, shuffle=True)
    start = time.perf_counter()
    for x, y in loader:
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (time.perf_counter() - start) / steps


class LightningModule(pl.LightningModule):
    """The same, as a LightningModule without metrics."""

    def __init__(self) -> None:
        super().__init__()
        self.model = network()

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        x, y = batch
        return nn.functional.cross_entropy(self.model(x), y)

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


def by_lightning(dataset: TensorDataset, steps: int) -> float:
    clock = Clock()
    trainer = pl.Trainer(
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        callbacks=[clock],
    )
    trainer.fit(LightningModule(), DataLoader(dataset, batch_size=BATCH, shuffle=True))
    return clock.seconds / steps


def by_flash(dataset: TensorDataset, steps: int, **options: Any) -> float:
    clock = Clock()
    defaults = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = flash.Trainer(
        max_epochs=1, enable_model_summary=False, accelerator="cpu", callbacks=[clock], **{**defaults, **options}
    )
    task = ClassificationTask(num_classes=2, model=network(), optimizer="AdamW", learning_rate=1e-3)
    trainer.fit(task, flash.DataModule(train_dataset=dataset, batch_size=BATCH, seed=0))
    return clock.seconds / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    quiet()
    torch.manual_seed(0)
    x = torch.randn(BATCH * options.steps, 32)
    dataset = TensorDataset(x, (x[:, 0] > 0).long())
    with tempfile.TemporaryDirectory() as folder:
        everything = {
            "logger": True,
            "enable_checkpointing": True,
            "enable_progress_bar": True,
            "default_root_dir": folder,
        }
        medians = compare(
            {
                "hand-written loop, no metrics": lambda: by_hand(dataset, options.steps),
                "Flash, default metrics": lambda: by_flash(dataset, options.steps),
                "Flash, and bar, logger, checkpoints": lambda: by_flash(dataset, options.steps, **everything),
                "Lightning, no metrics": lambda: by_lightning(dataset, options.steps),
            },
            options.rounds,
        )
    print(f"Time of a training step, median of {options.rounds} runs of {options.steps} steps; ratio to the loop:")
    table(medians, "us", 1e6)


if __name__ == "__main__":
    main()
