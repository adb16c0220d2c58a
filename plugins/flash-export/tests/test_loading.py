"""Loading an exported folder: what is damaged, of a later version, or not for a service is said, and nothing is run."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from points_domain import PointClassifier, Points, PointTask
from torch import nn

from flash import Postprocess
from flash.data.portable import Portable, TensorSpec
from flash.data.requests import RequestField, RequestFields
from flash.download import digest
from flash.errors import CheckpointError, ConfigurationError, DataError, UnsafeCheckpointError
from flash.export.formats import ONNX
from flash.export.loading import describe_service, load_export
from flash.export.standalone.predict import checksum

FIELDS = RequestFields("table", [RequestField("x", "number"), RequestField("y", "number", may_be_missing=True)])
ROWS = [{"x": 1.0, "y": 2.0}, {"x": -3.0, "y": None}]


class Doubled(Postprocess):
    """A postprocess that changes results."""

    def per_sample_transform(self, sample: Any) -> Any:
        return 2 * sample


class Rows(Points):
    """Points as the rows of requests."""

    def request_fields(self) -> RequestFields:
        return FIELDS

    def predict_load_data(self, data: Any) -> Any:
        return [[row["x"], row["y"] or 0.0] for row in data]

    def portable(self) -> Portable:
        return replace(super().portable(), encoder="rows_encoder")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    task = PointClassifier(labels=["left", "right", "top"], model=nn.Linear(2, 3))
    task.preprocess = Rows()
    return task.export(tmp_path_factory.mktemp("exported") / "out", "onnx")


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """A copy of an exported folder."""
    return Path(shutil.copytree(exported, tmp_path / "out"))


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the description of a folder."""
    described = json.loads((folder / "export.json").read_text())
    change(described)
    if set(described) >= {"sha256", "files"}:
        described["sha256"] = checksum(described)
    (folder / "export.json").write_text(json.dumps(described))


@pytest.mark.parametrize("name", ["pt2", "onnx"])
def test_a_loaded_folder_predicts_samples_in_memory_as_the_task_does(tmp_path: Path, name: str) -> None:
    task = PointClassifier(labels=["left", "right", "top"], model=nn.Linear(2, 3))
    task.preprocess = Rows()
    folder = task.export(tmp_path / "out", name)
    exported = load_export(folder)
    assert (exported.title, exported.fields.to_json()) == ("PointClassifier", FIELDS.to_json())
    found = exported.predict(ROWS, (None, "classes", "probabilities"))
    assert [row[0] for row in found] == task.predict(ROWS)
    assert [row[1] for row in found] == task.predict(ROWS, "classes")
    np.testing.assert_allclose([row[2] for row in found], task.predict(ROWS, "probabilities"), atol=1e-6)
    with pytest.raises(DataError, match="Expected a point near the origin, but got 1000.0"):
        exported.predict([{"x": 1000.0, "y": 0.0}])


def test_every_byte_of_a_network_counts(folder: Path) -> None:
    content = bytearray((folder / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.onnx").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"Expected a folder as task.export wrote it, but .* model.onnx was cha"):
        load_export(folder)


def test_a_user_may_change_the_programs(folder: Path) -> None:
    (folder / "predict.py").write_text("raise SystemExit\n")
    assert load_export(folder).title == "PointClassifier"


@pytest.mark.parametrize("name", ["model.onnx", "note.txt"])
def test_a_file_that_is_missing_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=rf"but in .* {name} cannot be read"):
        load_export(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"version": "x"}', b"\xff\xfe\x00"])
def test_a_damaged_description_is_an_error_in_a_sentence(folder: Path, content: bytes) -> None:
    (folder / "export.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"Expected a folder as task.export wrote it, but .* export.json cannot"):
        load_export(folder)


KEYS = ["version", "networks", "result", "preprocess", "service", "files"]


@pytest.mark.parametrize("value", [None, 3.5, "x", [], {}, [None], {"x": None}])
@pytest.mark.parametrize("key", KEYS)
def test_a_description_with_something_else_is_an_error_in_a_sentence(folder: Path, key: str, value: Any) -> None:
    rewrite(folder, lambda described: described.update({key: value}))
    with pytest.raises(CheckpointError, match="^Expected "):
        load_export(folder)


def test_a_later_version_says_what_to_install(folder: Path) -> None:
    rewrite(folder, lambda described: described.update(version=9))
    with pytest.raises(CheckpointError, match="has version 9: pip install --upgrade flash-export, or export again."):
        load_export(folder)


def test_labels_that_are_not_those_of_the_network_are_an_error(folder: Path) -> None:
    rewrite(folder, lambda described: described["result"].update(labels=["left", "right"]))
    with pytest.raises(CheckpointError, match="there are 3 classes and 2 labels"):
        load_export(folder)


@pytest.mark.parametrize("name", ["../model.onnx", "/etc/passwd", "sub/model.onnx"])
def test_a_name_of_a_file_is_no_path(folder: Path, name: str) -> None:
    shutil.copy(folder / "model.onnx", folder.parent / "model.onnx")

    def change(described: dict[str, Any]) -> None:
        described["networks"]["model"]["file"] = name

    rewrite(folder, change)
    with pytest.raises(CheckpointError, match="is no file of it"):
        load_export(folder)


@pytest.mark.parametrize(
    ("role", "module"),
    [("runner", "numpy"), ("runner", "pickle"), ("runner", "torch"), ("runner", "marked"), ("encoder", "marked")],
)
def test_modules_that_a_folder_names_are_those_of_plugins(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str, module: str
) -> None:
    """No module of anything else is imported or called, even if it has a function of that name."""
    (tmp_path / "marked.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')\nload = encode_samples = None\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (folder / "model.onnx").write_bytes(pickle.dumps(print))

    def change(described: dict[str, Any]) -> None:
        described["service"][role]["module"] = module
        described["files"]["model.onnx"] = digest(folder / "model.onnx")

    rewrite(folder, change)
    with pytest.raises(CheckpointError):
        load_export(folder)
    assert not (tmp_path / "mark").exists()
    assert "marked" not in sys.modules


def test_a_folder_that_cannot_be_served_says_why(tmp_path: Path) -> None:
    task = PointTask(nn.Linear(2, 1))
    sentence = (
        r"cannot be: points_encoder has no function encode_samples, .* Serve the checkpoint instead, or export it"
    )
    with pytest.raises(CheckpointError, match=sentence):
        load_export(task.export(tmp_path / "points"))
    with pytest.warns(UserWarning, match="Expected to write predict.py too"):
        folder = PointTask(nn.Linear(2, 1), postprocess=Doubled()).export(tmp_path / "doubled")
    with pytest.raises(CheckpointError, match="cannot be: Doubled changes results in a way that the file does not"):
        load_export(folder)
    rewrite(folder, lambda described: described.pop("service"))
    with pytest.raises(CheckpointError, match="cannot be: it was written by an earlier version. Serve the checkpoint"):
        load_export(folder)


def test_a_preprocess_that_has_learned_nothing_has_no_requests(tmp_path: Path) -> None:
    class Unlearned(Rows):
        def request_fields(self) -> RequestFields:
            raise DataError("Expected train rows, but there were none. Train it first.")

    task = PointTask(nn.Linear(2, 1), preprocess=Unlearned())
    with pytest.raises(CheckpointError, match="what a sample is in a request is not known: Expected train rows"):
        load_export(task.export(tmp_path / "out"))


def test_a_runtime_that_is_not_installed_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "flash.export.standalone.onnx_runner", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigurationError, match=r'onnxruntime is not. Install it: .*"flash-export\[onnx\]"'):
        load_export(folder)


def test_a_network_that_would_execute_code_is_refused(tmp_path: Path) -> None:
    task = PointClassifier(labels=["left", "right", "top"], model=nn.Linear(2, 3))
    task.preprocess = Rows()
    folder = task.export(tmp_path / "out", "pt2")
    torch.save({"weights": torch.zeros(1)}, folder / "model.pt2")
    rewrite(folder, lambda described: described["files"].update({"model.pt2": digest(folder / "model.pt2")}))
    with pytest.raises(UnsafeCheckpointError, match="Expected operators of tensors alone, but .* has the file"):
        load_export(folder)


@pytest.mark.parametrize("size", [1, "batch"])
def test_a_network_that_takes_one_sample_gets_one_at_a_time(size: Any, folder: Path) -> None:
    portable = Portable(TensorSpec("float32", (size, 2)), encoder="rows_encoder")
    described = describe_service(PointTask(nn.Linear(2, 1), preprocess=Rows()), portable, ONNX)
    assert described["takes_one"] is (size == 1)
    sizes: list[int] = []
    whole = load_export(folder).predict(ROWS)
    rewrite(folder, lambda description: description["service"].update(takes_one=size == 1))
    exported = load_export(folder)
    encode = exported._predictor.encode
    exported._predictor.encode = lambda samples: sizes.append(len(samples)) or encode(samples)  # type: ignore[method-assign, func-returns-value]
    assert exported.predict(ROWS) == whole
    assert sizes == ([1, 1] if size == 1 else [2])
