"""Losses and metrics of one stage, accumulated cheaply in each step and computed once per epoch."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torchmetrics import MeanMetric, Metric

from flash.core.registry import ComponentRegistry, Registry
from flash.errors import ConfigurationError
from flash.serialization import call_with

__all__ = ["MetricSpec", "StageMetrics", "metric_registry", "named_metrics", "weight_of_loss"]

# A call of a metric object costs about as much as a whole step of a small network: it is called for many steps at once.
_ROWS_AT_ONCE = 8192
_VALUES_AT_ONCE = 2**20
_STEPS_AT_ONCE = 256
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


_Metric: TypeAlias = str | Callable[..., Any] | tuple[str, Mapping[str, Any]]

#: Metrics: a torchmetrics object, a callable ``(predictions, targets) -> number``, a name, or a pair of a name and
#: arguments; or several, as a list, or as a mapping by the names that they are logged by.
MetricSpec: TypeAlias = _Metric | Sequence[_Metric] | Mapping[str, _Metric]

#: Metrics by name: those of torchmetrics, of plugins, and registered ones.
metric_registry = ComponentRegistry("metric", "metrics")


def named_metrics(
    metrics: MetricSpec | None, known: Mapping[str, Any] | None = None, registry: Registry = metric_registry
) -> dict[str, Callable[..., Any]]:
    """Return the metrics by the names that they are logged by.

    Args:
        metrics: A torchmetrics object, a callable ``(predictions, targets) -> number``, a name such as ``"f1"``, or
            ``("f1", {"average": "weighted"})``; or several, as a list, or as a dict by name. Unnamed ones are named
            after their class or function: ``MulticlassAccuracy`` is ``accuracy``, ``MeanSquaredError`` is
            ``mean_squared_error``.
        known: Arguments that the task knows, such as ``num_classes``. A metric that is selected by name receives those
            that it has parameters for.
        registry: The registry to look names up in.

    Raises:
        ConfigurationError: If a metric is not callable, two have the same name, or a required argument is not known.
        UnknownNameError: If a name is not registered.

    Example:
        >>> from torchmetrics import MeanSquaredError
        >>> list(named_metrics([MeanSquaredError(), torch.nn.functional.l1_loss]))
        ['mean_squared_error', 'l1_loss']
        >>> named_metrics(["accuracy", "f1"], {"num_classes": 3, "task": "multiclass"})["f1"]
        MulticlassF1Score()
    """
    if metrics is None:
        return {}
    named: list[tuple[str, Any]]
    if isinstance(metrics, Mapping | nn.ModuleDict):
        named = [(str(name), metric) for name, metric in metrics.items()]
    elif isinstance(metrics, Sequence | nn.ModuleList) and not _is_name(metrics):
        named = [(_name_of(metric), metric) for metric in metrics]
    else:
        named = [(_name_of(metrics), metrics)]
    named = [(name, _made(metric, known or {}, registry) if _is_name(metric) else metric) for name, metric in named]
    result: dict[str, Callable[..., Any]] = {}
    for name, metric in named:
        if isinstance(metric, type) or not callable(metric):
            raise ConfigurationError(
                f"Expected metrics to be torchmetrics objects or callables, but got {metric!r}. "
                "A metric class must be called: Accuracy(task='binary'), not Accuracy."
            )
        if name in result:
            raise ConfigurationError(
                f"Expected metrics with different names, but two are called {name!r}. "
                "Pass them as a dict: {'accuracy_top1': ..., 'accuracy_top5': ...}."
            )
        result[name] = metric
    return result


def _is_name(metric: Any) -> bool:
    """Return whether a metric is selected by name: ``"f1"``, or ``("f1", {"average": "macro"})``."""
    pair = isinstance(metric, tuple | list) and len(metric) == 2 and isinstance(metric[1], dict)
    return isinstance(metric, str) or (pair and isinstance(metric[0], str))


def _made(choice: Any, known: Mapping[str, Any], registry: Registry) -> Any:
    name, kwargs = (choice, {}) if isinstance(choice, str) else choice
    factory = registry.get(name)
    parameters = inspect.signature(factory).parameters
    arguments = {key: value for key, value in known.items() if key in parameters} | kwargs
    lacking = [
        each.name
        for each in parameters.values()
        if each.default is each.empty and each.name not in arguments and each.kind not in _VARIADIC
    ]
    if lacking:
        raise ConfigurationError(
            f"Expected a task that knows {', '.join(lacking)} for the metric {name!r}, but this one does not. Write "
            f"metrics=({name!r}, {{{lacking[0]!r}: ...}}), or pass the metric as an object."
        )
    refusals = (TypeError, ValueError)
    return call_with(f"the metric {name!r}", factory, keywords=kwargs, known=arguments, refusals=refusals)


def _name_of(metric: Any) -> str:
    if _is_name(metric):
        return str(metric if isinstance(metric, str) else metric[0]).rpartition("/")[2]
    name = getattr(metric, "__name__", None) or type(metric).__name__
    name = re.sub("^(Binary|Multiclass|Multilabel)(?=[A-Z])", "", name)
    return re.sub("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class StageMetrics(nn.Module):
    """The mean loss and the metrics of one stage.

    Steps are buffered and passed to the metrics in blocks of some thousand rows. A torchmetrics object computes
    over all rows, so this changes no result; a plain callable is computed per block, and its values are
    averaged, weighted by the numbers of rows of the blocks.

    Args:
        metrics: As in :func:`named_metrics`; torchmetrics objects are copied.

    Example:
        >>> metrics = StageMetrics({"mae": torch.nn.functional.l1_loss})
        >>> metrics.update(torch.tensor(0.5), torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
        >>> {name: float(value) for name, value in metrics.compute().items()}
        {'loss': 0.5, 'mae': 1.0}
    """

    def __init__(self, metrics: Any = None) -> None:
        super().__init__()
        named = named_metrics(metrics)
        # Prefixes, since a ModuleDict cannot have keys such as "train" or "keys".
        self.objects: Any = nn.ModuleDict(
            {f"metric_{name}": copy.deepcopy(metric) for name, metric in named.items() if isinstance(metric, Metric)}
        )
        self.functions = {name: metric for name, metric in named.items() if not isinstance(metric, Metric)}
        self.means: Any = nn.ModuleDict({f"mean_{name}": MeanMetric() for name in ("loss", *self.functions)})
        #: Values of the last :meth:`compute` by name, with those that are not numbers, such as a confusion matrix.
        self.values: dict[str, Any] = {}
        #: Names in the result of :meth:`compute` that are single elements of a vector, such as the score of one class.
        self.elements: set[str] = set()
        self._order = list(named)
        self._logged: list[str] = []
        self._losses: list[tuple[Tensor, Tensor | float]] = []
        self._steps: list[tuple[Tensor, Tensor]] = []
        self._rows = self._values = 0

    def update(
        self,
        loss: Tensor | None,
        predictions: Any = None,
        targets: Any = None,
        *,
        rows: int = 1,
        weight: Tensor | float | None = None,
    ) -> None:
        """Accumulate the loss, predictions and targets of one step.

        Args:
            loss: A scalar, or ``None``.
            predictions: The network's output, shape ``(batch, ...)``, or another input of the metrics.
            targets: The targets, shape ``(batch, ...)``.
            rows: Number of samples in the step, the weight of the value of a plain callable.
            weight: Weight of the loss in the mean; by default ``rows``.
        """
        if loss is not None:
            self._losses.append((loss.detach(), rows if weight is None else weight))
        if predictions is not None and self._order:
            self._collect(predictions, targets, rows)
        if len(self._losses) >= _STEPS_AT_ONCE:
            self.flush()

    def higher_is_better(self, name: str) -> bool | None:
        """Return whether higher is better for a value of :meth:`compute`; ``None`` if it is not known.

        Args:
            name: The name of the value, such as ``"accuracy"``, or ``"map_50"`` of a metric ``"map"``.
        """
        if name == "loss":
            return False
        owner = max((each for each in self._order if f"{name}_".startswith(f"{each}_")), key=len, default="")
        objects = dict(self.objects.items())
        higher: bool | None = getattr(objects.get(f"metric_{owner}"), "higher_is_better", None)
        return higher

    def log(self, name: str, value: Any, rows: int) -> None:
        """Accumulate an additional value of a step, whose mean over all samples :meth:`compute` returns.

        Args:
            name: The name of the value.
            value: A mean over the samples of the step.
            rows: Number of samples in the step.

        Raises:
            ConfigurationError: If a metric has the same name.
        """
        if name == "loss" or name in self._order:
            raise ConfigurationError(f"Expected names in logs that no metric has, but got {name!r}.")
        value = torch.as_tensor(value).detach().float()
        if name not in self._logged:
            self._logged.append(name)
            self.means[f"mean_{name}"] = MeanMetric().to(value.device)
        self.means[f"mean_{name}"].update(value, rows)

    def _collect(self, predictions: Any, targets: Any, rows: int) -> None:
        if not isinstance(predictions, Tensor) or not isinstance(targets, Tensor) or not predictions.ndim:
            self._update_metrics(predictions, targets, rows)
            return
        self._steps.append((predictions.detach(), targets.detach()))
        self._rows += rows
        self._values += predictions.numel()
        if self._rows >= _ROWS_AT_ONCE or self._values >= _VALUES_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Update the metrics with the buffered steps."""
        if self._losses:
            losses, weights = zip(*self._losses, strict=True)
            total = torch.stack([torch.as_tensor(weight, device=losses[0].device).float() for weight in weights])
            self.means["mean_loss"].update(torch.stack(losses).float(), total)
            self._losses = []
        steps, self._steps, self._rows, self._values = self._steps, [], 0, 0
        if len({(predictions.shape[1:], targets.shape[1:]) for predictions, targets in steps}) > 1:
            for predictions, targets in steps:
                self._update_metrics(predictions, targets, len(predictions))
        elif steps:
            predictions, targets = (torch.cat(parts) for parts in zip(*steps, strict=True))
            self._update_metrics(predictions, targets, len(predictions))

    def _update_metrics(self, predictions: Any, targets: Any, rows: int) -> None:
        with torch.no_grad():
            for metric in self.objects.values():
                metric.update(predictions, targets)
            for name, function in self.functions.items():
                value = torch.as_tensor(function(predictions, targets)).float()
                if value.numel() > 1 and value.shape != (rows,):
                    raise ConfigurationError(
                        f"Expected the metric {name!r} to return a number, or one per sample, as it is a function and "
                        f"its values are averaged, but got shape {tuple(value.shape)} for {rows} samples. Return its "
                        "mean, or pass a torchmetrics object, which may have several values."
                    )
                self.means[f"mean_{name}"].update(value, rows if value.numel() == 1 else 1)

    def compute(self, names: Sequence[Any] | None = None) -> dict[str, Tensor]:
        """Return the loss and the numbers of each metric over all steps since the last :meth:`reset`.

        Metrics with several values are flattened: a dict by its keys, a vector by ``names`` if it has one element for
        each, else by its indices. Matrices and curves are in :attr:`values` alone.

        Args:
            names: The names of the network's outputs, such as the labels of classes.
        """
        self.flush()
        self.values, self.elements = {}, set()
        for name in self._updated():
            for part, value in _by_name(name, _compute(self._metric(name))):
                self.values[part] = value
                elements = dict(_elements(part, value, names))
                self.elements |= elements.keys()
                self.values |= {key: each for key, each in elements.items() if key not in self.values}
        return {name: value for name, value in self.values.items() if isinstance(value, Tensor) and not value.ndim}

    def _metric(self, name: str) -> Any:
        objects = self.objects
        return objects[f"metric_{name}"] if f"metric_{name}" in objects else self.means[f"mean_{name}"]

    def _updated(self) -> list[str]:
        """Return the names of what any process has updated: all of them compute it, also one that had no batch."""
        own = {name: _rows_of_states(self._metric(name)) for name in self._known if self._metric(name).update_called}
        if not _several_processes():
            return [*own]
        gathered: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(gathered, own)
        updated = {name: rows for states in reversed(gathered) for name, rows in states.items()}
        for name in updated.keys() - own.keys():
            if name not in self._known:
                self._logged.append(name)
                self.means[f"mean_{name}"] = MeanMetric().to(self.means["mean_loss"].device)
            metric = self._metric(name)
            metric._update_count = 1
            # Processes exchange rows of one type and shape; a process without rows has none of that kind.
            for state, row in updated[name].items():
                setattr(metric, state, [row.to(metric.device)])
        # In the same order in each process, since they compute together.
        first = ("loss", *self._order)
        return [*(name for name in first if name in updated), *sorted(updated.keys() - set(first))]

    @property
    def _known(self) -> list[str]:
        return ["loss", *self._order, *self._logged]

    @property
    def is_updated(self) -> bool:
        """True if there were steps since the last :meth:`reset`."""
        updated = any(metric.update_called for metric in (*self.objects.values(), *self.means.values()))
        return updated or bool(self._losses or self._steps)

    def accumulated(self) -> dict[str, Any]:
        """Return the accumulated state, sums and buffered steps, as serializable values."""
        return {
            "losses": list(self._losses),
            "steps": list(self._steps),
            "counts": [self._rows, self._values],
            "logged": list(self._logged),
            "metrics": {
                name: {"count": metric._update_count, **{key: getattr(metric, key) for key in metric._defaults}}
                for name, metric in (*self.objects.items(), *self.means.items())
            },
        }

    def restore(self, accumulated: Mapping[str, Any], device: torch.device) -> bool:
        """Restore the accumulated state of another object.

        Args:
            accumulated: The result of its :meth:`accumulated`.
            device: The device of the metrics.

        Returns:
            Whether it has the same metrics; otherwise nothing is restored.
        """
        own = {*self.objects, *(f"mean_{name}" for name in ("loss", *self.functions))}
        if set(accumulated["metrics"]) - {f"mean_{name}" for name in accumulated["logged"]} != own:
            return False
        self._losses = [
            (_to_device(loss, device), _to_device(weight, device)) for loss, weight in accumulated["losses"]
        ]
        self._steps = [(_to_device(one, device), _to_device(other, device)) for one, other in accumulated["steps"]]
        self._rows, self._values = accumulated["counts"]
        self._logged = list(accumulated["logged"])
        for name in self._logged:
            self.means[f"mean_{name}"] = MeanMetric().to(device)
        for name, stored in accumulated["metrics"].items():
            metric = self.objects[name] if name in self.objects else self.means[name]
            metric._update_count, metric._computed = stored["count"], None
            for key in metric._defaults:
                setattr(metric, key, _to_device(stored[key], device))
        return True

    def reset(self) -> None:
        """Clear the accumulated state."""
        self._losses, self._steps = [], []
        self._rows = self._values = 0
        for metric in (*self.objects.values(), *self.means.values()):
            metric.reset()


def _to_device(value: Any, device: torch.device) -> Any:
    if isinstance(value, list):
        return [_to_device(each, device) for each in value]
    return value.to(device) if isinstance(value, Tensor) else value


def _several_processes() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _compute(metric: Any) -> Any:
    """Compute a metric over the rows of all processes, also if it keeps single rows, and processes have unlike numbers.

    torchmetrics exchanges lists of single rows, such as those of ROUGE and of mean average precision, row by row: with
    unlike numbers of rows, one process would wait for the others forever.
    """
    own = {name: getattr(metric, name) for name in metric._defaults if _keeps_single_rows(metric, name)}
    if not own or not _several_processes() or not metric._to_sync:
        return metric.compute()
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, {name: _to_device(rows, torch.device("cpu")) for name, rows in own.items()})
    device = metric.device
    metric._computed = None
    try:
        for name in own:
            setattr(metric, name, [])
        metric.sync()
        for name in own:
            setattr(metric, name, [_to_device(row, device) for rows in gathered for row in rows[name]])
        metric._to_sync = False
        return metric.compute()  # And restores the other states.
    finally:
        metric._to_sync = True
        for name, rows in own.items():
            setattr(metric, name, rows)


def _keeps_single_rows(metric: Metric, name: str) -> bool:
    return isinstance(metric._defaults[name], list) and metric._reductions[name] is None


def _rows_of_states(metric: Metric) -> dict[str, Tensor]:
    """Return no rows, in the type and shape of the rows that a metric joins, by the name of the state."""
    states = {name: getattr(metric, name) for name in metric._defaults if not _keeps_single_rows(metric, name)}
    first = {name: rows[0] for name, rows in states.items() if isinstance(rows, list) and rows}
    return {name: row[:0].cpu() for name, row in first.items() if isinstance(row, Tensor) and row.ndim}


def weight_of_loss(loss_fn: Callable[..., Any] | None, targets: Any) -> Tensor | None:
    """Return the sum of the class weights of a loss over the targets of a batch; ``None`` for the number of samples.

    Args:
        loss_fn: Any loss; ``CrossEntropyLoss`` and ``NLLLoss`` of torch have class weights and an ignored index.
        targets: The targets of a batch.

    Example:
        >>> loss_fn = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0]))
        >>> weight_of_loss(loss_fn, torch.tensor([0, 1, 1]))
        tensor(7.)
    """
    if not isinstance(loss_fn, nn.CrossEntropyLoss | nn.NLLLoss) or loss_fn.reduction != "mean":
        return None
    if not isinstance(targets, Tensor) or targets.is_floating_point():
        return None
    counted = targets[targets != loss_fn.ignore_index]
    weight: Tensor | None = loss_fn.weight
    return torch.tensor(float(counted.numel())) if weight is None else weight.to(targets.device)[counted].sum()


def _by_name(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the parts of a metric's value by name: of a dict each of its values, otherwise the value itself."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            # The keys of some metrics have its name already: "map" returns "map" and "map_50".
            yield from _by_name(key if key == name or str(key).startswith(f"{name}_") else f"{name}_{key}", part)
    elif isinstance(value, list | tuple):  # such as the curves of each class
        yield name, value
    else:
        tensor = torch.as_tensor(value)
        yield name, tensor.reshape(()) if tensor.numel() == 1 else tensor


def _elements(name: str, value: Any, names: Sequence[Any] | None) -> Iterator[tuple[str, Tensor]]:
    """Yield the elements of a vector by name; of anything else none."""
    if isinstance(value, Tensor) and value.ndim == 1:
        shown = names if names is not None and len(names) == len(value) else range(len(value))
        yield from ((f"{name}_{each}", part) for each, part in zip(shown, value, strict=True))
