"""Checkpoints: self-contained, safe to load, written whole or not at all."""

from __future__ import annotations

import http.server
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn

import flash
from flash.core.checkpoint import FlashCheckpointIO
from flash.core.classification import ClassificationTask
from flash.errors import CheckpointError, DataError, UnsafeCheckpointError
from flash.serialization import (
    from_serializable,
    read_checkpoint,
    to_serializable,
    write_checkpoint,
)
from flash.testing import in_clean_process


class Scaled(flash.Preprocess):
    """Divides by the largest train value, which is its state."""

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset
        self.largest = 0.0

    def load_data(self, data: Any, dataset: Any) -> Any:
        if self.training:
            self.largest = float(data.abs().max())
            dataset.num_inputs = data.shape[1]
        return [(row, float(row.sum() > 0)) for row in data]

    def predict_load_data(self, data: Any) -> Any:
        return data

    def collate(self, samples: Any) -> Any:
        if self.predicting:
            return torch.stack(list(samples)) / self.largest + self.offset
        x, y = zip(*samples, strict=True)
        return torch.stack(x) / self.largest + self.offset, torch.tensor(y)

    def state_dict(self) -> dict[str, Any]:
        return {"largest": self.largest}

    def load_state_dict(self, state: Any) -> None:
        self.largest = state["largest"]


class Task(flash.Task):
    def __init__(self, num_inputs: int, sizes: tuple[int, ...] = (4,), learning_rate: float = 0.1) -> None:
        super().__init__(
            loss_fn=nn.functional.binary_cross_entropy_with_logits, optimizer="Adam", learning_rate=learning_rate
        )
        layers = [nn.Linear(a, b) for a, b in zip((num_inputs, *sizes), (*sizes, 1), strict=True)]
        self.model = nn.Sequential(*layers)


@pytest.fixture
def trained(trainer_options: dict[str, Any]) -> tuple[Any, Any]:
    data = torch.randn(12, 3)
    dm = flash.DataModule.from_load_data_inputs(
        train_load_data_input=data, preprocess=Scaled(offset=0.5), batch_size=4, seed=0
    )
    task = Task.from_data(dm, sizes=(5,))
    trainer = flash.Trainer(max_epochs=1, **trainer_options)
    trainer.fit(task, dm)
    trainer.save_checkpoint("task.ckpt")
    return task, trainer


def test_a_task_comes_back_with_its_arguments_weights_and_preprocess(trained: Any) -> None:
    task, _ = trained
    loaded = Task.load_from_checkpoint("task.ckpt")
    assert loaded.model[0].out_features == 5
    assert loaded.preprocess.offset == 0.5
    assert loaded.preprocess.largest == task.preprocess.largest
    x = torch.randn(3, 3)
    assert torch.equal(torch.stack(loaded.predict(x)), torch.stack(task.predict(x)))


def test_the_base_class_finds_the_class_of_the_stored_task(trained: Any) -> None:
    assert type(flash.Task.load_from_checkpoint("task.ckpt")) is Task


def test_arguments_can_be_replaced(trained: Any) -> None:
    assert Task.load_from_checkpoint("task.ckpt", learning_rate=0.7).learning_rate == 0.7


def test_everything_in_a_checkpoint_loads_with_weights_only(trained: Any) -> None:
    assert torch.load("task.ckpt", weights_only=True)["flash"]["task"]["init"]["sizes"] == (5,)


def test_weights_that_do_not_fit_are_an_error(trained: Any) -> None:
    with pytest.raises(
        CheckpointError,
        match=r"(?s)Expected the weights of a Task made with the same arguments.*change it with task\.change_structure",
    ):
        Task.load_from_checkpoint("task.ckpt", sizes=(7,))


def test_a_checkpoint_of_another_task_is_an_error_that_names_both(trained: Any) -> None:
    with pytest.raises(
        CheckpointError, match="Expected a checkpoint of a ClassificationTask, but this one holds a Task"
    ):
        ClassificationTask.load_from_checkpoint("task.ckpt")


def test_a_subclass_of_the_stored_class_can_load_it(trained: Any) -> None:
    class More(Task):
        pass

    assert type(More.load_from_checkpoint("task.ckpt")) is More


def test_a_network_that_was_passed_must_be_passed_again(trainer_options: dict[str, Any]) -> None:
    trained = nn.Linear(3, 2)
    task = ClassificationTask(num_classes=2, model=trained)
    trainer = flash.Trainer(max_epochs=1, **trainer_options)
    trainer.fit(task, flash.DataModule.from_tensors(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]), seed=0))
    trainer.save_checkpoint("network.ckpt")
    with pytest.raises(CheckpointError, match=r"Call ClassificationTask.load_from_checkpoint\(path, model=\.\.\.\)"):
        ClassificationTask.load_from_checkpoint("network.ckpt")
    network = nn.Linear(3, 2)
    ClassificationTask.load_from_checkpoint("network.ckpt", model=network)
    assert torch.equal(network.weight, trained.weight)


def test_pretrained_weights_are_not_built_to_be_overwritten(trainer_options: dict[str, Any]) -> None:
    built: list[bool] = []

    class Pretrained(flash.Task):
        def __init__(self, pretrained: bool = True) -> None:
            built.append(pretrained)
            super().__init__(nn.Linear(3, 1), nn.functional.mse_loss)

    trainer = flash.Trainer(max_epochs=1, **trainer_options)
    trainer.fit(Pretrained(), flash.DataModule.from_tensors(torch.randn(4, 3), torch.randn(4, 1), seed=0))
    trainer.save_checkpoint("pretrained.ckpt")
    Pretrained.load_from_checkpoint("pretrained.ckpt")
    assert built == [True, False]


PREDICT = """
import importlib, sys
sys.path.insert(0, folder)
importlib.import_module(module)
import torch, flash
task = flash.Task.load_from_checkpoint("task.ckpt")
result = type(task).__name__, [round(float(r), 5) for r in task.predict(torch.ones(2, 3))]
"""


@pytest.mark.process
def test_a_new_process_without_a_network_predicts_the_same(trained: Any) -> None:
    task, _ = trained
    here = Path(__file__)
    # The class is known there under the module's plain name.
    stored = torch.load("task.ckpt", weights_only=True)
    for part in ("task", "preprocess"):
        stored["flash"][part]["class"] = f"{here.stem}:{stored['flash'][part]['class'].partition(':')[2]}"
    write_checkpoint(stored, "task.ckpt")
    name, found = in_clean_process(Path.cwd(), PREDICT, folder=str(here.parent), module=here.stem)
    assert name == "Task"
    assert found == [round(float(r), 5) for r in task.predict(torch.ones(2, 3))]


def test_a_preprocess_that_is_not_known_is_an_error_when_predicting(trained: Any) -> None:
    stored = torch.load("task.ckpt", weights_only=True)
    stored["flash"]["preprocess"]["class"] = "elsewhere:Gone"
    write_checkpoint(stored, "task.ckpt")
    loaded = Task.load_from_checkpoint("task.ckpt")
    with pytest.raises(CheckpointError, match=r"Expected the preprocess Gone .* Import the module 'elsewhere'"):
        loaded.predict(torch.ones(2, 3))
    given = Task.load_from_checkpoint("task.ckpt", preprocess=Scaled(offset=0.5))
    assert isinstance(given.preprocess, Scaled)
    assert given.preprocess.largest > 0
    assert len(given.predict(torch.ones(2, 3))) == 2


def test_a_task_of_a_plugin_that_is_not_installed_is_an_error_that_names_it(trained: Any) -> None:
    stored = torch.load("task.ckpt", weights_only=True)
    stored["flash"]["task"] |= {"class": "acme_audio.task:Tagger", "dist": "acme-audio", "version": "1.2"}
    write_checkpoint(stored, "task.ckpt")
    with pytest.raises(
        CheckpointError, match="It comes from acme-audio 1.2, which is not installed: pip install acme-a"
    ):
        flash.Task.load_from_checkpoint("task.ckpt")


def test_a_checkpoint_from_before_backbones_were_noted_is_read(trained: Any) -> None:
    stored = torch.load("task.ckpt", weights_only=True)
    del stored["flash"]["backbone"]
    write_checkpoint(stored, "task.ckpt")
    assert isinstance(flash.Task.load_from_checkpoint("task.ckpt"), Task)


def test_a_checkpoint_of_a_newer_version_is_an_error(trained: Any) -> None:
    stored = torch.load("task.ckpt", weights_only=True)
    stored["flash"] |= {"format": 99, "version": "9.0"}
    write_checkpoint(stored, "task.ckpt")
    with pytest.raises(CheckpointError, match="was written by flash-core 9.0: pip install --upgrade flash-core"):
        Task.load_from_checkpoint("task.ckpt")


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch executed",)


def test_a_file_that_would_execute_code_is_refused() -> None:
    torch.save({"state_dict": {}, "flash": Evil()}, "evil.ckpt")
    with pytest.raises(UnsafeCheckpointError, match="loading evil.ckpt would execute code, so it was refused"):
        flash.Task.load_from_checkpoint("evil.ckpt")
    assert not Path("executed").exists()


def test_a_plain_pickle_is_refused() -> None:
    Path("evil.ckpt").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError):
        flash.Task.load_from_checkpoint("evil.ckpt")
    assert not Path("executed").exists()


def test_resuming_from_a_file_that_would_execute_code_is_refused(trainer_options: dict[str, Any]) -> None:
    torch.save({"state_dict": {}, "callbacks": Evil()}, "evil.ckpt")
    dm = flash.DataModule.from_tensors(torch.randn(4, 3), torch.randn(4, 1), seed=0)
    with pytest.raises(UnsafeCheckpointError, match="would execute code"):
        flash.Trainer(max_epochs=1, **trainer_options).fit(
            flash.Task(nn.Linear(3, 1), nn.functional.mse_loss), dm, ckpt_path="evil.ckpt"
        )
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    "name", ["os:system", "torch:load", "torch.hub:load", "builtins:eval", "torch.nn.functional:sys"]
)
def test_a_name_outside_torchs_own_functions_is_refused(trained: Any, name: str) -> None:
    stored = torch.load("task.ckpt", weights_only=True)
    stored["flash"]["task"]["init"]["learning_rate"] = {"__reference__": name}
    write_checkpoint(stored, "task.ckpt")
    with pytest.raises(UnsafeCheckpointError, match="is not a name that a checkpoint may refer to"):
        Task.load_from_checkpoint("task.ckpt")


def test_a_module_that_the_file_names_is_not_imported(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("planted.py").write_text("open('executed', 'w').close()")
    monkeypatch.syspath_prepend(str(Path.cwd()))
    stored = torch.load("task.ckpt", weights_only=True)
    stored["flash"]["task"]["class"] = "planted:Task"
    write_checkpoint(stored, "task.ckpt")
    with pytest.raises(CheckpointError, match="Import the module 'planted'"):
        flash.Task.load_from_checkpoint("task.ckpt")
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    "value", [{"a": [1, 2.5, "x", None, True]}, (1, (2,)), nn.functional.mse_loss, torch.optim.SGD, nn.ReLU]
)
def test_plain_data_and_torchs_functions_survive(value: Any) -> None:
    assert from_serializable(to_serializable(value)) == value


def test_a_missing_file_is_an_error() -> None:
    with pytest.raises(CheckpointError, match=r"Expected a checkpoint at gone.ckpt, but there is no such file"):
        flash.Task.load_from_checkpoint("gone.ckpt")


@pytest.mark.parametrize("address", ["nowhere://bucket/task.ckpt", "memory://gone/task.ckpt"])
def test_the_address_of_a_service_that_cannot_be_read_is_an_error(address: str) -> None:
    with pytest.raises(
        CheckpointError, match=f"at {address}, but it cannot be read: .*Download it first, and pass its"
    ):
        FlashCheckpointIO().load_checkpoint(address)


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_an_error(trained: Any, keep: float) -> None:
    whole = Path("task.ckpt").read_bytes()
    Path("task.ckpt").write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(CheckpointError, match=r"task.ckpt is truncated or damaged, or is another kind"):
        flash.Task.load_from_checkpoint("task.ckpt")


@pytest.mark.parametrize("content", [b"hello", b"PK\x03\x04", b"\x80\x02}q\x00.", b"\x00" * 100])
def test_another_kind_of_file_is_an_error(content: bytes) -> None:
    Path("other.ckpt").write_bytes(content)
    with pytest.raises(CheckpointError):
        flash.Task.load_from_checkpoint("other.ckpt")


def test_a_checkpoint_of_another_program_is_an_error_that_says_how_to_take_its_weights() -> None:
    torch.save({"state_dict": {"weight": torch.zeros(1)}}, "other.ckpt")
    with pytest.raises(CheckpointError, match="other.ckpt is one of another program. Load its weights yourself"):
        flash.Task.load_from_checkpoint("other.ckpt")


@pytest.mark.process
def test_a_process_killed_while_writing_leaves_the_old_file_whole(tmp_path: Path) -> None:
    target = tmp_path / "big.ckpt"
    write_checkpoint({"version": torch.tensor(1)}, target)
    script = textwrap.dedent(
        f"""
        import torch
        from flash.serialization import write_checkpoint
        print("writing", flush=True)
        while True:
            write_checkpoint({{"version": torch.full((4_000_000,), 2)}}, {str(target)!r})
        """
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "writing\n"
    while not any(path.stat().st_size for path in tmp_path.glob(".big.ckpt.*.tmp")):
        assert child.poll() is None
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    stored = read_checkpoint(target)["version"]
    assert stored.unique().tolist() in ([1], [2])


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "task.ckpt"
    write_checkpoint({"version": 1}, target)

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(CheckpointError, match="could not be written: .*No space left on device.*is untouched"):
        write_checkpoint({"version": 2}, target)
    monkeypatch.undo()
    assert read_checkpoint(target) == {"version": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["task.ckpt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full to stand for a full disk")
def test_a_full_disk_is_an_error_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Path.open

    def on_full_disk(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        return original(Path("/dev/full") if self.name.endswith(".tmp") else self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", on_full_disk)
    with pytest.raises(CheckpointError, match="could not be written"):
        write_checkpoint({"weights": torch.zeros(1_000_000)}, tmp_path / "task.ckpt")


@pytest.mark.train
def test_model_checkpoint_writes_through_the_same_way(datamodule: Any, task_class: Any, tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path / "saved", monitor="val_loss", save_last=True)
    trainer = flash.Trainer(
        max_epochs=2, callbacks=[saver], logger=False, enable_progress_bar=False, enable_model_summary=False
    )
    trainer.fit(task_class(), datamodule)
    assert type(flash.Task.load_from_checkpoint(saver.best_model_path)).__name__ == "Classifier"
    assert sorted(p.suffix for p in (tmp_path / "saved").iterdir()) == [".ckpt", ".ckpt"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_checkpoint_loads_from_a_url(trained: Any, server: str) -> None:
    task, _ = trained
    loaded = Task.load_from_checkpoint(f"{server}/task.ckpt")
    assert torch.equal(loaded.model[0].weight, task.model[0].weight)


def test_a_url_that_does_not_exist_is_an_error_that_names_it(server: str) -> None:
    with pytest.raises(flash.FlashError, match="404"):
        Task.load_from_checkpoint(f"{server}/gone.ckpt")


def test_a_file_from_a_url_that_would_execute_code_is_refused(server: str) -> None:
    torch.save(Evil(), "evil.ckpt")
    with pytest.raises(UnsafeCheckpointError, match=f"loading {server}/evil.ckpt would execute code"):
        Task.load_from_checkpoint(f"{server}/evil.ckpt")
    assert not Path("executed").exists()


def test_data_that_learned_something_else_is_refused(trained: Any, trainer_options: dict[str, Any]) -> None:
    task, _ = trained
    other = flash.DataModule.from_load_data_inputs(train_load_data_input=torch.randn(12, 3), preprocess=Scaled())
    with pytest.raises(DataError, match=r"learned other statistics.*preprocess=task.preprocess"):
        flash.Trainer(max_epochs=1, **trainer_options).fit(task, other)


def test_data_for_prediction_alone_goes_through_the_tasks_preprocess(
    trained: Any, trainer_options: dict[str, Any]
) -> None:
    task, _ = trained
    x = torch.randn(3, 3)
    dm = flash.DataModule.from_load_data_inputs(predict_load_data_input=x)
    (batch,) = flash.Trainer(**trainer_options).predict(task, datamodule=dm) or [None]
    assert torch.equal(torch.stack(batch), torch.stack(task.predict(x)))
