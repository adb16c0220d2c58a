"""Types of arguments, for annotating programs that pass them on; each is defined where its values are read.

Example:
    >>> import torch
    >>> from flash import Task
    >>> def regression(network: torch.nn.Module, optimizer: OptimizerSpec, metrics: MetricSpec) -> Task:
    ...     return Task(network, torch.nn.functional.mse_loss, optimizer=optimizer, metrics=metrics)
    >>> regression(torch.nn.Linear(2, 1), ("SGD", {"momentum": 0.9}), ["mae"]).available_metrics()[:2]
    ['accuracy', 'auroc']
"""

from __future__ import annotations

from flash.core.classification import ClassWeights
from flash.core.finetuning import StrategySpec
from flash.core.losses import LossSpec
from flash.core.metrics import MetricSpec
from flash.core.optimizers import LRSchedulerSpec, OptimizerSpec
from flash.core.outputs import OutputSpec
from flash.core.trainer import CallbackSpec, LightningPlugin, Loaders
from flash.data.columns import ArrayTree
from flash.data.inputs import SampleDataset, Samples, Targets
from flash.data.loader import SamplerSpec
from flash.data.splits import GroupSpec
from flash.data.tables import DataFrame, FileSource, TableSource
from flash.serialization import MapLocation

__all__ = [
    "ArrayTree",
    "CallbackSpec",
    "ClassWeights",
    "DataFrame",
    "FileSource",
    "GroupSpec",
    "LRSchedulerSpec",
    "LightningPlugin",
    "Loaders",
    "LossSpec",
    "MapLocation",
    "MetricSpec",
    "OptimizerSpec",
    "OutputSpec",
    "SampleDataset",
    "SamplerSpec",
    "Samples",
    "StrategySpec",
    "TableSource",
    "Targets",
]
