"""Store the weights of an ONNX file as 8-bit integers, and measure what that changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from operator import eq, ne
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from flash import DataModule, Task
from flash.core.export import ExportedPart
from flash.data.batch import split_batch
from flash.data.loader import batches_in_order
from flash.data.portable import make_inputs, named_specs
from flash.data.stage import Stage
from flash.errors import ConfigurationError, ExportError

from .agreement import expected_outputs
from .formats import Format, quiet
from .standalone.predict import classes
from .tracing import reason_of, sizes_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Quantization"]

# Random batches that a file is measured on without data, and their sizes.
_BATCHES, _SAMPLES, _OTHER = 8, 16, 12
# Batches of data that are enough to tell accuracies apart.
_MOST_BATCHES = 64


class Quantization:
    """A :class:`flash.export.folder.Change`: the weights of matrix products become 8-bit integers.

    Args:
        data: A data module, on whose validation samples, or else test samples, the change is measured.

    Raises:
        ConfigurationError: If it has neither.
    """

    def __init__(self, data: DataModule | None = None) -> None:
        self._dataset: Any = None
        if data is not None:
            datasets = (data.val_dataset, data.test_dataset)
            self._dataset = next((each for each in datasets if each is not None), None)
            if self._dataset is None:
                raise ConfigurationError(
                    "Expected data with validation or test samples, on which the change is measured, but it has "
                    "neither. Make it with val_split=0.2, or leave it out."
                )

    def apply(self, task: Task, part: ExportedPart, path: Path, format: Format) -> dict[str, Any]:
        """Quantize the file, and return what that changes, as JSON can hold it.

        Raises:
            ExportError: If the runtime cannot quantize it, or run what comes out.
        """
        if part.align is not None:
            raise ExportError(
                "Expected a network with outputs of one shape for each sample, whose change can be measured, but a "
                f"{type(task).__name__} has outputs of several sizes. Leave out quantize=True."
            )
        whole = path.with_name(f"{path.name}.whole")
        path.rename(whole)
        try:
            return self._apply(task, part, whole, path, format)
        finally:
            whole.unlink()

    def _apply(self, task: Task, part: ExportedPart, whole: Path, path: Path, format: Format) -> dict[str, Any]:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        try:
            with quiet():
                quantize_dynamic(whole, path, weight_type=QuantType.QInt8)
            run = format.runner_module.load(str(path), list(named_specs(part.inputs)), list(part.outputs))
            measured = self._measure(task, part, run)
        except OSError:
            raise
        # The runtime raises errors of many types for a network that it cannot quantize.
        except Exception as error:
            raise ExportError(
                f"Expected a network whose weights ONNX Runtime can quantize, but it cannot: {reason_of(error)}. Leave "
                "out quantize=True."
            ) from error
        sizes = {"bytes": path.stat().st_size, "bytes_before": whole.stat().st_size}
        return {"weights": "int8", **sizes, **measured}

    def _measure(self, task: Task, part: ExportedPart, run: Callable[[Mapping[str, Any]], Any]) -> dict[str, Any]:
        result = task.exported_result()
        is_classes = result["kind"] == "classes"
        largest, rows, changed, right, right_before, known = 0.0, 0, 0, 0, 0, 0
        for tensors, targets in self._batches(task, part):
            names = list(named_specs(part.inputs))
            got = run({name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)})
            expected = expected_outputs(part, tensors)
            largest = max(largest, *(float(np.abs(expected[name] - got[name]).max()) for name in expected))
            rows += len(tensors[0])
            if not is_classes:
                continue
            # What predict.py of the folder says.
            before, after = (classes(each["probabilities"], result, "classes") for each in (expected, got))
            changed += _count(map(ne, before, after))
            if targets is not None:
                truth = np.asarray(targets).tolist()
                if result["multi_label"]:
                    truth = [np.flatnonzero(row).tolist() for row in truth]
                known += len(truth)
                right += _count(map(eq, after, truth))
                right_before += _count(map(eq, before, truth))
        shares = {"changed_predictions": changed / rows} if is_classes else {}
        if known:
            shares |= {"accuracy": right / known, "accuracy_before": right_before / known}
        return {
            "measured_on": "random inputs" if self._uses_random(part) else f"{rows} samples of the {self._stage} data",
            "largest_difference": largest,
            **shares,
        }

    @property
    def _stage(self) -> str:
        stage: Stage = self._dataset.hooks.stage
        return stage.value

    def _uses_random(self, part: ExportedPart) -> bool:
        # Only the first network of several takes the inputs of samples.
        return self._dataset is None or "hidden" in named_specs(part.inputs)

    def _batches(self, task: Task, part: ExportedPart) -> Iterator[tuple[list[torch.Tensor], Any]]:
        """Yield inputs before the hooks of the device, and targets if there are any."""
        if self._uses_random(part):
            for seed in range(_BATCHES):
                yield make_inputs(part.inputs, sizes_of(part, _SAMPLES, _OTHER), 100 + seed), None
            return
        dataset = self._dataset.with_input_spec(task.input_spec)
        for _, batch in islice(batches_in_order(dataset, batch_size=_SAMPLES), _MOST_BATCHES):
            inputs, targets = split_batch(batch, dataset.hooks.stage)
            # Some inputs, such as the sizes of images before they were resized, are for results alone.
            names = named_specs(part.inputs)
            yield [inputs[name] for name in names] if isinstance(inputs, Mapping) else [inputs], targets


def _count(truths: Iterable[bool]) -> int:
    return sum(map(int, truths))
