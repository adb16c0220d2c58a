"""Parse the descriptions in hooks from their source, if they are literals; nothing is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from flash.errors import ConfigurationError
from flash.plugins import hookspecs
from flash.plugins._source import Source
from flash.plugins.types import Spec

__all__ = ["hooks_in", "specs_in"]

_CLASSES = {kind.__name__: kind for kinds in hookspecs.RESULTS.values() for kind in kinds}


class _UnknownError(Exception):
    """An expression that cannot be evaluated statically."""


def hooks_in(source: Source) -> Iterator[ast.FunctionDef]:
    """Yield the functions of a module, and of classes in it, that are marked as hooks or named like one."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef) and (is_marked(node) or node.name in hookspecs.RESULTS):
            yield node


def is_marked(function: ast.FunctionDef) -> bool:
    """Return whether a function has the decorator ``hookimpl``."""
    for each in function.decorator_list:
        called = each.func if isinstance(each, ast.Call) else each
        if getattr(called, "id", getattr(called, "attr", None)) == "hookimpl":
            return True
    return False


def specs_in(source: Source) -> Iterator[tuple[Spec | ConfigurationError, int]]:
    """Yield the descriptions in the hooks of a module, or the errors that they raise, with their line numbers."""
    constants: dict[str, Any] = {}
    for node in source.tree.body:
        _assign(node, constants)
    for function in hooks_in(source):
        yield from _of_block(function.body, dict(constants))


def _of_block(body: list[ast.stmt], names: dict[str, Any]) -> Iterator[tuple[Spec | ConfigurationError, int]]:
    for node in body:
        _assign(node, names)
        if isinstance(node, ast.For):
            yield from _of_loop(node, names)
        elif isinstance(node, ast.If | ast.With | ast.Try):
            for field in ("body", "orelse", "finalbody"):
                yield from _of_block(getattr(node, field, []), names)
        else:
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and _called(call) in _CLASSES:
                    yield from _of_call(call, names)


def _of_loop(node: ast.For, names: dict[str, Any]) -> Iterator[tuple[Spec | ConfigurationError, int]]:
    try:
        items = list(_value(node.iter, names))
    except (_UnknownError, TypeError):
        items = [None]
    for item in items:
        inside = dict(names)
        for target in ast.walk(node.target):
            if isinstance(target, ast.Name):
                inside.pop(target.id, None)
        _bind(node.target, item, inside)
        yield from _of_block(node.body, inside)


def _of_call(call: ast.Call, names: Mapping[str, Any]) -> Iterator[tuple[Spec | ConfigurationError, int]]:
    try:
        args = [_value(each, names) for each in call.args]
        kwargs = {str(each.arg): _value(each.value, names) for each in call.keywords}
        yield _CLASSES[_called(call)](*args, **kwargs), call.lineno
    except ConfigurationError as error:
        yield error, call.lineno
    except TypeError as error:
        yield ConfigurationError(str(error)), call.lineno
    except _UnknownError:
        return


def _called(call: ast.Call) -> str:
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


def _assign(node: ast.stmt, names: dict[str, Any]) -> None:
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        try:
            _bind(node.targets[0], _value(node.value, names), names)
        except _UnknownError:
            return


def _bind(target: ast.expr, value: Any, names: dict[str, Any]) -> None:
    if isinstance(target, ast.Name) and value is not None:
        names[target.id] = value
    elif isinstance(target, ast.Tuple) and isinstance(value, tuple | list) and len(value) == len(target.elts):
        for each, part in zip(target.elts, value, strict=True):
            _bind(each, part, names)


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name) and node.id in names:
        return names[node.id]
    if isinstance(node, ast.Tuple | ast.List):
        return [_value(each, names) for each in node.elts]
    if isinstance(node, ast.JoinedStr):
        return "".join(str(_value(each, names)) for each in node.values)
    if isinstance(node, ast.FormattedValue) and node.format_spec is None:
        return _value(node.value, names)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _value(node.left, names), _value(node.right, names)
        if isinstance(left, str) and isinstance(right, str):
            return left + right
    raise _UnknownError
