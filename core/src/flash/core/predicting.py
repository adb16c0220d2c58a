"""TaskPrediction: a task predicts raw inputs, or the batches of a trainer; the same for every domain."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import nn
from typing_extensions import Unpack

from flash.core.outputs import OutputSpec, find_output, resolve_output, takes_ids
from flash.core.prediction import PredictedBatch, parts_to_predict, predict_batches, table_to_predict
from flash.data.auto_dataset import AutoDataset
from flash.data.batch import count_rows, split_batch
from flash.data.loader import rows_of_batch, samples_of
from flash.data.process import Postprocess, Preprocess
from flash.data.samplers import restore_order
from flash.data.stage import Stage
from flash.data.streams import AutoStream, load_dataset
from flash.data.tables import READ_OPTIONS, ReadOptions, Table
from flash.errors import DataError
from flash.serialization import refuse_unknown_arguments

__all__ = ["TaskPrediction"]


class TaskPrediction:
    """Methods of a task that predict.

    How raw inputs become batches is said by the preprocess, and what the results are by the output.
    """

    # What it uses of flash.Task, which it is a part of.
    preprocess: Preprocess | None
    preprocess_cls: ClassVar[type[Preprocess]]
    preprocess_error: Exception | None
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
        dataset = self._dataset_to_predict(raw, reading)
        by_length = not (self.postprocess or Postprocess()).saves
        results: list[Any] = []
        rows: list[int] = []
        for batch, presented in self._predicted(dataset, output, batch_size, by_length):
            results += presented
            rows += batch.rows
        return restore_order(rows, results)

    def predict_each(
        self, raw: Any, output: OutputSpec | None = None, batch_size: int = 64, **reading: Unpack[ReadOptions]
    ) -> Iterator[tuple[Any, Any]]:
        """Yield the id and the result of each raw input, in their order, while batches are predicted.

        The results are not held in memory, and neither is a large table in a file; see
        :func:`flash.data.table_parts.is_large_table`. The arguments are those of :meth:`predict`.

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
        **reading: Unpack[ReadOptions],
    ) -> Iterator[tuple[Sequence[Any], list[Any]]]:
        """Yield the ids and the results of each batch of raw inputs, as :meth:`predict_each` does one by one.

        Args:
            raw: As for :meth:`predict`, and so are ``output``, ``batch_size`` and ``reading``.
            output: What is predicted.
            batch_size: Number of samples per batch.
            id_field: A column whose values are the ids, if ``raw`` is the path of a table that has it.
            reading: How to read a table of text.

        Example:
            >>> from flash import Task
            >>> task = Task(nn.Linear(2, 1))
            >>> [(list(rows), len(results)) for rows, results in task.predict_blocks(torch.zeros(3, 2), batch_size=2)]
            [([0, 1], 2), ([2], 1)]
        """
        self._warn_if_untrained()
        self._check_reading(reading, ["id_field"])
        preprocess = self._preprocess_to_predict()
        first = 0
        for part in parts_to_predict(raw, preprocess, reading, as_table=id_field is not None):
            has_ids = isinstance(part, Table) and id_field is not None and id_field in part
            given = part[id_field] if has_ids else None
            dataset = load_dataset(part, Stage.PREDICT, preprocess, self._as_task.input_spec)
            rows = 0
            for batch, presented in self._predicted(dataset, output, batch_size, by_length=False):
                if given is not None:
                    ids: Sequence[Any] = given[rows : rows + len(batch.rows)]
                else:
                    # Those that are rows of the part become rows of the whole.
                    ids = [first + each if type(each) is int else each for each in dataset.ids_of(batch.rows)]
                rows += len(batch.rows)
                yield ids, presented
            if given is not None and len(given) != rows:
                raise DataError(f"Expected one prediction per row of {raw}, but got {rows} for {len(given)} rows.")
            first += rows

    def _dataset_to_predict(self, raw: Any, reading: ReadOptions) -> AutoDataset | AutoStream:
        preprocess = self._preprocess_to_predict()
        self._check_reading(reading)
        raw = table_to_predict(raw, reading) if reading else raw
        return load_dataset(raw, Stage.PREDICT, preprocess, self._as_task.input_spec)

    def _preprocess_to_predict(self) -> Preprocess:
        if self.preprocess_error is not None and self.preprocess is None:
            raise self.preprocess_error
        preprocess = self.preprocess or self.preprocess_cls()
        preprocess.check_input_spec(self._as_task.input_spec)
        return preprocess

    def _check_reading(self, reading: ReadOptions, others: Sequence[str] = ()) -> None:
        taken = ["raw", "output", "batch_size", *others, *READ_OPTIONS]
        refuse_unknown_arguments(f"{type(self).__name__}.predict", reading, taken)

    def _predicted(
        self, dataset: AutoDataset | AutoStream, output: OutputSpec | None, batch_size: int, by_length: bool
    ) -> Iterator[tuple[PredictedBatch, list[Any]]]:
        """Yield each batch with one result per sample."""
        output = find_output(self._as_task, self._output if output is None else output)
        wants_ids = takes_ids(output)
        for batch in predict_batches(self._as_task, dataset, batch_size=batch_size, by_length=by_length):
            with torch.inference_mode():
                ids = dataset.ids_of(batch.rows) if wants_ids else None
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
