"""Export: what of a task goes into a file for another runtime; plugins write the file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from flash.core.prediction import evaluating, preprocess_of
from flash.data.portable import InputSpecs, Portable, Sizes, TensorSpec, make_inputs, open_dimensions
from flash.data.process import Postprocess
from flash.data.stage import Stage
from flash.errors import ConfigurationError, PluginError
from flash.plugins import get_host
from flash.serialization import refuse_unknown_arguments

__all__ = ["Arrays", "ExportedPart", "InferenceNetwork", "TaskExport", "as_float", "portable_of", "to_json_labels"]


#: The outputs of a network by name, as numpy arrays.
Arrays: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class ExportedPart:
    """A network of a task that becomes one file.

    Args:
        module: Takes the tensors of ``inputs`` in their order, and returns a tuple of tensors in the order of
            ``outputs``.
        inputs: What the inputs are.
        outputs: The names of the outputs.
        scale: The unit in which a difference of outputs is small or large: 1 for probabilities, the standard deviation
            of the targets for numbers. One for all outputs, or one for each by its name.
        sizes: The sizes of the open dimensions, if they cannot be of any size: first those that the network is traced
            with, then at least one that its file is compared at.
        reference: The network that the file is compared with, if ``module`` computes the same in another way.
        align: Brings the outputs of the task and of the file, in this order, into one form before they are compared,
            if samples have outputs of different sizes. What it leaves different in shape is an error.
    """

    module: nn.Module
    inputs: InputSpecs
    outputs: tuple[str, ...]
    scale: float | Mapping[str, float] = 1.0
    sizes: tuple[Sizes, ...] = ()
    reference: nn.Module | None = None
    align: Callable[[Arrays, Arrays], tuple[Arrays, Arrays]] | None = None

    def scale_of(self, output: str) -> float:
        """Return the unit of an output."""
        return self.scale[output] if isinstance(self.scale, Mapping) else self.scale


class InferenceNetwork(nn.Module):
    """The hooks of the device, the network, and the conversion of its output, as one module.

    Args:
        task: The task.
        inputs: What the inputs are.

    Example:
        >>> from flash import Task
        >>> network = InferenceNetwork(Task(nn.Linear(2, 1)), TensorSpec("float32", ("batch", 2)))
        >>> [each.shape for each in network(torch.zeros(3, 2))]
        [torch.Size([3, 1])]
    """

    def __init__(self, task: Any, inputs: InputSpecs) -> None:
        super().__init__()
        self.task = task
        self._names = None if isinstance(inputs, TensorSpec) else list(inputs)
        self._hooks = preprocess_of(task).stage_hooks(Stage.PREDICT, task.input_spec)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs for the inputs of a batch."""
        return tuple(self.named_outputs(*tensors).values())

    def named_outputs(self, *tensors: Tensor) -> dict[str, Tensor]:
        """Return the outputs with their names."""
        inputs = tensors[0] if self._names is None else dict(zip(self._names, tensors, strict=True))
        predictions = self.task(self._hooks.transform_on_device(inputs))
        outputs: dict[str, Tensor] = self.task.exported_outputs(predictions)
        return outputs


class TaskExport:
    """The export of a task, a part of :class:`flash.Task`."""

    def export(self, folder: str | Path, format: str = "pt2", inputs: Any = None, **options: Any) -> Path:
        """Write the network for another runtime into a new folder, with all that is needed beside it.

        The formats are those of plugins, such as ``pt2`` and ``onnx`` of flash-export.

        Args:
            folder: The folder, which must not exist yet, or be empty.
            format: A name that ``flash components exporters`` lists.
            inputs: A batch of inputs as the network takes them, if the preprocess does not say what they are.
            options: The options of the format, such as ``quantize=True`` of ``onnx``.

        Returns:
            The folder.

        Raises:
            ExportError: If the network cannot be exported, or the file disagrees with the task.
            PluginError: If no plugin has exporters.
            UnknownArgumentError: If the format has no such option.
            UnknownNameError: If there is no such format.
        """
        host = get_host()
        task: Any = self
        found = host.exporters(host.task_name(type(self)) or "*")
        if not found:
            reason = host.explain_missing("exporter", format, domain="export")
            raise PluginError(
                f"Expected a plugin that exports tasks as {format!r}, but there is none. {reason or ''}".rstrip()
            )
        exporter = found[format].load()
        parameters = inspect.signature(exporter).parameters.values()
        if not any(each.kind is each.VAR_KEYWORD for each in parameters):
            taken = [each.name for each in parameters][2:]
            refuse_unknown_arguments(f"task.export(format={format!r})", options, taken)
        written: Path = exporter(task, folder, inputs=inputs, **options)
        return written

    def exported_outputs(self, predictions: Any) -> dict[str, Tensor]:
        """Return what an exported network returns, given the return value of ``forward``: tensors by name.

        The default are the predictions. Override it to return what a user of the file needs, such as probabilities.

        Raises:
            ConfigurationError: If the predictions are neither a tensor nor a mapping of tensors.
        """
        named = {"output": predictions} if isinstance(predictions, Tensor) else predictions
        if isinstance(named, Mapping) and all(isinstance(each, Tensor) for each in named.values()):
            return {name: as_float(each) for name, each in named.items()}
        raise ConfigurationError(
            f"Expected predictions that are a tensor, or a dict of tensors, but {type(self).__name__}.forward returned "
            f"a {type(predictions).__name__}. Override {type(self).__name__}.exported_outputs, or exported_parts."
        )

    def exported_result(self) -> dict[str, Any]:
        """Return what turns the outputs of an exported network into results, as JSON can hold it.

        ``"kind"`` is ``"classes"``, ``"numbers"``, ``"raw"`` (one array per sample), or one that the encoder of the
        domain knows.
        """
        return {"kind": "raw"}

    def exported_parts(self, inputs: InputSpecs) -> dict[str, ExportedPart]:
        """Return the networks that become files, by the name of the file; by default one, ``"model"``.

        Override it if a task has several networks, such as an encoder and a decoder.

        Args:
            inputs: What the inputs of the network are, before the hooks of the device.
        """
        task: Any = self
        network = InferenceNetwork(task, inputs)
        sizes = dict.fromkeys(open_dimensions(inputs), 2)
        with evaluating(network), torch.no_grad():
            names = tuple(network.named_outputs(*make_inputs(inputs, sizes)))
        return {"model": ExportedPart(network, inputs, names, self.exported_scale())}

    def exported_encoder(self, portable: Portable) -> Portable:
        """Return what the preprocess says of itself, as far as it holds for this task.

        By default there is no encoder if a postprocess changes results, which no file does; it may save them.

        Args:
            portable: What the preprocess says.
        """
        postprocess = getattr(self, "postprocess", None)
        hooks = ("__call__", "per_batch_transform", "uncollate", "per_sample_transform")
        changes = any(getattr(type(postprocess), name, None) is not getattr(Postprocess, name) for name in hooks)
        if portable.encoder is None or postprocess is None or not changes:
            return portable
        known = f"{type(postprocess).__name__} changes results in a way that the file does not"
        return replace(portable, encoder=None, reason=known)

    def exported_scale(self) -> float:
        """Return the unit in which a difference of outputs is small or large; by default 1."""
        return 1.0


def as_float(tensor: Tensor) -> Tensor:
    """Return a tensor of half precision in single precision, and any other unchanged.

    Example:
        >>> as_float(torch.zeros(1, dtype=torch.bfloat16)).dtype
        torch.float32
    """
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def portable_of(task: Any) -> Portable:
    """Return what the preprocess of a task says of itself for use without Flash, as far as it holds for the task.

    Args:
        task: The task.
    """
    hooks = preprocess_of(task).stage_hooks(Stage.PREDICT, task.input_spec)
    found: Portable = task.exported_encoder(hooks.portable())
    return found


def to_json_labels(labels: Sequence[Any]) -> list[Any]:
    """Return the names of classes as JSON can hold them: text, numbers and truth values as they are.

    Example:
        >>> to_json_labels(["ants", 1, (2, 3)])
        ['ants', 1, '(2, 3)']
    """
    return [label if isinstance(label, str | int | float | bool) else str(label) for label in labels]
