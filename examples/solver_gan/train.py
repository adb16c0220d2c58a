"""Handwritten digits from noise: a generator and an adversary with an optimizer each, in one or several processes.

    python examples/solver_gan/train.py --folder runs/gan
    torchrun --nproc_per_node 2 examples/solver_gan/train.py --folder runs/gan

Stop it with Ctrl-C, ``kill`` or ``kill -9`` and start it again: it goes on where it was, exactly. The digits are those
of scikit-learn, 8 x 8 pixels. Two numbers are watched: how far apart the two sets are (Fréchet distance of their
pixels), and how many of the ten digits a classifier, trained beforehand on the real ones, finds among the generated.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import flash.solver as flashy

NOISE = 16


def digits() -> tuple[Tensor, Tensor]:
    """Return all pictures as rows of 64 values from -1 to 1, and what they show."""
    pixels, labels = load_digits(return_X_y=True)
    return torch.as_tensor(pixels, dtype=torch.float32) / 8 - 1, torch.as_tensor(labels)


def network(inputs: int, outputs: int, *last: nn.Module) -> nn.Module:
    """Three layers."""
    layers = [nn.Linear(inputs, 128), nn.LeakyReLU(0.2), nn.Linear(128, 128), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Linear(128, outputs), *last)


def frechet_distance(one: Tensor, other: Tensor) -> float:
    """Return the squared distance between normal distributions fitted to two sets of rows (Dowson and Landau, 1982)."""
    means = (one.mean(0) - other.mean(0)).pow(2).sum()
    first, second = one.T.cov().double(), other.T.cov().double()
    root = torch.linalg.eigvals(first @ second).sqrt().real.sum()
    return float(means + first.trace() + second.trace() - 2 * root)


class DigitsSolver(flashy.BaseSolver):
    """Trains the generator and its adversary, and judges the generator's digits."""

    def __init__(self, folder: Path, epochs: int, batch_size: int = 64) -> None:
        super().__init__(folder)
        torch.manual_seed(7)
        self.epochs = epochs
        self.pixels, self.labels = digits()
        self.generator = network(NOISE, 64, nn.Tanh())
        self.optim = torch.optim.Adam(self.generator.parameters(), lr=2e-3, betas=(0.5, 0.99))
        adversary = network(64, 1)
        adversary_optim = torch.optim.Adam(adversary.parameters(), lr=1e-3, betas=(0.5, 0.99))
        # The adversary's optimizer is part of this module's state.
        self.adversarial = flashy.AdversarialLoss(adversary, adversary_optim)
        self.ema = flashy.EMA(self.generator, decay=0.99)
        self.judge = network(64, 10)
        self.register_stateful("generator", "optim", "adversarial", "ema", "judge")
        flashy.distrib.broadcast_model(self.generator)
        self.loader = flashy.distrib.loader(
            TensorDataset(self.pixels), batch_size=batch_size, shuffle=True, drop_last=True
        )
        self.keep_checkpoints(best="valid/distance")
        # From here on each process draws noise of its own.
        torch.manual_seed(7 + flashy.distrib.rank())

    def run(self) -> None:
        """Train what is left of the epochs."""
        if not self.restore():
            self.train_judge()
        for _ in range(self.epoch, self.epochs + 1):
            self.run_stage("train", self.train)
            with self.ema.swap():
                self.run_stage("valid", self.valid)
            self.commit()

    def get_formatter(self, stage_name: str) -> flashy.Formatter:
        """Show shares as percentages."""
        return flashy.Formatter({"fooled": ".0%", "digits": "d", "distance": ".2f"})

    def train(self) -> dict[str, Any]:
        """Train both for an epoch."""
        average = flashy.averager()
        metrics: dict[str, Any] = {}
        progress = self.log_progress("train", self.loader, updates=3, carry=average)
        for (real,) in progress:
            fake = self.generator(torch.randn(len(real), NOISE))
            adversary_loss = self.adversarial.train_adv(fake, real)
            loss = self.adversarial(fake)
            with flashy.distrib.eager_sync_model(self.generator):
                loss.backward()
            self.optim.step()
            self.optim.zero_grad()
            self.ema.update()
            metrics = average({"generator": loss, "adversary": adversary_loss})
            progress.update(**metrics)
        return flashy.distrib.average_metrics(metrics, len(self.loader))

    @torch.no_grad()
    def valid(self) -> dict[str, Any]:
        """Compare generated digits with the real ones."""
        fake = self.generator(torch.randn(len(self.pixels), NOISE))
        shown = self.judge(fake).argmax(1)
        self.log_image("valid", "digits", (fake[:64].view(8, 8, 8, 8).transpose(1, 2).reshape(64, 64) + 1) / 2)
        return {
            "distance": frechet_distance(self.pixels, fake),
            "digits": int((shown.bincount(minlength=10) > len(fake) / 100).sum()),
            "fooled": (self.adversarial.get_adversary_pred(fake) < 0).float().mean(),
        }

    def train_judge(self) -> None:
        """Train the classifier that judges."""
        optim = torch.optim.Adam(self.judge.parameters(), lr=1e-2)
        for _ in range(60):
            loss: Any = nn.functional.cross_entropy(self.judge(self.pixels), self.labels)
            loss.backward()
            flashy.distrib.sync_model(self.judge)
            optim.step()
            optim.zero_grad()


def main(arguments: list[str] | None = None) -> DigitsSolver:
    """Read the arguments, and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/solver_gan"))
    parser.add_argument("--epochs", type=int, default=40)
    options = parser.parse_args(arguments)
    flashy.distrib.init()
    flashy.setup_logging(folder=options.folder)
    solver = DigitsSolver(options.folder, options.epochs)
    solver.run()
    return solver


if __name__ == "__main__":
    main()
