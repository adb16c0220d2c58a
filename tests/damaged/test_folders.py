"""Damaged folders of the Hub and of exports, at each door: a right answer or an error in a sentence, and no code."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from flash import Task
from flash.cli import main
from flash.download import digest
from flash.serialization import folders
from flash.tabular import TabularClassificationData, TabularClassifier

from .corpus import OTHERS, Damaged, damaged_bytes, damaged_values, other_formats, outcome

pytestmark = [pytest.mark.train, pytest.mark.slow]

#: How many damaged files there are of each kind; docs/promises.md has the sum.
BYTES, VALUES, HOSTILE = 48, 120, 6
HUB_FILES = (folders.WEIGHTS, folders.DESCRIPTION)
EXPORTED_FILES = ("export.json", "model.pt2", "encoder.py")
COUNT = (len(HUB_FILES) + len(EXPORTED_FILES)) * (BYTES + OTHERS) + VALUES + HOSTILE

FRAME = pd.DataFrame({"size": [1.0, 2.0, 3.0, 4.0] * 4, "city": list("xyxz") * 4, "y": list("pq") * 8})


_SENTENCE = r"Expected a folder as task\.export wrote it, but in .+\. Copy it again, or export again\."


@pytest.fixture(scope="module")
def task() -> TabularClassifier:
    data = TabularClassificationData.from_data_frame(target_fields="y", train_data_frame=FRAME, verbose=False)
    torch.manual_seed(1)
    sizes = {"n_blocks": 1, "d_block": 8, "d_embedding": 2}
    return TabularClassifier.from_data(data, backbone="mlp", backbone_kwargs=sizes)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    FRAME[["size", "city"]].head(4).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def hub_folder(task: TabularClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "task"
    task.save_pretrained(folder)
    return folder


class Doors:
    """The doors that take a folder of the Hub; each is asked for the predictions."""

    def __init__(self, task: Task, folder: Path, rows: Path) -> None:
        self.folder, self.rows = folder, rows
        self.right = task.predict(str(rows), "probabilities")

    def wrongs(self, name: str) -> Iterator[str]:
        """Yield what is wrong at each door."""
        for door in (Task.from_pretrained, Task.load_from_checkpoint):
            result = outcome(partial(self.predict, door), self._is_right)
            if result.wrong:
                yield f"{name}, {door.__name__}: {result.wrong}"

    def predict(self, door: Callable[[Path], Task]) -> Any:
        """Predict the rows with the task of the folder."""
        return door(self.folder).predict(str(self.rows), "probabilities")

    def _is_right(self, found: Any) -> bool:
        return bool(found == self.right)


@pytest.fixture
def doors(task: Task, hub_folder: Path, rows: Path, tmp_path: Path) -> Doors:
    folder = tmp_path / "task"
    shutil.copytree(hub_folder, folder)
    return Doors(task, folder, rows)


@pytest.mark.parametrize("name", HUB_FILES)
def test_a_damaged_file_of_a_hub_folder_is_an_error_at_each_door(doors: Doors, name: str, tmp_path: Path) -> None:
    path, marker = doors.folder / name, tmp_path / "code ran"
    wrong: list[str] = []
    damages = [*damaged_bytes(path.read_bytes(), 11, BYTES), *other_formats(marker)]
    assert len(damages) == BYTES + OTHERS
    for damage in damages:
        path.write_bytes(damage.content)
        wrong += doors.wrongs(damage.name)
        assert not marker.exists(), damage.name
    path.unlink()
    wrong += doors.wrongs("missing")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", HUB_FILES)
def test_the_command_says_it_in_a_sentence(
    doors: Doors, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = doors.folder / name
    content = path.read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"[" * 10_000, None):
        path.unlink() if damaged is None else path.write_bytes(damaged)
        code = main(["predict", str(doors.folder), str(doors.rows), "-o", str(tmp_path / "out.csv")])
        said = capsys.readouterr().err
        assert code != 0
        assert "xpected" in said
        assert "Traceback" not in said
        assert not (tmp_path / "out.csv").exists()


def described_anew(folder: Path, description: Any) -> None:
    """Write ``flash.json`` as someone would who changes it on purpose, with checksums that fit."""
    description = json.loads(json.dumps(description, default=str))
    if isinstance(description, dict):
        described = {key: value for key, value in description.items() if key not in ("flash_folder", "sha256")}
        with contextlib.suppress(ValueError):  # NaN, which no JSON of the house has
            description = {**description, "sha256": folders._checksum(described)}
    (folder / folders.DESCRIPTION).write_text(json.dumps(description))


def test_a_value_of_the_wrong_type_is_an_error_though_the_checksum_fits(doors: Doors, tmp_path: Path) -> None:
    description = json.loads((doors.folder / folders.DESCRIPTION).read_text())
    changed: list[Any] = []

    def keep(value: Any) -> bytes:
        changed.append(value)
        return b""

    damages = list(damaged_values(description, 12, VALUES, keep))
    assert len(damages) == len(changed) == VALUES
    wrong: list[str] = []
    for damage, each in zip(damages, changed, strict=True):
        described_anew(doors.folder, each)
        for door in (Task.from_pretrained, Task.load_from_checkpoint):
            # Whoever changes a value on purpose gets what it says; no value is a crash, and none is code.
            result = outcome(partial(doors.predict, door), lambda _: True)
            wrong += [f"{damage.name}, {door.__name__}: {result.wrong}"] if result.wrong else []
    assert not wrong, "\n".join(wrong)


def test_a_hostile_file_of_weights_is_an_error_though_the_checksum_fits(doors: Doors, tmp_path: Path) -> None:
    weights = doors.folder / folders.WEIGHTS
    sound = weights.read_bytes()
    description = json.loads((doors.folder / folders.DESCRIPTION).read_text())
    header = int.from_bytes(sound[:8], "little")
    save_file({"../../outside": torch.zeros(2), "/etc/passwd": torch.zeros(1)}, weights)
    paths = weights.read_bytes()
    hostile = [
        Damaged("names of paths", paths),
        Damaged("a header of an exabyte", (1 << 60).to_bytes(8, "little") + sound[8:]),
        Damaged("a header beyond the end", (len(sound) * 2).to_bytes(8, "little") + sound[8:]),
        Damaged("a header that is no JSON", header.to_bytes(8, "little") + b"x" * header + sound[8 + header :]),
        Damaged("tensors beyond the end", sound[: 8 + header]),
        Damaged("deep brackets", (100_000).to_bytes(8, "little") + b"[" * 100_000),
    ]
    assert len(hostile) == HOSTILE
    wrong: list[str] = []
    for damage in hostile:
        weights.write_bytes(damage.content)
        described_anew(doors.folder, {**description, "weights_sha256": digest(weights)})
        wrong += doors.wrongs(damage.name)
    assert not wrong, "\n".join(wrong)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["task"]


# ---------------------------------------------------------------------- exports


@pytest.fixture(scope="module")
def exported(task: TabularClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return task.export(tmp_path_factory.mktemp("export") / "out", "pt2")


@pytest.mark.parametrize("name", EXPORTED_FILES)
def test_a_damaged_file_of_an_export_is_an_error(
    task: Task, exported: Path, rows: Path, name: str, tmp_path: Path
) -> None:
    folder, marker = tmp_path / "out", tmp_path / "code ran"
    shutil.copytree(exported, folder)
    specification = importlib.util.spec_from_file_location(f"predict_{abs(hash(tmp_path))}", folder / "predict.py")
    assert specification is not None
    assert specification.loader is not None
    program = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(program)
    right = task.predict(str(rows))
    assert program.Predictor(folder).predict(str(rows)) == right
    path = folder / name
    content = path.read_bytes()
    damages = [*damaged_bytes(content, 13, BYTES), *other_formats(marker)]
    assert len(damages) == BYTES + OTHERS
    code = f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n".encode()
    for damage in [*damages, Damaged("code", code + content), Damaged("missing", b"")]:
        path.write_bytes(damage.content)
        if damage.name == "missing":
            path.unlink()
        try:
            assert program.Predictor(folder).predict(str(rows)) == right, damage.name
        except ValueError as error:
            said = str(error)
        else:
            said = ""
        assert not said or re.fullmatch(_SENTENCE, said, re.DOTALL), damage.name
        assert not marker.exists(), damage.name
