"""The README's project: a solver that trains a tiny model, and goes on where it was when it is started again.

From the folder that contains ``basic``: ``python -m basic.train lr=0.5``, or with Dora ``dora -P basic run lr=0.5``.
"""

from __future__ import annotations

from typing import Any

import torch

import flash.solver as flashy


class Solver(flashy.BaseSolver):
    """Trains a linear model to give zeros."""

    def __init__(self, cfg: Any) -> None:
        super().__init__()
        self.cfg = cfg
        self.model = torch.nn.Linear(32, 1)
        self.optim = torch.optim.Adam(self.model.parameters(), lr=cfg.lr)
        self.best_state: dict[str, Any] = {}
        # Any attribute can be state. Modules, lists and dicts are changed in place when a checkpoint is loaded.
        self.register_stateful("model", "optim", "best_state")
        self.init_tensorboard()  # all metrics go to the console, to history.json and to TensorBoard

    def run(self) -> None:
        """Train what is left of the epochs."""
        self.restore()
        for epoch in range(self.epoch, self.cfg.epochs + 1):
            self.run_stage("train", self.train)
            # The end of an epoch; every second one is saved.
            self.commit(save_checkpoint=epoch % 2 == 0)

    def train(self) -> dict[str, Any]:
        """Make one step."""
        loss = self.model(torch.randn(4, 32)).abs().mean()
        loss.backward()
        self.optim.step()
        self.optim.zero_grad()
        return {"loss": loss.item()}


@flashy.hydra_main(config_path="config", config_name="config", version_base="1.3")
def main(cfg: Any) -> None:
    """Run an experiment, in a folder that is named after its configuration."""
    flashy.setup_logging()
    flashy.distrib.init()
    Solver(cfg).run()


if __name__ == "__main__":
    main()
