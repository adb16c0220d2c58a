"""Files of torch.export that would execute code are refused before they are loaded."""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch._higher_order_ops.scan import scan

from flash.errors import CheckpointError, UnsafeCheckpointError
from flash.export.archives import check_archive

MODEL = "model/models/model.json"
WEIGHTS = "model/data/weights/model_weights_config.json"


class Sized(nn.Module):
    """A network with sizes in its program."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(-1).sum() + torch.arange(x.shape[0] * 2 + 1).sum()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    dimension = torch.export.Dim("batch", min=2)
    program = torch.export.export(Sized(), (torch.zeros(3, 2),), dynamic_shapes=({0: dimension},))
    torch.export.save(program, tmp_path / "model.pt2")
    return tmp_path / "model.pt2"


def rewrite(path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """Change the files of an archive."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def in_json(name: str, change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, bytes]], None]:
    def run(files: dict[str, bytes]) -> None:
        content = json.loads(files[name])
        change(content)
        files[name] = json.dumps(content).encode()

    return run


def test_what_torch_writes_is_taken(archive: Path) -> None:
    check_archive(archive)
    rewrite(archive, lambda files: None)
    check_archive(archive)


def all_expressions(content: Any, expression: str) -> None:
    """Replace each expression of a size."""
    if isinstance(content, dict):
        if "expr_str" in content:
            content["expr_str"] = expression
        for each in content.values():
            all_expressions(each, expression)
    for each in content if isinstance(content, list) else ():
        all_expressions(each, expression)


def test_an_expression_that_torch_would_evaluate_is_refused(archive: Path, tmp_path: Path) -> None:
    """The premise too: torch executes it."""
    mark = tmp_path / "mark"
    hostile = f"__import__('pathlib').Path({str(mark)!r}).touch() or 1"
    rewrite(archive, in_json(MODEL, lambda content: all_expressions(content, hostile)))
    with pytest.raises(UnsafeCheckpointError, match="Expected operators of tensors alone, but .* has an expression"):
        check_archive(archive)
    assert not mark.exists()
    try:
        torch.export.load(archive)
    except Exception:  # after the fact
        assert mark.exists()
    assert mark.exists()


@pytest.mark.parametrize(
    "expression",
    [
        "exec(chr(49))",
        "().__class__",
        "Symbol('s0').x",
        "eval('1')",
        "lambda: 1",
        "s0;s1",
        "print(1)",
        "[1]",
        "Symbol(x)",
    ],
)
def test_expressions_are_symbols_numbers_and_classes_alone(archive: Path, expression: str) -> None:
    rewrite(archive, in_json(MODEL, lambda content: all_expressions(content, expression)))
    with pytest.raises(UnsafeCheckpointError, match=re.escape(repr(expression))):
        check_archive(archive)


@pytest.mark.parametrize(
    "operator",
    [
        *("torch.load", "torch.hub.load", "torch.ops.load_library", "torch.os.system", "math.__loader__.load_module"),
        *("_operator.methodcaller", "_operator.call", "_operator.attrgetter", "#torch.x", "torch.ops.aten.from_file"),
        *("torch.ops.aten.from_file.default", "torch.ops.mylib.run.default", "torch.ops.aten.add.Tensor.x.y"),
    ],
)
def test_operators_are_those_of_tensors(archive: Path, operator: str) -> None:
    def change(content: dict[str, Any]) -> None:
        content["graph_module"]["graph"]["nodes"][0]["target"] = operator

    rewrite(archive, in_json(MODEL, change))
    with pytest.raises(UnsafeCheckpointError, match=re.escape(repr(operator))):
        check_archive(archive)


class Loop(nn.Module):
    """A network with a loop, whose body is a graph of its own."""

    def forward(self, x: torch.Tensor) -> Any:
        return scan(lambda carry, row: (carry + row, row * 2), torch.zeros(2), x)


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    torch.export.save(torch.export.export(Loop(), (torch.zeros(3, 2),)), tmp_path / "model.pt2")
    return tmp_path / "model.pt2"


def graph_of(content: dict[str, Any]) -> dict[str, Any]:
    """Return the graph of the body of a loop."""
    nodes = content["graph_module"]["graph"]["nodes"]
    (node,) = (each for each in nodes if each["target"] == "torch.ops.higher_order.scan")
    found: dict[str, Any] = node["inputs"][0]["arg"]["as_graph"]
    return found


def test_a_loop_is_taken_and_other_operators_of_its_kind_are_refused(loop: Path) -> None:
    check_archive(loop)
    x = torch.arange(6.0).reshape(3, 2)
    sums, doubled = torch.export.load(loop).module()(x)
    assert (sums.tolist(), doubled.tolist()) == ([6, 9], (2 * x).tolist())

    def change(content: dict[str, Any]) -> None:
        for node in content["graph_module"]["graph"]["nodes"]:
            node["target"] = node["target"].replace("scan", "wrap")

    rewrite(loop, in_json(MODEL, change))
    with pytest.raises(UnsafeCheckpointError, match=r"has an operator 'torch\.ops\.higher_order\.wrap'"):
        check_archive(loop)


def test_operators_in_a_loop_are_those_of_tensors(loop: Path) -> None:
    rewrite(loop, in_json(MODEL, lambda content: graph_of(content)["graph"]["nodes"][0].update(target="torch.load")))
    with pytest.raises(UnsafeCheckpointError, match=r"has an operator 'torch\.load'"):
        check_archive(loop)


@pytest.mark.parametrize("name", ['x"), exit(), ("', "a b", "é", ""])
def test_the_graph_of_a_loop_has_a_name_without_code(loop: Path, name: str) -> None:
    rewrite(loop, in_json(MODEL, lambda content: graph_of(content).update(name=name)))
    with pytest.raises(UnsafeCheckpointError, match="has the name of a graph"):
        check_archive(loop)


@pytest.mark.parametrize(
    "guard", ["exit()", "__import__('os')", "L['x'].y() == 1", "L['x'].size()[0] == 1 if x else 2"]
)
def test_guards_are_comparisons_of_sizes(archive: Path, guard: str) -> None:
    rewrite(archive, in_json(MODEL, lambda content: content.update(guards_code=[guard])))
    with pytest.raises(UnsafeCheckpointError, match="has an expression"):
        check_archive(archive)


def test_a_symbol_is_a_name(archive: Path) -> None:
    rewrite(archive, in_json(MODEL, lambda content: content.update(range_constraints={"exit()": {}})))
    with pytest.raises(UnsafeCheckpointError, match="has a symbol"):
        check_archive(archive)


def test_pickled_weights_are_refused(archive: Path) -> None:
    config = {"config": {"weight": {"path_name": "weight_0", "use_pickle": True}}}
    rewrite(archive, in_json(WEIGHTS, lambda content: content.update(config)))
    with pytest.raises(UnsafeCheckpointError, match="has pickled weights"):
        check_archive(archive)


def test_example_inputs_are_tensors(archive: Path) -> None:
    rewrite(archive, lambda files: files.update({"model/data/sample_inputs/model.pt": pickle.dumps(print)}))
    with pytest.raises(UnsafeCheckpointError, match="has example inputs that are no tensors"):
        check_archive(archive)


@pytest.mark.parametrize(
    "name", ["model/data/aotinductor/model/x.so", "model/extra/x", "x", "model/data/constants/custom_obj_0"]
)
def test_other_files_are_refused(archive: Path, name: str) -> None:
    rewrite(archive, lambda files: files.update({name: b"x"}))
    with pytest.raises(UnsafeCheckpointError, match=f"has the file {name!r}"):
        check_archive(archive)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_is_there_once(archive: Path) -> None:
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr(MODEL, "{}")
    with pytest.raises(UnsafeCheckpointError, match=f"has the file {MODEL!r}"):
        check_archive(archive)


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"PK\x05\x06"])
def test_what_is_no_archive_is_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pt2").write_bytes(content)
    with pytest.raises(CheckpointError, match="Expected a file of torch.export, but .* is damaged"):
        check_archive(tmp_path / "model.pt2")


def test_json_that_is_none_is_damaged(archive: Path) -> None:
    for content in (b"{", b"[" * 100_000):
        rewrite(archive, lambda files, content=content: files.update({MODEL: content}))  # type: ignore[misc]
        with pytest.raises(CheckpointError, match="is damaged"):
            check_archive(archive)


def test_a_tensor_file_of_other_values_is_refused(archive: Path) -> None:
    torch.save(nn.Linear(1, 1), file := io.BytesIO())
    rewrite(archive, lambda files: files.update({"model/data/sample_inputs/model.pt": file.getvalue()}))
    with pytest.raises(UnsafeCheckpointError):
        check_archive(archive)
