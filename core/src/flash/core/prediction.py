"""The prediction loop over a dataset, used by ``task.predict``, frozen features, evaluation and figures."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map
from typing_extensions import Unpack

from flash.core.outputs import OutputSpec, find_output, resolve_output, takes_ids
from flash.data.auto_dataset import AutoDataset
from flash.data.batch import count_rows, split_batch
from flash.data.folders import table_folder
from flash.data.loader import batches_in_order, check_count, make_loader, rows_of_batch, samples_of
from flash.data.process import Postprocess, Preprocess
from flash.data.samplers import restore_order
from flash.data.stage import Stage
from flash.data.streams import AutoStream, load_dataset
from flash.data.table_parts import table_parts
from flash.data.tables import READ_OPTIONS, ReadOptions, Table, is_large_table, read_table
from flash.errors import DataError, MissingColumnError
from flash.serialization import refuse_unknown_arguments

__all__ = [
    "PredictedBatch",
    "TaskPrediction",
    "evaluating",
    "gather_results",
    "gather_rows",
    "parts_to_predict",
    "predict_batches",
    "preprocess_of",
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


def preprocess_of(task: Any) -> Preprocess:
    """Return the preprocess of the raw inputs that a task predicts: that of its train data, or else its default.

    Args:
        task: The task.

    Raises:
        CheckpointError: If the task was loaded from a checkpoint whose preprocess cannot be restored.
        ConfigurationError: If the preprocess cannot make what the network needs.

    Example:
        >>> from flash import Task
        >>> type(preprocess_of(Task(nn.Linear(2, 1)))).__name__
        'Preprocess'
    """
    if task.preprocess_error is not None and task.preprocess is None:
        raise task.preprocess_error
    preprocess: Preprocess = task.preprocess or task.preprocess_cls()
    preprocess.check_input_spec(task.input_spec)
    return preprocess


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

    Raises:
        ConfigurationError: If ``batch_size`` is no whole number of at least 1.
    """
    check_count("batch_size", batch_size)
    hooks = dataset.hooks
    batches: Iterator[tuple[Sequence[int], Any]]
    if num_workers or isinstance(dataset, AutoStream):
        batches = _loaded(dataset, batch_size=batch_size, num_workers=num_workers, by_length=by_length)
    else:
        batches = batches_in_order(dataset, batch_size=batch_size, by_length=by_length)
    modules = _modules_of(task)
    with _evaluating(task, modules):
        for rows, batch in batches:
            with torch.enable_grad() if track_gradients else torch.inference_mode():
                converted = batch if precision is None else precision.convert_input(batch)
                moved = hooks.transform_on_device(task.transfer_batch_to_device(converted, task.device, 0))
                inputs, targets = split_batch(moved, hooks.stage)
                if precision is None:
                    inputs = _to_precision_of(modules, inputs)
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


def gather_results(
    batches: Iterable[PredictedBatch], results_of: Callable[[PredictedBatch], Iterable[Any]]
) -> list[Any]:
    """Return a result per sample of all batches, of any type, in the order of the samples.

    Args:
        batches: The batches, in any order; they are not held in memory.
        results_of: Returns the results of a batch, one per sample.

    Example:
        >>> batches = [PredictedBatch([row], None, None, torch.tensor([row])) for row in (1, 0)]
        >>> gather_results(batches, lambda batch: [f"row {each}" for each in batch.output.tolist()])
        ['row 0', 'row 1']
    """
    found: dict[int, Any] = {}
    for batch in batches:
        found.update(zip(map(int, batch.rows), results_of(batch), strict=True))
    return [found[row] for row in range(len(found))]


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
    with _evaluating(module, _modules_of(module)):
        yield


@contextmanager
def _evaluating(module: nn.Module, modules: Sequence[nn.Module]) -> Iterator[None]:
    training = [each for each in modules if each.training]
    if training:
        module.eval()
    try:
        yield
    finally:
        for each in training:
            each.training = True


def _modules_of(module: nn.Module) -> list[nn.Module]:
    """Return what ``module.modules()`` yields, in a tenth of the time, which is that of a small network for one row."""
    # A dict keeps the order, and each module once.
    found: dict[int, nn.Module] = {}
    waiting = [module]
    while waiting:
        each = waiting.pop()
        if id(each) in found:
            continue
        found[id(each)] = each
        if each._modules:
            waiting += [child for child in reversed(each._modules.values()) if child is not None]
    return list(found.values())


def _to_precision_of(modules: Sequence[nn.Module], inputs: Any) -> Any:
    """Convert floating-point inputs to the dtype of the weights, after a run in half or double precision."""
    parameters = (each for part in modules if part._parameters for each in part._parameters.values())
    precision = next((each.dtype for each in parameters if each is not None and each.is_floating_point()), None)
    if precision in (None, torch.get_default_dtype()):
        return inputs
    return tree_map(
        lambda each: each.to(precision) if isinstance(each, Tensor) and each.is_floating_point() else each, inputs
    )


def _ids_in(part: Any, id_field: str | None, needs_ids: bool) -> Sequence[Any] | None:
    """Return the ids in a column of a table; ``None`` without such a column."""
    if not isinstance(part, Table) or id_field is None or not (needs_ids or id_field in part):
        return None
    try:
        return part[id_field]
    except MissingColumnError as error:
        raise MissingColumnError(
            f"{error.args[0]} The ids are its values: name another column, or none, for which the ids are the numbers "
            "of the rows, counted from 0 (flash predict --columns id,NAME)."
        ) from error


def _ids_in_whole(dataset: AutoDataset | AutoStream, rows: Sequence[int], first: int) -> list[Any]:
    """Return the ids of samples of a part; rows of the part, whose first is ``first``, become rows of the whole."""
    return [first + each if type(each) is int else each for each in dataset.ids_of(rows)]


class TaskPrediction:
    """Methods of a task that predict.

    How raw inputs become batches is said by the preprocess, and what the results are by the output.
    """

    # What it uses of flash.Task, which it is a part of.
    preprocess: Preprocess | None
    postprocess: Postprocess | None
    _output: OutputSpec | None
    _has_trained: bool

    @property
    def _as_task(self) -> Any:
        # Type checkers do not know here that it is a flash.Task.
        return self

    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> list[Any]:
        """Return one result per sample of a batch, in the selected output."""
        trainer: Any = self._as_task._trainer
        loaders = None if trainer is None else trainer.predict_dataloaders
        loader = loaders[dataloader_idx] if isinstance(loaders, list | tuple) else loaders
        samples = samples_of(loader)
        if loader is None or samples is None:
            inputs, _ = self._as_task.split_batch(batch, Stage.PREDICT)
            return self.present(self._as_task(inputs), self._output, inputs)
        inputs, _ = split_batch(batch, samples.hooks.stage)
        ids = None
        if takes_ids(find_output(self._as_task, self._output)):
            ids = [samples.id_of(row) for row in rows_of_batch(loader, batch_idx, count_rows(batch))]
        return self.present(self._as_task(inputs), self._output, inputs, ids)

    def present(
        self, predictions: Any, output: OutputSpec | None = None, inputs: Any = None, ids: Any = None
    ) -> list[Any]:
        """Convert the network's output for a batch to a list with one result per sample.

        Args:
            predictions: The return value of ``forward``.
            output: A name from ``available_outputs()``, a callable, or ``None`` for the default.
            inputs: The inputs of the batch, for an output that takes them.
            ids: The ids of the samples, for an output that takes them.
        """
        postprocess = self.postprocess or Postprocess()
        return postprocess(predictions, resolve_output(self._as_task, output, inputs, ids))

    def predict(
        self, raw: Any, output: OutputSpec | None = None, batch_size: int = 64, **reading: Unpack[ReadOptions]
    ) -> list[Any]:
        """Predict raw inputs, prepared by the preprocess that the task was trained with.

        A large table in a file is read and predicted part by part, so that the results alone are in memory; see
        :func:`flash.data.tables.is_large_table`.

        Args:
            raw: The argument of the preprocess's ``predict_load_data``: a table, a list of files, an array, ...
            output: A name from ``available_outputs()``; a callable that takes a batch of predictions, and, if it has
                parameters ``inputs`` and ``ids``, the inputs of the batch and the ids of its samples; or ``None`` for
                :attr:`output`, else the task's default.
            batch_size: Number of samples per batch.
            reading: How to read a table of text, if ``raw`` is its path or URL: ``sep``, ``encoding``, ``quotechar``.

        Returns:
            One result per input, in their order.

        Example:
            >>> from flash import Task
            >>> task = Task(nn.Linear(2, 1))
            >>> [result.shape for result in task.predict(torch.zeros(2, 2), output="raw")]
            [torch.Size([1]), torch.Size([1])]
            >>> task.predict(torch.zeros(2, 2), output=lambda predictions, ids: [f"row {each}" for each in ids])
            ['row 0', 'row 1']
        """
        self._warn_if_untrained()
        self._check_reading(reading)
        preprocess = preprocess_of(self)
        by_length = not (self.postprocess or Postprocess()).saves
        results: list[Any] = []
        for part in parts_to_predict(raw, preprocess, reading):
            dataset = load_dataset(part, Stage.PREDICT, preprocess, self._as_task.input_spec)
            found: list[Any] = []
            rows: list[int] = []
            for batch, presented in self._predicted(dataset, output, batch_size, by_length, first=len(results)):
                found += presented
                rows += batch.rows
            results += restore_order(rows, found)
        return results

    def predict_each(
        self, raw: Any, output: OutputSpec | None = None, batch_size: int = 64, **reading: Unpack[ReadOptions]
    ) -> Iterator[tuple[Any, Any]]:
        """Yield the id and the result of each raw input, in their order, while batches are predicted.

        The results are not held in memory, and neither is a large table in a file; see
        :func:`flash.data.tables.is_large_table`. The arguments are those of :meth:`predict`.

        Yields:
            The file of the sample, or its row, counted from 0; and its result.

        Example:
            >>> from flash import Task
            >>> task = Task(nn.Linear(2, 1))
            >>> [row for row, result in task.predict_each(torch.zeros(3, 2), batch_size=2)]
            [0, 1, 2]
        """
        for ids, results in self.predict_blocks(raw, output, batch_size, **reading):
            yield from zip(ids, results, strict=True)

    def predict_blocks(
        self,
        raw: Any,
        output: OutputSpec | None = None,
        batch_size: int = 64,
        *,
        id_field: str | None = None,
        needs_ids: bool = False,
        start: int = 0,
        **reading: Unpack[ReadOptions],
    ) -> Iterator[tuple[Sequence[Any], list[Any]]]:
        """Yield the ids and the results of each batch of raw inputs, as :meth:`predict_each` does one by one.

        Args:
            raw: As for :meth:`predict`, and so are ``output``, ``batch_size`` and ``reading``.
            output: What is predicted.
            batch_size: Number of samples per batch.
            id_field: A column whose values are the ids, if ``raw`` is the path of a table that has it.
            needs_ids: Whether a table without that column is an error; otherwise the ids are its rows, or files.
            start: The first sample to predict, counted from 0; those before are left out.
            reading: How to read a table of text.

        Raises:
            MissingColumnError: If the table has no such column and ``needs_ids``.

        Example:
            >>> from flash import Task
            >>> task = Task(nn.Linear(2, 1))
            >>> [(list(rows), len(results)) for rows, results in task.predict_blocks(torch.zeros(3, 2), batch_size=2)]
            [([0, 1], 2), ([2], 1)]
        """
        self._warn_if_untrained()
        self._check_reading(reading, ["id_field", "needs_ids", "start"])
        preprocess = preprocess_of(self)
        first = 0
        for part in parts_to_predict(raw, preprocess, reading, as_table=id_field is not None):
            given = _ids_in(part, id_field, needs_ids)
            dataset = load_dataset(part, Stage.PREDICT, preprocess, self._as_task.input_spec)
            rows = 0
            if start > first and isinstance(dataset, AutoDataset):
                rows = min(start - first, len(dataset))
                dataset = dataset.subset(range(rows, len(dataset)), Stage.PREDICT)
            for batch, presented in self._predicted(dataset, output, batch_size, by_length=False, first=first):
                if given is not None:
                    ids: Sequence[Any] = given[rows : rows + len(batch.rows)]
                else:
                    ids = _ids_in_whole(dataset, batch.rows, first)
                rows += len(batch.rows)
                # A stream has to be read from its beginning.
                left_out = len(ids) - min(max(first + rows - start, 0), len(ids))
                if left_out < len(ids):
                    yield (ids[left_out:], presented[left_out:]) if left_out else (ids, presented)
            if given is not None and len(given) != rows:
                raise DataError(f"Expected one prediction per row of {raw}, but got {rows} for {len(given)} rows.")
            first += rows

    def _check_reading(self, reading: ReadOptions, others: Sequence[str] = ()) -> None:
        taken = ["raw", "output", "batch_size", *others, *READ_OPTIONS]
        refuse_unknown_arguments(f"{type(self).__name__}.predict", reading, taken)

    def _predicted(
        self,
        dataset: AutoDataset | AutoStream,
        output: OutputSpec | None,
        batch_size: int,
        by_length: bool,
        first: int = 0,
    ) -> Iterator[tuple[PredictedBatch, list[Any]]]:
        """Yield each batch with one result per sample; the samples are those of a whole from ``first`` on."""
        output = find_output(self._as_task, self._output if output is None else output)
        wants_ids = takes_ids(output)
        for batch in predict_batches(self._as_task, dataset, batch_size=batch_size, by_length=by_length):
            with torch.inference_mode():
                ids = _ids_in_whole(dataset, batch.rows, first) if wants_ids else None
                presented = self.present(batch.output, output, batch.inputs, ids)
            yield batch, presented

    def on_predict_start(self) -> None:
        """Warn if the head was never trained."""
        self._warn_if_untrained()

    def _warn_if_untrained(self) -> None:
        """Warn before predictions of a head whose weights are still random."""
        head = getattr(self, "head", None)
        parameters = list(head.parameters()) if isinstance(head, nn.Module) else []
        # A loop of the user's own, which calls no hook, leaves gradients.
        if parameters and not self._has_trained and all(each.grad is None for each in parameters):
            warnings.warn(
                f"Expected this {type(self).__name__} to be trained or loaded before it predicts, but its head has "
                "random weights, and so its predictions are random. Train it with trainer.fit(task, datamodule), or "
                f"load a checkpoint with {type(self).__name__}.load_from_checkpoint(path).",
                stacklevel=3,
            )

    @property
    def output(self) -> OutputSpec | None:
        """The output of predictions for which none is chosen; ``None`` is the task's default."""
        return self._output

    @output.setter
    def output(self, output: OutputSpec | None) -> None:
        find_output(self._as_task, output)
        self._output = output
