"""Rows that are used by each number of processes and workers, in the whole run and in one that is resumed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn

import flash
from flash.testing import silent_trainer
from flash.testing._group import run_group

pytestmark = [pytest.mark.process, pytest.mark.slow]

# An odd number of rows, and of batches: something is left over for two processes.
ROWS, EVALUATED, BATCH, EPOCHS = 43, 13, 4, 3

KINDS: dict[str, Callable[[Any], Any]] = {"rows": list, "stream": lambda rows: lambda: iter(rows)}
#: Where a run is resumed: the epoch, the part of it that is done, and whether the number of workers is another one.
RESUMED: dict[str, tuple[int, float, bool]] = {
    "after the first batch": (0, 0.0, False),
    "in the middle of an epoch": (1, 0.5, False),
    "after the last batch of an epoch": (0, 1.0, False),
    "with other workers": (1, 0.3, True),
}


class Served(flash.Preprocess):
    def __init__(self, kind: Callable[[Any], Any]) -> None:
        self.kind = kind

    def load_data(self, data: Any) -> Any:
        return self.kind(data)


class Noting(flash.Task):
    """Notes the rows of each batch, which are its inputs."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(1, 1), nn.functional.mse_loss, learning_rate=1e-4, optimizer="SGD")
        self.seen: dict[tuple[str, int], list[list[int]]] = {}

    def note(self, stage: str, x: Tensor) -> None:
        self.seen.setdefault((stage, self.current_epoch), []).append(x.flatten().int().tolist())

    def step(self, batch: Any, batch_idx: int) -> Any:
        if not self.trainer.sanity_checking:
            self.note(self.trainer.state.stage.value, batch[0])
        return super().step(batch, batch_idx)

    def predict_step(self, batch: Any, *args: Any) -> Any:
        self.note("predict", batch)
        return super().predict_step(batch, *args)


#: Of each process: the batches of each stage and epoch.
Seen = list[dict[tuple[str, int], list[list[int]]]]


def run(kind: str, workers: int, processes: int, folder: Path, ckpt_path: Path | None = None) -> Seen:
    """Train, test and predict, and return what each process has seen."""

    def samples(count: int) -> list[tuple[Tensor, Tensor]]:
        return [(torch.tensor([float(row)]), torch.tensor([row / count])) for row in range(count)]

    def work(rank: int) -> Any:
        data = flash.DataModule.from_load_data_inputs(
            train_load_data_input=samples(ROWS),
            val_load_data_input=samples(EVALUATED),
            test_load_data_input=samples(EVALUATED),
            predict_load_data_input=[row for row, _ in samples(EVALUATED)],
            preprocess=Served(KINDS[kind]),
            batch_size=BATCH,
            num_workers=workers,
            seed=0,
        )
        task = Noting()
        keep = ModelCheckpoint(folder, filename="{step}", save_top_k=-1, every_n_train_steps=1)
        together = {"devices": processes, "strategy": "ddp"} if processes > 1 else {}
        trainer = silent_trainer(max_epochs=EPOCHS, callbacks=[keep], enable_checkpointing=True, **together)
        trainer.fit(task, data, ckpt_path=ckpt_path)
        trainer.test(task, data, verbose=False)
        trainer.predict(task, data)
        return task.seen

    outcomes = run_group(work, processes)
    assert [outcome.error for outcome in outcomes] == [None] * processes
    return [outcome.result for outcome in outcomes]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, Seen]]:
    """A run that was not interrupted, and the folder of its checkpoints: one of each step."""

    @cache
    def train(kind: str, workers: int, processes: int) -> tuple[Path, Seen]:
        folder = tmp_path_factory.mktemp("whole")
        return folder, run(kind, workers, processes, folder)

    return train


def rows_of(seen: Seen, stage: str, epoch: int) -> list[int]:
    return [row for process in seen for batch in process.get((stage, epoch), []) for row in batch]


def checksum(batches: list[list[int]]) -> str:
    return hashlib.sha256(repr(batches).encode()).hexdigest()


COMBINATIONS = [(kind, workers, processes) for kind in KINDS for workers in (0, 2) for processes in (1, 2)]


@pytest.mark.parametrize(("kind", "workers", "processes"), COMBINATIONS)
def test_each_row_is_used_once_in_an_epoch(kind: str, workers: int, processes: int, whole: Any) -> None:
    _, seen = whole(kind, workers, processes)
    for epoch in range(EPOCHS):
        found = Counter(rows_of(seen, "train", epoch))
        repeated = found - Counter(range(ROWS))
        assert sorted(found) == list(range(ROWS))
        # A process that has no batch of a stream left repeats the first one, and one that has no row left, a row.
        if processes == 2 and kind == "stream":
            assert repeated == Counter(range(BATCH))
        else:
            assert repeated.total() == processes - 1
        assert Counter(rows_of(seen, "validate", epoch)) == Counter(range(EVALUATED))
    assert Counter(rows_of(seen, "test", EPOCHS)) == Counter(range(EVALUATED))
    assert Counter(rows_of(seen, "predict", EPOCHS)) == Counter(range(EVALUATED))


@pytest.mark.parametrize("resumed", RESUMED)
@pytest.mark.parametrize(("kind", "workers", "processes"), COMBINATIONS)
def test_a_resumed_run_uses_those_that_are_left(
    kind: str, workers: int, processes: int, resumed: str, whole: Any, tmp_path: Path
) -> None:
    folder, seen = whole(kind, workers, processes)
    epoch, part, has_others = RESUMED[resumed]
    length = len(seen[0]["train", 0])
    done = max(1, round(part * length))
    file = folder / f"step={epoch * length + done}.ckpt"
    again = run(kind, 2 - workers if has_others else workers, processes, tmp_path, file)
    for process, before in zip(again, seen, strict=True):
        for key, batches in before.items():
            stage, number = key
            expected = batches[done:] if key == ("train", epoch) else batches
            if stage in ("train", "validate") and number < epoch:
                expected = []
            assert checksum(process.get(key, [])) == checksum(expected), key
