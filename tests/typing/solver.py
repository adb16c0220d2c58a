"""Programs as users of flash-solver write them: type checkers know what comes out."""

from typing import Any

import torch
from torch import nn
from typing_extensions import assert_type

import flash
import flash.solver as flashy


class Solver(flashy.BaseSolver):
    """A solver as its README shows it."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.model = nn.Linear(4, 1)
        self.optim = torch.optim.Adam(self.model.parameters())
        self.register_stateful("model", "optim")

    def run(self) -> None:
        assert_type(self.restore(), bool)
        for _ in range(self.epoch, 3):
            self.run_stage("train", self.train)
            self.commit()

    def train(self) -> dict[str, Any]:
        average = flashy.averager()
        metrics: dict[str, Any] = {}
        for batch in self.log_progress("train", [torch.randn(2, 4)]):
            metrics = dict(average({"loss": self.model(batch).mean()}))
        return metrics


def bridge(task: flash.Task, data: flash.DataModule) -> None:
    flashy.TaskSolver(task, data, strategy="freeze", folder="runs", max_epochs=2).run()
