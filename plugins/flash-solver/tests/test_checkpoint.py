from __future__ import annotations

import multiprocessing
import pathlib
import pickletools
import threading
import zipfile
from collections import OrderedDict, defaultdict
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flash.errors import CheckpointError, UnsafeCheckpointError
from flash.serialization import link_or_copy, write_checkpoint
from flash.solver import EMA, AdversarialLoss, BaseSolver, StateError, averager
from flash.solver.checkpoint import read_checkpoint
from flash.solver.serialization import state_to_serializable


class Color(Enum):
    RED = "red"


class Solver(BaseSolver):
    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self.it: Any = {}
        self.register_stateful("it")


def test_a_checkpoint_is_data_that_torch_loads_without_executing_anything(tmp_path: Path) -> None:
    solver = Solver(tmp_path)
    solver.it = {
        "array": np.arange(3, dtype=np.float32),
        "scalar": np.float64(2),
        "path": Path("a/b"),
        "enum": Color.RED,
        "set": {1, 2},
        "tuple": (1, "x", None, True, 2j, b"y"),
        "default": defaultdict(list, {"a": [1]}),
        "ordered": OrderedDict(a=torch.ones(1)),
        "dtype": torch.float16,
        3: "number as key",
    }
    solver.commit()
    with torch.serialization.safe_globals([set, complex]):  # torch 2.5 does not allow them by itself.
        torch.load(solver.checkpoint_path, weights_only=True)
    again = Solver(tmp_path)
    assert again.restore()
    assert isinstance(again.it["array"], np.ndarray)
    assert again.it["array"].dtype == np.float32
    assert again.it["array"].tolist() == [0, 1, 2]
    assert again.it["scalar"] == 2
    assert again.it["path"] == "a/b"
    assert again.it["enum"] == "red"
    assert again.it["set"] == {1, 2}
    assert again.it["tuple"] == (1, "x", None, True, 2j, b"y")
    assert again.it["default"] == {"a": [1]}
    assert again.it["dtype"] == torch.float16
    assert again.it[3] == "number as key"


def test_what_cannot_be_saved_is_named_with_its_place_and_the_epoch_is_not_committed(tmp_path: Path) -> None:
    solver = Solver(tmp_path)
    solver.commit()
    solver.it = {"models": [1, object()]}
    solver.run_stage("train", dict)
    with pytest.raises(StateError, match=r"state\['it'\]\['models'\]\[1\] is a object"):
        solver.commit()
    assert len(solver.history) == 1
    solver.it = {}
    solver.commit()
    assert [list(epoch) for epoch in solver.history] == [[], ["train"]]


def test_a_file_that_would_execute_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (pathlib.Path.touch, (tmp_path / "pwned",))

    torch.save({"history": [], "it": Evil()}, tmp_path / "checkpoint.th")
    with pytest.raises(UnsafeCheckpointError, match="would execute code, so it was refused"):
        Solver(tmp_path).restore()
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "list"])
def test_a_damaged_file_is_a_readable_error(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "checkpoint.th"
    write_checkpoint({"a": torch.zeros(1000)}, path)
    content = path.read_bytes()
    if damage == "list":
        torch.save([1], path)
    else:
        path.write_bytes({"truncated": content[: len(content) // 2], "text": b"hello", "empty": b""}[damage])
    with pytest.raises(CheckpointError, match="is truncated or damaged, or is another kind of file"):
        read_checkpoint(path)


def test_a_file_that_is_not_there_is_a_readable_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no such file"):
        read_checkpoint(tmp_path / "none.th")


def test_weights_that_do_not_fit_are_an_error_of_the_file(tmp_path: Path) -> None:
    solver = Solver(tmp_path)
    solver.it = torch.nn.Linear(2, 1)
    solver.commit()
    again = Solver(tmp_path)
    again.it = torch.nn.Linear(3, 1)
    with pytest.raises(CheckpointError, match=r"(?s)the state in .* does not fit: .*size mismatch"):
        again.restore()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    solver = Solver(tmp_path)
    solver.it = {"a": 1}
    solver.commit()

    def full(state: Any, file: Any) -> None:
        file.write(b"half a checkpoint")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full)
    solver.it = {"a": 2}
    with pytest.raises(CheckpointError, match="could not be written: No space left on device"):
        solver.commit()
    monkeypatch.undo()
    again = Solver(tmp_path)
    assert again.restore()
    assert again.it == {"a": 1}
    assert [path.name for path in tmp_path.iterdir() if "tmp" in path.name] == []


def test_an_asynchronous_checkpoint_has_the_values_of_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    solver = Solver(tmp_path, asynchronous=True)
    solver.it = {"weight": torch.zeros(3), "list": [1]}
    go, save = threading.Event(), torch.save

    def slow(*args: Any) -> None:
        assert go.wait(10)
        save(*args)

    monkeypatch.setattr(torch, "save", slow)
    solver.commit()
    assert not solver.checkpoint_path.exists()
    solver.it["weight"] += 1
    solver.it["list"].append(2)
    go.set()
    solver.wait_for_checkpoint()
    stored = read_checkpoint(solver.checkpoint_path)["it"]
    assert stored["weight"].tolist() == [0, 0, 0]
    assert stored["list"] == [1]
    assert (tmp_path / "history.json").exists()


@pytest.mark.parametrize("when", ["commit", "wait_for_checkpoint", "restore"])
def test_an_error_in_the_background_is_raised_at_the_next_opportunity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    solver = Solver(tmp_path, asynchronous=True)

    def full(*args: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full)
    solver.commit()
    with pytest.raises(CheckpointError, match="No space left on device"):
        getattr(solver, when)()
    monkeypatch.undo()
    solver.commit(wait=True)
    assert solver.checkpoint_path.exists()


def test_a_checkpoint_names_no_class_of_this_package_so_that_its_modules_may_move(tmp_path: Path) -> None:
    solver: Any = Solver(tmp_path)
    solver.model = torch.nn.Linear(2, 1)
    solver.ema, solver.average = EMA(solver.model), averager()
    solver.loss = AdversarialLoss(torch.nn.Linear(2, 1), torch.optim.SGD(solver.model.parameters(), lr=0.1))
    solver.register_stateful("model", "ema", "average", "loss")
    solver.average({"loss": torch.tensor(1.0)})
    solver.keep_checkpoints(last=1)
    solver.commit()
    with zipfile.ZipFile(solver.checkpoint_path) as file:
        (pickled,) = (name for name in file.namelist() if name.endswith("data.pkl"))
        names = {str(value) for _, value, _ in pickletools.genops(file.read(pickled))}
    assert "average" in names
    assert not any("flash" in name and name != "_flash" for name in names)


def test_configurations_are_saved_as_dicts_with_their_interpolations(tmp_path: Path) -> None:
    omegaconf = pytest.importorskip("omegaconf", reason="comes with Hydra")
    solver = Solver(tmp_path)
    solver.it = omegaconf.OmegaConf.create({"lr": 0.1, "twice": "${lr}", "sizes": [1, 2]})
    solver.commit()
    assert read_checkpoint(solver.checkpoint_path)["it"] == {"lr": 0.1, "twice": "${lr}", "sizes": [1, 2]}
    solver.it = omegaconf.OmegaConf.create({"lr": 1.0})
    assert solver.restore()
    assert solver.it.twice == 0.1


def test_copies_share_nothing_with_what_they_were_made_of() -> None:
    weight = torch.zeros(2)
    copied = state_to_serializable({"a": [weight]}, copy=True)
    weight += 1
    assert copied["a"][0].tolist() == [0, 0]


def test_without_a_path_there_may_be_no_checkpoint_yet(tmp_path: Path) -> None:
    assert not Solver(tmp_path / "new").restore()
    assert not Solver(tmp_path).restore(best=True)


@pytest.mark.parametrize("best", [False, True])
def test_a_path_that_is_not_there_is_an_error_and_no_start_from_scratch(tmp_path: Path, best: bool) -> None:
    with pytest.raises(CheckpointError, match="there is no such file. Check the path"):
        Solver(tmp_path).restore(tmp_path / "typo.th", best=best)
    with pytest.raises(CheckpointError, match=r"but got s3://bucket/checkpoint\.th\. Download it first"):
        Solver(tmp_path).restore("s3://bucket/checkpoint.th")


def test_a_newest_checkpoint_that_is_no_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.th").symlink_to(tmp_path / "gone")
    with pytest.raises(CheckpointError, match="there is no such file"):
        Solver(tmp_path).restore()
    (tmp_path / "checkpoint.th").unlink()
    (tmp_path / "checkpoint.th").mkdir()
    with pytest.raises(CheckpointError, match="but it is a folder"):
        Solver(tmp_path).restore()


def test_a_file_in_the_place_of_the_folder_is_an_error_before_training_and_when_writing(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(
        CheckpointError, match=f"Expected a folder for checkpoints at {tmp_path / 'run'}, but it is not"
    ):
        Solver(tmp_path / "run").restore()
    solver = Solver(tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"is not a folder, or below a file\..*BaseSolver\(folder=\.\.\.\)"):
        solver.commit()
    with pytest.raises(CheckpointError, match=r"history\.json could not be written: .*BaseSolver\(folder=\.\.\.\)"):
        solver.commit(save_checkpoint=False)
    assert solver.epoch == 1
    assert (tmp_path / "run").read_text() == "a file"


def test_a_name_that_no_folder_can_have_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="or none, but the folder cannot be read: .*Choose another folder"):
        Solver(tmp_path / ("x" * 5000)).restore()


@pytest.mark.parametrize("name", ["best.th", "checkpoint_1.th", "history.json"])
def test_what_cannot_be_written_beside_the_checkpoint_is_one_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    solver = Solver(tmp_path)
    solver.keep_checkpoints(last=1, best="train/loss")
    solver.run_stage("train", lambda: {"loss": 1.0})
    with pytest.raises(CheckpointError, match=r"could not be written: .* Free some space, or choose another folder"):
        solver.commit()
    assert not list(tmp_path.glob(".*.tmp"))


RUN = {"format": 1, "id": "one", "ranks": [], "pending": {}, "stage": None}


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ({"_flash": 3}, "the state of the run in .* is damaged. Use an earlier checkpoint"),
        ({"_flash": {"format": 1}}, "the state of the run in .* is damaged"),
        ({"_flash": {**RUN, "ranks": 5}}, "the state of the run in .* is damaged"),
        ({"_flash": {**RUN, "format": 99}}, "was written by a later one: pip install --upgrade flash-solver"),
        ({"_flash": {**RUN, "ranks": [{}]}}, "does not fit"),
        ({"_flash": {**RUN, "ranks": [{"random": {}}]}}, "Expected the states of random generators"),
        ({"history": 5}, "the history in a checkpoint to be a list of epochs, but got a int"),
        ({"history": [1]}, "the history in a checkpoint to be a list of epochs, but got a list of something else"),
        ({"it": {"__numpy__": 1, "dtype": "f8"}}, "The checkpoint was refused: 'f8' of a int is not an array"),
        ({"it": {"__reference__": "os:system"}}, "The checkpoint was refused: 'os:system' is not a name"),
    ],
)
def test_a_file_with_other_values_than_a_solver_writes_is_an_error(
    tmp_path: Path, stored: dict[str, Any], said: str
) -> None:
    write_checkpoint({"history": [], "it": {}, **stored}, tmp_path / "checkpoint.th")
    with pytest.raises(CheckpointError, match=said):
        Solver(tmp_path).restore()


def test_values_that_contain_themselves_are_an_error(tmp_path: Path) -> None:
    endless: list[Any] = []
    endless.append(endless)
    torch.save({"history": [], "it": endless}, tmp_path / "checkpoint.th")
    with pytest.raises(CheckpointError, match="contain each other too deeply. It is of another program"):
        Solver(tmp_path).restore()


@pytest.mark.process
def test_two_writers_at_once_leave_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.th"
    write_checkpoint({"w": torch.zeros(50_000)}, path)

    def write(value: float) -> None:
        for _ in range(15):
            write_checkpoint({"w": torch.full((50_000,), value)}, path)
            link_or_copy(path, tmp_path / "best.th")

    writers = [multiprocessing.get_context("fork").Process(target=write, args=(value,)) for value in (1.0, 2.0)]
    for each in writers:
        each.start()
    while any(each.is_alive() for each in writers):
        found = read_checkpoint(path)["w"]
        assert bool((found == found[0]).all())
    assert [each.exitcode for each in writers] == [0, 0]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["best.th", "checkpoint.th"]
