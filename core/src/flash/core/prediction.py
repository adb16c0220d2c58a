"""The prediction loop over a dataset, used by ``task.predict``, frozen features, evaluation and figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from flash.data.auto_dataset import AutoDataset
from flash.data.batch import count_rows, split_batch
from flash.data.folders import table_folder
from flash.data.loader import batches_in_order, make_loader
from flash.data.process import Preprocess
from flash.data.stage import Stage
from flash.data.streams import AutoStream
from flash.data.table_parts import is_large_table, table_parts
from flash.data.tables import ReadOptions, Table, read_table

__all__ = [
    "PredictedBatch",
    "evaluating",
    "gather_rows",
    "parts_to_predict",
    "predict_batches",
    "table_to_predict",
]


@dataclass(frozen=True)
class PredictedBatch:
    """A batch with the network's output.

    Args:
        rows: The indices of the samples in the dataset or stream.
        inputs: The inputs of the network.
        targets: The targets; ``None`` if the dataset is for prediction.
        output: The output of the network.
    """

    rows: list[int]
    inputs: Any
    targets: Any
    output: Any


def parts_to_predict(
    raw: Any, preprocess: Preprocess, reading: ReadOptions, *, as_table: bool = False
) -> Iterator[Any]:
    """Yield what a preprocess loads in turn for an argument of ``predict``: the parts of a large table, or all of it.

    Args:
        raw: The argument.
        preprocess: It says whether the argument is the path of a table whose rows are samples.
        reading: How to read a table of text.
        as_table: Whether to read any table here.
    """
    is_table = preprocess.is_table_to_predict(raw)
    if is_table and is_large_table(raw) and "field" not in reading:
        yield from table_parts(raw, **reading)
    elif reading or (as_table and is_table):
        yield table_to_predict(raw, reading)
    else:
        yield raw


def table_to_predict(raw: Any, reading: ReadOptions) -> Table:
    """Read a table, with the folder that paths in its cells are relative to."""
    return replace(read_table(raw, **reading), folder=table_folder(raw))


def predict_batches(
    task: pl.LightningModule,
    dataset: AutoDataset | AutoStream,
    *,
    batch_size: int,
    num_workers: int = 0,
    by_length: bool = False,
    forward: Callable[[Any], Any] | None = None,
    precision: Any = None,
    track_gradients: bool = False,
) -> Iterator[PredictedBatch]:
    """Yield the batches of a dataset with the network's output, in eval mode, on the task's device.

    Args:
        task: The task.
        dataset: Samples of any stage; depending on the stage, batches have targets.
        batch_size: Number of samples per batch.
        num_workers: Number of worker processes.
        by_length: Whether to sort samples by length if the dataset has lengths.
        forward: The function to call with the inputs; by default the task.
        precision: Lightning's precision plugin of a run; by default floats are converted to the dtype of the weights.
        track_gradients: Whether to track gradients; otherwise the output is computed in inference mode.
    """
    hooks = dataset.hooks
    batches: Iterator[tuple[Sequence[int], Any]]
    if num_workers or isinstance(dataset, AutoStream):
        batches = _loaded(dataset, batch_size=batch_size, num_workers=num_workers, by_length=by_length)
    else:
        batches = batches_in_order(dataset, batch_size=batch_size, by_length=by_length)
    with evaluating(task):
        for rows, batch in batches:
            with torch.enable_grad() if track_gradients else torch.inference_mode():
                converted = batch if precision is None else precision.convert_input(batch)
                moved = hooks.transform_on_device(task.transfer_batch_to_device(converted, task.device, 0))
                inputs, targets = split_batch(moved, hooks.stage)
                if precision is None:
                    inputs = _to_precision_of(task, inputs)
                with nullcontext() if precision is None else precision.val_step_context():
                    output = (forward or task)(inputs)
            yield PredictedBatch(list(rows), inputs, targets, output)


def _loaded(dataset: AutoDataset | AutoStream, **options: Any) -> Iterator[tuple[Sequence[int], Any]]:
    """Yield the rows of each batch of a loader and the batch."""
    # In order, regardless of the stage.
    loader = make_loader(dataset, Stage.PREDICT, None, **options)
    # A stream has no indices except those of its order.
    places: Any = None if isinstance(dataset, AutoStream) else iter(loader.batch_sampler or ())
    seen = 0
    for batch in loader:
        rows = range(seen, seen + count_rows(batch)) if places is None else next(places)
        seen += len(rows)
        yield rows, batch


def gather_rows(
    batches: Iterable[PredictedBatch], values_of: Callable[[PredictedBatch], Mapping[str, Any]]
) -> dict[str, Tensor | None]:
    """Return values per sample of all batches, on the CPU, in the order of the samples.

    Args:
        batches: The batches, in any order; they are not held in memory.
        values_of: Returns the values of a batch by name, each of shape ``(batch,)`` or ``(batch, ...)``.

    Returns:
        The values by name, shape ``(samples, ...)``; ``None`` where they are no such tensor, or of several widths.

    Example:
        >>> batches = [PredictedBatch([row], None, None, torch.tensor([[2.0 * row]])) for row in (1, 0)]
        >>> gather_rows(batches, lambda batch: {"output": batch.output})["output"].tolist()
        [[0.0], [2.0]]
    """
    rows: list[int] = []
    kept: dict[str, list[Tensor] | None] = {}
    for batch in batches:
        rows += batch.rows
        with torch.inference_mode():
            found = values_of(batch)
        for name, value in found.items():
            values = kept.setdefault(name, [])
            is_per_row = isinstance(value, Tensor) and value.ndim > 0 and len(value) == len(batch.rows)
            if is_per_row and values is not None:
                values.append(value.detach().cpu())
            else:
                kept[name] = None
    order = torch.tensor(rows).argsort()
    return {name: _in_order(values, order) for name, values in kept.items()}


def _in_order(batches: list[Tensor] | None, order: Tensor) -> Tensor | None:
    if not batches or len({batch.shape[1:] for batch in batches}) > 1:
        return None
    return torch.cat(batches)[order].clone()


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Set a module to eval mode for the duration of the context, and restore the mode of each submodule."""
    training = [each for each in module.modules() if each.training]
    if training:
        module.eval()
    try:
        yield
    finally:
        for each in training:
            each.training = True


def _to_precision_of(module: nn.Module, inputs: Any) -> Any:
    """Convert floating-point inputs to the dtype of the weights, after a run in half or double precision."""
    precision = next((each.dtype for each in module.parameters() if each.is_floating_point()), None)
    if precision in (None, torch.get_default_dtype()):
        return inputs
    return tree_map(
        lambda each: each.to(precision) if isinstance(each, Tensor) and each.is_floating_point() else each, inputs
    )
