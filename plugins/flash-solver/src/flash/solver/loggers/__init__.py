"""Experiment loggers: local files, TensorBoard, Weights & Biases."""

from __future__ import annotations

from flash.solver.loggers.base import ExperimentLogger as ExperimentLogger
from flash.solver.loggers.localfs import LocalFSLogger as LocalFSLogger
from flash.solver.loggers.tensorboard import TensorboardLogger as TensorboardLogger
from flash.solver.loggers.wandb import WandbLogger as WandbLogger

__all__ = ["ExperimentLogger", "LocalFSLogger", "TensorboardLogger", "WandbLogger"]
