"""The folder of an exported task: what is in it, that it agrees with the task, and what goes wrong in words."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from points_domain import Branching, OfOneSize, PointClassifier, PointRegressor, Points, PointTask
from torch import nn

from flash import Postprocess, Task
from flash.core.export import ExportedPart
from flash.data.portable import Portable, TensorSpec
from flash.errors import (
    CheckpointError,
    ConfigurationError,
    ExportError,
    PluginError,
    UnknownArgumentError,
    UnknownNameError,
)
from flash.export import Format, write_export
from flash.export.folder import standalone_source
from flash.export.formats import ONNX, PT2
from flash.export.standalone.predict import checksum
from flash.plugins import Exporter, hookimpl, isolated_plugins

Classifier = Callable[..., PointClassifier]


def description_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "export.json").read_text())
    return found


def predictor_of(folder: Path) -> Any:
    """Import the program of a folder, as its user would."""
    import importlib.util

    specification = importlib.util.spec_from_file_location(f"predict_{abs(hash(folder))}", folder / "predict.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.Predictor()


def nothing_is_left(folder: Path) -> bool:
    return not folder.exists() and not [*folder.parent.glob(".*.tmp")]


@pytest.mark.parametrize("name", ["pt2", "onnx"])
def test_the_folder_predicts_as_the_task_does(classifier: Classifier, points: str, tmp_path: Path, name: str) -> None:
    task = classifier()
    folder = task.export(tmp_path / "out", name)
    files = {file.name for file in folder.iterdir()}
    programs = {"predict.py", "runner.py", "encoder.py", "delimited.py", "json_table.py"}
    assert files == {f"model.{name}", "export.json", "note.txt", *programs}
    predictor = predictor_of(folder)
    assert predictor.predict(points) == task.predict(points)
    assert predictor.predict(points, "classes", batch_size=2) == task.predict(points, "classes")
    expected = task.predict(points, "probabilities")
    np.testing.assert_allclose(predictor.predict(points, "probabilities"), expected, atol=1e-6)
    assert [identifier for identifier, _ in predictor.predict_each(points)] == [f"point {row}" for row in range(5)]


def test_the_description_says_what_the_network_takes_and_returns(classifier: Classifier, tmp_path: Path) -> None:
    found = description_of(classifier(threshold=0.3).export(tmp_path / "out"))
    assert found["networks"] == {
        "model": {
            "file": "model.pt2",
            "inputs": {"input": {"dtype": "float32", "shape": ["batch", 2]}},
            "outputs": ["probabilities"],
        }
    }
    labels = ["left", "right", "top"]
    assert found["result"] == {"kind": "classes", "labels": labels, "multi_label": False, "threshold": 0.3}
    assert found["preprocess"] == {"requires": ["numpy", "torch"], "settings": {"unit": 2.0}}
    assert [each["batch"] for each in found["agreement"]["checked"]["model"]] == [1, 5]
    assert found["agreement"]["absolute"] == {"model": 1e-4}
    assert found["versions"]["torch"] == torch.__version__.partition("+")[0]


def test_several_labels_are_those_above_the_threshold(points: str, tmp_path: Path) -> None:
    labels = ["a", "b", "c"]
    task = PointClassifier(labels=labels, model=nn.Linear(2, 3), multi_label=True, threshold=0.4)
    predictor = predictor_of(task.export(tmp_path / "out"))
    assert predictor.predict(points) == task.predict(points)
    assert predictor.predict(points, "classes") == task.predict(points, "classes")


def test_numbers_are_in_the_units_of_the_targets(points: str, tmp_path: Path) -> None:
    task = PointRegressor(1, target_mean=[1e6], target_std=[1e5], model=nn.Linear(2, 1))
    folder = task.export(tmp_path / "out")
    np.testing.assert_allclose(predictor_of(folder).predict(points), task.predict(points), rtol=1e-6)
    found = description_of(folder)
    assert found["result"] == {"kind": "numbers", "names": None, "mean": [1e6], "std": [1e5]}
    assert found["agreement"]["absolute"] == {"model": pytest.approx(10.0)}


def test_a_task_of_no_kind_has_rows_of_numbers(points: str, tmp_path: Path) -> None:
    task = PointTask(nn.Linear(2, 4))
    found = predictor_of(task.export(tmp_path / "out")).predict(points)
    np.testing.assert_allclose(found, torch.stack(task.predict(points)), atol=1e-6)


def test_the_output_that_was_chosen_is_the_default_of_the_folder(
    classifier: Classifier, points: str, tmp_path: Path
) -> None:
    task = classifier()
    task.output = "classes"
    assert predictor_of(task.export(tmp_path / "out")).predict(points) == task.predict(points)


@pytest.mark.parametrize("output", ["logits", len])
def test_an_output_that_the_folder_lacks_comes_with_a_warning(
    classifier: Classifier, points: str, tmp_path: Path, output: Any
) -> None:
    task = classifier()
    task.output = output
    with pytest.warns(UserWarning, match="Expected task.output to be one that the folder has too, but it is "):
        folder = task.export(tmp_path / "out")
    task.output = None
    assert predictor_of(folder).predict(points) == task.predict(points)


def test_the_task_is_as_before(classifier: Classifier, points: str, tmp_path: Path) -> None:
    task = classifier()
    task.train()
    before = {name: value.clone() for name, value in task.state_dict().items()}
    predicted = task.predict(points, "probabilities")
    task.export(tmp_path / "out")
    assert task.training
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())
    assert task.predict(points, "probabilities") == predicted


@pytest.mark.process
@pytest.mark.parametrize("name", ["onnx"])
def test_the_program_needs_neither_torch_nor_flash(
    classifier: Classifier, points: str, tmp_path: Path, name: str
) -> None:
    task = classifier()
    folder = task.export(tmp_path / "out", name)
    blocked = "import sys\nfor name in ('torch', 'flash', 'pandas', 'onnx'):\n    sys.modules[name] = None\n"
    run = (
        f"import runpy\nsys.argv[0] = {str(folder / 'predict.py')!r}\nrunpy.run_path(sys.argv[0], run_name='__main__')"
    )
    written = tmp_path / "predictions.jsonl"
    for options in ([], ["-o", str(written)]):
        done = subprocess.run(
            [sys.executable, "-I", "-c", blocked + run, points, *options], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        lines = (written.read_text() if options else done.stdout).splitlines()
        assert [json.loads(line)["prediction"] for line in lines] == task.predict(points)
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("a,b\n1,2\n")
    command = [sys.executable, str(folder / "predict.py"), str(wrong)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "Expected the columns x and y, but got ['a', 'b'].\n")


class TestProgram:
    """The program on a command line: what goes wrong is said in a sentence, and nothing is lost."""

    @pytest.fixture
    def run(self, classifier: Classifier, tmp_path: Path) -> Callable[..., Any]:
        folder = classifier().export(tmp_path / "out", "onnx")

        def run_program(*arguments: str, **options: Any) -> Any:
            command = [sys.executable, str(folder / "predict.py"), *arguments]
            return subprocess.run(command, capture_output=True, check=False, **options)

        return run_program

    @pytest.mark.process
    def test_characters_that_a_pipe_cannot_take_are_escaped(self, points: str, tmp_path: Path) -> None:
        task = PointClassifier(labels=["sí", "\U0001f600", "o"], model=nn.Linear(2, 3))
        folder = task.export(tmp_path / "out", "onnx")
        command = [sys.executable, str(folder / "predict.py"), points]
        environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        assert [json.loads(line)["prediction"] for line in done.stdout.splitlines()] == task.predict(points)

    @pytest.mark.process
    def test_a_file_that_cannot_be_written_or_read_is_named(
        self, run: Callable[..., Any], points: str, tmp_path: Path
    ) -> None:
        for arguments, name in (((points, "-o", str(tmp_path / "no" / "x")), "x"), ((str(tmp_path / "no.csv"),), "no")):
            done = run(*arguments, text=True)
            assert done.returncode == 1
            assert "Expected a file that can be read or written, but" in done.stderr
            assert f"{name}" in done.stderr
            assert done.stderr.endswith("cannot be: No such file or directory.\n")

    @pytest.mark.process
    def test_a_wrong_input_leaves_the_predictions_of_before(self, run: Callable[..., Any], tmp_path: Path) -> None:
        kept, wrong = tmp_path / "kept.jsonl", tmp_path / "wrong.csv"
        kept.write_text("before")
        wrong.write_text("a,b\n1,2\n")
        assert run(str(wrong), "-o", str(kept)).returncode == 1
        assert kept.read_text() == "before"

    @pytest.mark.process
    def test_a_package_that_is_missing_is_named(self, run: Callable[..., Any], points: str, tmp_path: Path) -> None:
        (tmp_path / "onnxruntime.py").write_text("raise ImportError('none', name='onnxruntime')")
        done = run(points, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)})
        expected = "Expected onnxruntime to be installed: pip install numpy onnxruntime\n"
        assert (done.returncode, done.stderr) == (1, expected)


def test_tables_of_another_encoding_or_separator_are_read_if_it_is_named(
    classifier: Classifier, tmp_path: Path
) -> None:
    path = tmp_path / "points.csv"
    path.write_text("x:y:größe\n1:2:3\n3:4:5\n", encoding="cp1252")
    predictor = predictor_of((task := classifier()).export(tmp_path / "out"))
    reading: Any = {"sep": ":", "encoding": "cp1252"}
    assert predictor.predict(str(path), **reading) == task.predict([[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(ValueError, match=r"Expected a table of UTF-8 text in .*points.csv, but: .*--encoding cp1252"):
        predictor.predict(str(path), sep=":")
    with pytest.raises(
        ValueError, match="Expected encoding to be one that Python knows, such as 'cp1252', but got 'x'"
    ):
        predictor.predict(str(path), encoding="x")
    with pytest.raises(ValueError, match="Expected batch_size to be a whole number of at least 1, but got -1"):
        predictor.predict(str(path), batch_size=-1)


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
def test_a_compressed_table_that_is_damaged_is_an_error(classifier: Classifier, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"points.csv.{suffix}"
    path.write_bytes(b"x,y\n1,2\n")
    with pytest.raises(ValueError, match=r"Expected a compressed table in .*points.csv.*, but it is damaged: "):
        predictor_of(classifier().export(tmp_path / "out")).predict(str(path))


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_any_precision_are_exported_in_single_precision(
    classifier: Classifier, points: str, tmp_path: Path, precision: torch.dtype
) -> None:
    task = classifier().to(precision)
    before = {name: value.clone() for name, value in task.state_dict().items()}
    folder = task.export(tmp_path / "out", "onnx")
    found = predictor_of(folder).predict(points, "probabilities")
    expected = torch.tensor(task.predict(points, "probabilities"))
    torch.testing.assert_close(torch.tensor(found), expected, atol=0.02, rtol=0, check_dtype=False)
    assert all(
        value.dtype == before[name].dtype and torch.equal(value, before[name])
        for name, value in task.state_dict().items()
    )


def test_a_wrong_output_is_an_error(classifier: Classifier, points: str, tmp_path: Path) -> None:
    predictor = predictor_of(classifier().export(tmp_path / "out"))
    with pytest.raises(ValueError, match="Expected output to be labels, classes, probabilities or raw, but got 'top3'"):
        predictor.predict(points, "top3")


@pytest.mark.parametrize("packed", ["points.csv.gz", "points.tsv", "utf-16"])
def test_tables_are_read_as_in_flash(classifier: Classifier, tmp_path: Path, packed: str) -> None:
    text = "x,y\n1,2\n3,4\n"
    path = tmp_path / (packed if packed != "utf-16" else "points.csv")
    if packed == "utf-16":
        path.write_text(text, encoding="utf-16")
    elif packed.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text.replace(",", "\t"))
    task = classifier()
    assert predictor_of(task.export(tmp_path / "out")).predict(str(path)) == task.predict(str(path))


def test_a_table_of_another_format_is_an_error(classifier: Classifier, tmp_path: Path) -> None:
    path = tmp_path / "points.parquet"
    path.write_bytes(b"PAR1")
    expected = r"Expected a table of delimited text, such as CSV, or of JSON Lines, but got .*points.parquet"
    with pytest.raises(ValueError, match=expected):
        predictor_of(classifier().export(tmp_path / "out")).predict(str(path))


@pytest.mark.parametrize("name", ["points.jsonl", "points.ndjson", "points.jsonl.gz"])
def test_a_table_of_json_lines_is_read(classifier: Classifier, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    text = '{"x": 1, "y": 2.5}\n\n{"y": null, "x": -3}\n{"x": 4, "note": "a\u2028b"}\n'
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    task = classifier()
    predictor = predictor_of(task.export(tmp_path / "out"))
    assert predictor.predict(str(path)) == task.predict(str(path))
    path.write_bytes(b'{"x": 1}\n[2]\n')
    with pytest.raises(ValueError, match=r"Expected JSON in .*, but: line 2 is no object, but '\[2\]'"):
        predictor_of(tmp_path / "out").predict(str(path.rename(tmp_path / "wrong.jsonl")))


class TestDamaged:
    @pytest.fixture
    def folder(self, classifier: Classifier, tmp_path: Path) -> Path:
        return classifier().export(tmp_path / "out")

    @pytest.mark.parametrize("name", ["model.pt2", "encoder.py", "note.txt", "runner.py", "delimited.py"])
    def test_a_file_that_was_changed_is_named(self, folder: Path, name: str) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"but in .*out {name} was changed. Copy it again, or export again"):
            predictor_of(folder)
        (folder / name).unlink()
        with pytest.raises(ValueError, match=f"but in .*out {name} cannot be read"):
            predictor_of(folder)

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b"\xff", b'{"version": 1, "files": 3}'])
    def test_a_description_that_is_none_is_an_error(self, folder: Path, content: bytes) -> None:
        (folder / "export.json").write_bytes(content)
        with pytest.raises(ValueError, match="but in .*out export.json cannot be read"):
            predictor_of(folder)

    def test_a_description_that_was_changed_is_an_error(self, folder: Path) -> None:
        path = folder / "export.json"
        path.write_text(path.read_text().replace('"unit": 2.0', '"unit": 3.0'))
        with pytest.raises(ValueError, match="but in .*out export.json was changed"):
            predictor_of(folder)

    def test_a_later_version_is_an_error(self, folder: Path) -> None:
        description = {**description_of(folder), "version": 2}
        description["sha256"] = checksum(description)
        (folder / "export.json").write_text(json.dumps(description))
        with pytest.raises(ValueError, match=r"Expected an export of version 1 or older, but .* has version 2: "):
            predictor_of(folder)

    def test_a_name_in_it_is_no_path(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("secret")
        description = {**description_of(folder), "files": {"../secret": "0" * 64}}
        description["sha256"] = checksum(description)
        (folder / "export.json").write_text(json.dumps(description))
        with pytest.raises(ValueError, match="secret cannot be read"):
            predictor_of(folder)

    @pytest.mark.process
    def test_the_program_says_it_in_a_sentence(self, folder: Path, points: str) -> None:
        (folder / "model.pt2").write_bytes(b"half")
        command = [sys.executable, str(folder / "predict.py"), points]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith("Expected a folder as task.export wrote it, but in ")
        assert done.stderr.count("\n") == 1


def writes(content: bytes) -> Callable[..., None]:
    """Return the writer of a format that writes these bytes."""

    def write(program: Any, inputs: Any, outputs: Any, path: Path) -> None:
        path.write_bytes(content)

    return write


class TestWhatGoesWrong:
    @pytest.mark.parametrize("network", [Branching(), OfOneSize()])
    def test_a_network_that_cannot_be_traced(self, tmp_path: Path, network: nn.Module) -> None:
        expected = "Expected a network that torch.export can trace with a batch of any size, but PointTask cannot be: "
        with pytest.raises(ExportError, match=expected):
            PointTask(network).export(tmp_path / "out")
        assert nothing_is_left(tmp_path / "out")

    def test_a_file_that_disagrees_is_removed(self, classifier: Classifier, tmp_path: Path) -> None:
        other = classifier().export(tmp_path / "other") / "model.pt2"
        copying = replace(PT2, write=writes(other.read_bytes()))
        expected = "Expected the output probabilities of PointClassifier with batch 1 to agree with the task within"
        with pytest.raises(ExportError, match=expected):
            write_export(classifier(), tmp_path / "out", copying)
        assert nothing_is_left(tmp_path / "out")

    def test_a_file_with_outputs_of_another_shape_is_removed(self, classifier: Classifier, tmp_path: Path) -> None:
        other = PointClassifier(num_classes=2, model=nn.Linear(2, 2))
        first = other.export(tmp_path / "other") / "model.pt2"
        copying = replace(PT2, write=writes(first.read_bytes()))
        with pytest.raises(ExportError, match=r"with batch 1 to have shape \(1, 3\), as of the task"):
            write_export(classifier(), tmp_path / "out", copying)
        assert nothing_is_left(tmp_path / "out")

    def test_a_file_that_cannot_be_loaded_is_removed(self, classifier: Classifier, tmp_path: Path) -> None:
        broken = replace(ONNX, write=writes(b"no network"))
        with pytest.raises(ExportError, match="Expected a file of PointClassifier that can be loaded, but it cannot"):
            write_export(classifier(), tmp_path / "out", broken)
        assert nothing_is_left(tmp_path / "out")

    def test_a_file_that_runs_for_one_size_only_is_removed(self, classifier: Classifier, tmp_path: Path) -> None:
        task = classifier()

        def fixed(program: Any, inputs: Any, outputs: Any, path: Path) -> None:
            torch.export.save(
                torch.export.export(task.exported_parts(_INPUTS)["model"].module, (torch.zeros(3, 2),)), path
            )

        with pytest.raises(ExportError, match="Expected a file of PointClassifier that runs with batch 1, but it does"):
            write_export(task, tmp_path / "out", replace(PT2, write=fixed))
        assert nothing_is_left(tmp_path / "out")

    def test_an_operation_that_a_format_lacks(self, classifier: Classifier, tmp_path: Path) -> None:
        def refuse(program: Any, inputs: Any, outputs: Any, path: Path) -> None:
            raise NotImplementedError("no such\noperation")

        expected = "Expected a network that can be written as pt2, but PointClassifier cannot be: no such operation."
        with pytest.raises(ExportError, match=expected):
            write_export(classifier(), tmp_path / "out", replace(PT2, write=refuse))

    def test_a_full_disk(self, classifier: Classifier, tmp_path: Path) -> None:
        def fill(program: Any, inputs: Any, outputs: Any, path: Path) -> None:
            raise OSError(28, "No space left on device")

        with pytest.raises(CheckpointError, match=r"The folder .*out could not be written: .*No space left on device"):
            write_export(classifier(), tmp_path / "out", replace(PT2, write=fill))
        assert nothing_is_left(tmp_path / "out")

    def test_a_folder_with_files_in_it(self, classifier: Classifier, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").touch()
        with pytest.raises(ConfigurationError, match="Expected an empty or a new folder for the export, but "):
            classifier().export(tmp_path)
        (tmp_path / "empty").mkdir()
        assert (classifier().export(tmp_path / "empty") / "model.pt2").is_file()

    def test_inputs_that_nobody_knows(self, tmp_path: Path) -> None:
        expected = (
            "Expected to know the inputs of the network, but Preprocess.portable does not say how inputs are made"
        )
        with pytest.raises(ConfigurationError, match=expected):
            Task(nn.Linear(2, 1)).export(tmp_path / "out")

    def test_inputs_that_the_network_does_not_take(self, tmp_path: Path) -> None:
        expected = r"Expected inputs that Task takes, but with float32 of shape \('batch', 3\) it raised: .* shapes"
        with pytest.raises(ExportError, match=expected):
            Task(nn.Linear(2, 1)).export(tmp_path / "out", inputs=torch.zeros(2, 3))

    def test_an_option_that_the_format_lacks(self, classifier: Classifier, tmp_path: Path) -> None:
        expected = r"Expected arguments that task.export\(format='pt2'\) takes, but got 'quantize'"
        with pytest.raises(UnknownArgumentError, match=expected):
            classifier().export(tmp_path / "out", quantize=True)
        assert not (tmp_path / "out").exists()

    def test_a_name_that_is_a_path(self, classifier: Classifier, tmp_path: Path) -> None:
        class Hostile(Points):
            def portable(self) -> Portable:
                return replace(super().portable(), files={"../outside.txt": "x"})

        with pytest.raises(ExportError, match=r"Expected the name of a file, without folders, but got '../outside"):
            classifier(preprocess=Hostile()).export(tmp_path / "out")
        assert not (tmp_path / "outside.txt").exists()

        class Odd(PointTask):
            def exported_parts(self, inputs: Any) -> dict[str, ExportedPart]:
                return {"../model": super().exported_parts(inputs)["model"]}

        with pytest.raises(ExportError, match=r"Expected an identifier as the name of a network, but got '../model'"):
            Odd(nn.Linear(2, 1)).export(tmp_path / "out")

    def test_an_encoder_that_imports_flash(self) -> None:
        with pytest.raises(ExportError, match="Expected points_domain to import nothing of Flash"):
            standalone_source("points_domain")

    def test_predictions_that_are_no_tensors(self, tmp_path: Path) -> None:
        class Words(PointTask):
            def forward(self, x: Any) -> Any:
                return ["word"] * len(x)

        with pytest.raises(
            ConfigurationError, match="Expected predictions that are a tensor, or a dict of tensors, but"
        ):
            Words(nn.Linear(2, 1)).export(tmp_path / "out")

    def test_a_format_that_is_unknown(self, classifier: Classifier, tmp_path: Path) -> None:
        with pytest.raises(UnknownNameError, match=r"'onx' is not among the formats of export. Did you mean 'onnx'"):
            classifier().export(tmp_path / "out", "onx")

    def test_no_plugin_that_exports(self, classifier: Classifier, tmp_path: Path) -> None:
        task = classifier()
        with isolated_plugins(), pytest.raises(PluginError, match="Expected a plugin that exports tasks as 'pt2', but"):
            task.export(tmp_path / "out")


_INPUTS = TensorSpec("float32", ("batch", 2))


class TestWithoutProgram:
    """The network is written alone, and it is said why, where raw inputs cannot be encoded without Flash."""

    @staticmethod
    def reason(task: Task, folder: Path, **options: Any) -> str:
        with pytest.warns(UserWarning, match="Expected to write predict.py too, which makes inputs from raw data, but"):
            task.export(folder, **options)
        assert {file.name for file in folder.iterdir()} == {"export.json", "model.pt2"}
        reason: str = description_of(folder)["preprocess"]["reason"]
        return reason

    def test_a_batch_says_what_the_inputs_are(self, tmp_path: Path) -> None:
        task = Task(nn.Linear(3, 1))
        assert "Preprocess.portable" in self.reason(task, tmp_path / "out", inputs=torch.randn(4, 3))
        assert description_of(tmp_path / "out")["networks"]["model"]["inputs"] == {
            "input": {"dtype": "float32", "shape": ["batch", 3]}
        }
        with pytest.raises(ConfigurationError, match="Expected a batch of inputs as the network takes them, a tensor"):
            task.export(tmp_path / "other", inputs="batch")

    def test_a_hook_that_is_overridden(self, classifier: Classifier, tmp_path: Path) -> None:
        class Shifted(Points):
            def predict_to_tensor_transform(self, sample: Any) -> Any:
                return super().to_tensor_transform(sample) + 1

        task = classifier(preprocess=Shifted())
        with pytest.raises(ConfigurationError, match="Shifted overrides to_tensor_transform, of which Points.portable"):
            task.export(tmp_path / "out")
        reason = self.reason(task, tmp_path / "out", inputs=torch.randn(4, 2))
        assert reason == "Shifted overrides to_tensor_transform, of which Points.portable does not know"

    def test_a_postprocess_that_changes_results(self, classifier: Classifier, tmp_path: Path) -> None:
        class Louder(Postprocess):
            def per_sample_transform(self, sample: Any) -> Any:
                return str(sample).upper()

        reason = self.reason(classifier(postprocess=Louder()), tmp_path / "out")
        assert reason == "Louder changes results in a way that the file does not"


class WithEmptyParts(nn.Module):
    """A network with tensors that are empty parts of others, as of a table without categories."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 3)
        self.register_buffer("kept", torch.tensor([1])[:0])
        self.register_buffer("starts", torch.tensor([1])[:0], persistent=False)
        self.empty = nn.Parameter(torch.ones(1)[:0])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) + self.kept.sum() + self.starts.sum() + self.empty.sum()


@pytest.mark.parametrize("name", ["pt2", "onnx"])
def test_empty_tensors_are_written_and_no_file_has_a_path_of_the_machine(
    tmp_path: Path, points: str, name: str
) -> None:
    task = PointClassifier(3, model=WithEmptyParts())
    folder = task.export(tmp_path / "out", name)
    assert predictor_of(folder).predict(points) == task.predict(points)
    (file,) = folder.glob("model.*")
    content = file.read_bytes()
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            content = b"".join(map(archive.read, archive.namelist()))
    assert str(Path(__file__).parent).encode() not in content
    assert b"site-packages" not in content


def test_another_plugin_adds_a_format(classifier: Classifier, points: str, tmp_path: Path) -> None:
    class Plugin:
        @hookimpl
        def flash_exporters(self) -> Any:
            yield Exporter("acme", target=f"{__name__}:export_acme", scope="*", summary="A format of Acme.")

    task = classifier()
    sys.modules.setdefault(__name__, sys.modules[export_acme.__module__])
    with isolated_plugins(Plugin()) as host:
        assert list(host.exporters("points/classification")) == ["acme"]
        folder = task.export(tmp_path / "out", "acme")
    assert (folder / "model.acme").is_file()
    assert predictor_of(folder).predict(points) == task.predict(points)


def export_acme(task: Task, folder: Path, inputs: Any = None) -> Path:
    return write_export(task, folder, Format("acme", ".acme", PT2.write, PT2.runner), inputs)


def test_nothing_is_printed(classifier: Classifier, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier().export(tmp_path / "out", "onnx", quantize=True)
    assert capfd.readouterr() == ("", "")


def killing(program: Any, inputs: Any, outputs: Any, path: Path) -> None:
    """Write half a file, and be killed."""
    path.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.process
def test_an_export_that_was_killed_leaves_nothing_for_the_next_one(classifier: Classifier, tmp_path: Path) -> None:
    task = classifier()
    process = multiprocessing.get_context("fork").Process(
        target=write_export, args=(task, tmp_path / "out", replace(PT2, write=killing))
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert [file.name for file in left.iterdir()] == ["model.pt2"]
    os.utime(left, (time.time() - 60,) * 2)
    task.export(tmp_path / "out", "pt2")
    assert [file.name for file in tmp_path.iterdir()] == ["out"]
    assert "export.json" in {file.name for file in (tmp_path / "out").iterdir()}
