"""The layers of a backbone, in the order of the forward pass, so that strategies work for all domains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from torch import nn

from flash.errors import FinetuningError

__all__ = ["backbone_layers", "block_layers", "child_layers", "layers_by_group"]


def backbone_layers(task: nn.Module) -> list[nn.Module]:
    """Return the layers of a task's backbone, in the order of the forward pass; each has parameters.

    The task defines them with :meth:`flash.Task.backbone_layers`: the stem and the blocks of an image network,
    the embeddings and the blocks of a text encoder. By default they are the children of the backbone.

    Args:
        task: A task, or another module with a ``backbone``, also inside its ``model``.

    Raises:
        FinetuningError: If it has no backbone with parameters, or returns anything but modules with parameters.

    Example:
        >>> import flash
        >>> class Net(flash.Task):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.backbone = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 4))
        >>> backbone_layers(Net())
        [Linear(in_features=2, out_features=4, bias=True), Linear(in_features=4, out_features=4, bias=True)]
    """
    say: Any = getattr(task, "backbone_layers", None)
    if callable(say):
        given = say()
    else:
        found = [getattr(owner, "backbone", None) for owner in (task, getattr(task, "model", None))]
        given = child_layers([backbone for backbone in found if isinstance(backbone, nn.Module)][:1])
    layers = list(given)
    if not layers:
        raise FinetuningError(
            f"Expected a `backbone` with parameters, to return its layers, but {type(task).__name__} has none. "
            "Override modules_to_freeze() or backbone_layers() in the task."
        )
    for layer in layers:
        if not isinstance(layer, nn.Module) or not _has_parameters(layer):
            raise FinetuningError(
                f"Expected {type(task).__name__}.backbone_layers() to return modules with parameters, but one of them "
                f"is {layer!r}. Leave it out; modules without parameters are unfrozen with the modules around them."
            )
    return layers


def child_layers(modules: Iterable[nn.Module]) -> list[nn.Module]:
    """Return the children of modules that have parameters, after unwrapping modules with a single such child.

    A ``ModuleList`` is replaced by its items. A module's own parameters come before its children.

    Args:
        modules: The modules, in the order of the forward pass.

    Example:
        >>> wrapped = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1)))
        >>> len(child_layers([wrapped]))
        2
    """
    layers: list[nn.Module] = []
    for module in modules:
        for layer in _children(module):
            if all(layer is not known for known in layers):
                layers.append(layer)
    return layers


def _children(module: nn.Module) -> list[nn.Module]:
    if not _has_parameters(module):
        return []
    children = _items([child for child in module.children() if _has_parameters(child)])
    own = list(module.named_parameters(recurse=False))
    if own and children:
        return [_LayerGroup([], dict(own)), *children]
    if not children:
        return [module]
    return _children(children[0]) if len(children) == 1 else children


def _items(children: Iterable[nn.Module]) -> list[nn.Module]:
    found: list[nn.Module] = []
    for child in children:
        found += _items(each for each in child if _has_parameters(each)) if _is_list(child) else [child]
    return found


def block_layers(modules: Iterable[nn.Module]) -> list[nn.Module]:
    """Return the stem of a network, everything before its blocks, as one layer, then each block.

    Blocks are the items of lists (``ModuleList``), except lists of embeddings. Modules between or after blocks,
    such as a last normalization, belong to the layer of the preceding block. A network without blocks has
    the layers of :func:`child_layers`.

    Args:
        modules: The modules, in the order of the forward pass, which is also that of the modules inside them.

    Example:
        >>> class Encoder(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.embeddings = nn.Embedding(5, 2)
        ...         self.blocks = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
        ...         self.norm = nn.LayerNorm(2)
        >>> [type(layer).__name__ for layer in block_layers([Encoder()])][:2]
        ['Embedding', 'Linear']
    """
    roots = list(modules)
    groups: dict[nn.Parameter, int] = {}
    last = _number(roots, groups, 0)
    return layers_by_group(roots, groups) if last else child_layers(roots)


def _number(modules: Iterable[nn.Module], groups: dict[nn.Parameter, int], number: int) -> int:
    """Assign each parameter the number of its layer, and return the last number."""
    for module in modules:
        if _is_list(module) and not all(isinstance(item, nn.Embedding) for item in module):
            for item in module:
                if _has_parameters(item):
                    number = _number([item], groups, number) if _is_list(item) else number + 1
                    for parameter in item.parameters():
                        groups.setdefault(parameter, number)
        else:
            for parameter in module.parameters(recurse=False):
                groups.setdefault(parameter, number)
            number = _number(module.children(), groups, number)
    return number


def layers_by_group(modules: Iterable[nn.Module], groups: Mapping[nn.Parameter, float]) -> list[nn.Module]:
    """Group modules into layers by the layer number of each parameter.

    A layer is the single module that has its parameters, or a container that references the modules and parameters of
    the layer; these stay in place in the network.

    Args:
        modules: The modules.
        groups: The layer number of each parameter, in the order of the forward pass.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3))
        >>> numbers = {parameter: int(name[0] == "2") for name, parameter in net.named_parameters()}
        >>> [sum(1 for _ in layer.parameters()) for layer in layers_by_group([net], numbers)]
        [4, 2]
    """
    parts: dict[float, _LayerGroup] = {}

    def place(module: nn.Module) -> None:
        numbers = {groups[parameter] for parameter in module.parameters()}
        if len(numbers) == 1:
            parts.setdefault(numbers.pop(), _LayerGroup([], {})).add(module)
            return
        for name, parameter in module.named_parameters(recurse=False):
            parts.setdefault(groups[parameter], _LayerGroup([], {})).add_parameter(name, parameter)
        for child in module.children():
            place(child)

    for module in modules:
        place(module)
    return [parts[number].unwrapped() for number in sorted(parts)]


class _LayerGroup(nn.Module):
    """A layer that references modules and parameters from different places of a network."""

    def __init__(self, modules: Iterable[nn.Module], parameters: Mapping[str, nn.Parameter]) -> None:
        super().__init__()
        self.pieces = nn.ModuleList(modules)
        for name, parameter in parameters.items():
            self.add_parameter(name, parameter)

    def add(self, module: nn.Module) -> None:
        """Add a module."""
        if all(module is not known for known in self.pieces):
            self.pieces.append(module)

    def add_parameter(self, name: str, parameter: nn.Parameter) -> None:
        """Add a parameter."""
        self.register_parameter(f"{name}_{len(self._parameters)}", parameter)

    def unwrapped(self) -> nn.Module:
        """Return the only module, if there is nothing else, otherwise this container."""
        return self.pieces[0] if len(self.pieces) == 1 and not self._parameters else self


def _is_list(module: nn.Module) -> TypeGuard[nn.ModuleList]:
    return isinstance(module, nn.ModuleList)


def _has_parameters(module: nn.Module) -> bool:
    return any(True for _ in module.parameters())
