"""Real processes, connected by gloo."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from flash.errors import CheckpointError, ConfigurationError
from flash.solver import BaseSolver, DistributedError, averager, distrib
from flash.solver.checkpoint import read_checkpoint


def test_one_process_alone_changes_nothing() -> None:
    distrib.init()
    model = nn.Linear(1, 1)
    model(torch.ones(1, 1)).backward()
    before = model.weight.grad.clone()
    distrib.sync_model(model)
    with distrib.eager_sync_model(model):
        pass
    distrib.broadcast_model(model)
    distrib.average_tensors(model.parameters())
    distrib.barrier()
    assert torch.equal(model.weight.grad, before)  # type: ignore[arg-type]
    assert distrib.wrap(model) is model
    assert distrib.average_metrics({}) == {}
    assert distrib.broadcast_object("x") == "x"
    assert distrib.all_reduce(torch.ones(1)) is None
    assert (distrib.rank(), distrib.world_size(), distrib.is_rank_zero(), distrib.is_distributed()) == (
        0,
        1,
        True,
        False,
    )


def test_nccl_without_cuda_is_a_readable_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigurationError, match="Expected a CUDA device for the backend 'nccl'"):
        distrib.init("nccl")


@pytest.mark.process
@pytest.mark.parametrize("count", [2, 4])
def test_metrics_objects_and_models_are_shared(in_processes: Callable[..., Any], count: int) -> None:
    def work(rank: int) -> dict[str, Any]:
        torch.manual_seed(rank)
        model = nn.BatchNorm1d(2)
        model.running_mean.fill_(rank)
        model.num_batches_tracked.fill_(rank)
        model.weight.data.fill_(rank)
        found: dict[str, Any] = {
            "metrics": distrib.average_metrics({"a": rank, "note": f"of {rank}"}, count=rank + 1),
            "object": distrib.broadcast_object({"from": rank}, src=1),
            "zero": distrib.rank_zero_only(lambda: "zero")(),
            "gathered": distrib.gather_objects(rank),
        }
        model(torch.ones(3, 2) * torch.arange(3)[:, None]).sum().backward()
        model.weight.grad = torch.full((2,), float(rank))
        distrib.sync_model(model)
        found["grad"] = model.weight.grad.tolist()
        found["mean"] = float(model.running_mean[0])
        found["tracked"] = int(model.num_batches_tracked)  # type: ignore[arg-type]
        distrib.broadcast_model(model, src=1)
        found["weight"] = model.weight.tolist()
        found["wrapped"] = type(distrib.wrap(nn.Linear(1, 1))).__name__
        return found

    results = in_processes(count, work)
    weights = range(1, count + 1)
    expected = sum(rank * weight for rank, weight in enumerate(weights)) / sum(weights)
    mean_rank = (count - 1) / 2
    for rank, found in enumerate(results):
        assert found["metrics"]["a"] == pytest.approx(expected)
        assert found["metrics"]["note"] == f"of {rank}"
        assert found["object"] == {"from": 1}
        assert found["zero"] == ("zero" if rank == 0 else None)
        assert found["gathered"] == list(range(count))
        assert found["grad"] == [mean_rank] * 2
        assert found["mean"] == pytest.approx(0.9 * mean_rank + 0.1)
        assert found["tracked"] == rank + 1
        assert found["weight"] == [1.0, 1.0]
        assert found["wrapped"] == "DistributedDataParallel"


@pytest.mark.process
def test_gradients_that_were_accumulated_before_survive_the_eager_sync(in_processes: Callable[..., Any]) -> None:
    def work(rank: int) -> tuple[list[float], list[float], str]:
        grads = []
        for eager in (True, False):
            model = nn.Linear(1, 1, bias=False)
            model.weight.grad = torch.full((1, 1), 10.0)
            loss = model(torch.full((1, 1), rank + 1.0)).sum()
            if eager:
                with distrib.eager_sync_model(model):
                    loss.backward()
            else:
                loss.backward()
                distrib.sync_model(model)
            grads.append(model.weight.grad.item())
        try:
            with distrib.eager_sync_model(model):
                for _ in range(2):
                    model(torch.ones(1, 1)).sum().backward()
        except DistributedError as error:
            return grads, [], str(error)
        return grads, [], ""

    for grads, _, error in in_processes(2, work):
        assert grads == [11.5, 11.5]
        assert "a parameter got a gradient twice" in error


@pytest.mark.process
def test_processes_with_different_tensors_or_metrics_get_an_error_and_do_not_hang(
    in_processes: Callable[..., Any],
) -> None:
    def work(rank: int) -> list[str]:
        errors = []
        for use in (
            lambda: distrib.average_tensors([torch.ones(1)] * (rank + 1)),
            lambda: distrib.average_metrics({f"loss_{rank}": 1.0}),
        ):
            try:
                use()
            except DistributedError as error:
                errors.append(str(error))
        return errors

    for rank, (tensors, metrics) in enumerate(in_processes(2, work)):
        assert f"got {rank + 1} on rank {rank}, and from 1 to 2 on all ranks" in tensors
        assert "Expected the same metrics in all processes" in metrics


@pytest.mark.process
def test_loaders_share_samples_and_shuffle_anew_each_epoch(in_processes: Callable[..., Any], tmp_path: Path) -> None:
    seven: Any = range(7)
    eight: Any = range(8)

    def work(rank: int) -> tuple[Any, Any]:
        valid = [batch.tolist() for batch in distrib.loader(seven, batch_size=2)]
        loader = distrib.loader(eight, batch_size=2, shuffle=True)
        solver, orders = BaseSolver(tmp_path / str(rank)), []
        for _ in range(2):

            def train() -> None:
                orders.append([int(item) for batch in solver.log_progress("train", loader) for item in batch])

            solver.run_stage("train", train)
            solver.commit(save_checkpoint=False)
        return valid, orders

    (valid_0, orders_0), (valid_1, orders_1) = in_processes(2, work)
    assert valid_0 == [[0, 2], [4, 6]]
    assert valid_1 == [[1, 3], [5]]
    for one, other in zip(orders_0, orders_1, strict=True):
        assert sorted(one + other) == list(range(8))
    assert orders_0[0] != orders_0[1]


class Solver(BaseSolver):
    def __init__(self, folder: Path, rank: int) -> None:
        super().__init__(folder)
        torch.manual_seed(10 + rank)
        self.model = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.5), nn.Linear(4, 1))
        distrib.broadcast_model(self.model)
        self.optim = torch.optim.Adam(self.model.parameters(), lr=0.1)
        self.register_stateful("model", "optim")
        rows: Any = torch.arange(40.0).view(20, 2)
        self.loader = distrib.loader(rows, batch_size=2, shuffle=True)

    def train(self, stop: int | None = None) -> dict[str, Any]:
        average, metrics = averager(), {}
        bar = self.log_progress("train", self.loader, carry=average, commit_every=2)
        for index, batch in enumerate(bar):
            loss = self.model(batch / 40 + torch.rand(1)).pow(2).mean()
            with distrib.eager_sync_model(self.model):
                loss.backward()
            self.optim.step()
            self.optim.zero_grad()
            metrics = average({"loss": loss})
            if index == stop:
                os.kill(os.getpid(), signal.SIGTERM)
        return distrib.average_metrics(metrics)


def epochs(rank: int, folder: Path, count: int, stop: tuple[int, int, int] | None = None) -> Any:
    """Train; ``stop`` is the rank, epoch and step at which one process is asked to stop."""
    solver = Solver(folder, rank)
    solver.restore()
    for epoch in range(solver.epoch, count + 1):
        here = stop is not None and (rank, epoch) == stop[:2]
        solver.run_stage("train", solver.train, stop[2] if here and stop else None)
        solver.commit()
    return [epoch["train"]["loss"] for epoch in solver.history], solver.model[0].weight.tolist()


@pytest.mark.process
def test_epochs_of_several_processes_equal_those_with_a_restart_between(
    tmp_path: Path, in_processes: Callable[..., Any]
) -> None:
    straight = in_processes(2, epochs, tmp_path / "a", 4)
    in_processes(2, epochs, tmp_path / "b", 2)
    assert in_processes(2, epochs, tmp_path / "b", 4) == straight
    assert straight[0] == straight[1]


@pytest.mark.process
def test_a_signal_to_one_process_stops_all_at_one_step_and_they_go_on_exactly(
    tmp_path: Path, in_processes: Callable[..., Any]
) -> None:
    straight = in_processes(2, epochs, tmp_path / "a", 2)
    codes: list[int] = []
    in_processes(2, epochs, tmp_path / "b", 2, (1, 2, 1), codes=codes)
    assert codes == [128 + signal.SIGTERM] * 2
    partial = read_checkpoint(tmp_path / "b" / "checkpoint.th")["_flash"]
    assert [each["position"]["index"] for each in partial["ranks"]] == [2, 2]
    assert in_processes(2, epochs, tmp_path / "b", 2) == straight


@pytest.mark.process
def test_loops_of_different_lengths_do_not_wait_for_each_other(
    tmp_path: Path, in_processes: Callable[..., Any]
) -> None:
    def work(rank: int) -> int:
        solver = BaseSolver(tmp_path)
        bar: list[int] = []

        def valid() -> None:
            bar.extend(solver.log_progress("valid", range(5 + rank), resumable=True, commit_every=1))

        solver.run_stage("valid", valid)
        return len(bar)

    assert in_processes(2, work) == [5, 6]


@pytest.mark.process
@pytest.mark.parametrize("count", [2, 4])
def test_a_process_that_is_late_restores_what_the_first_one_restored(
    tmp_path: Path, in_processes: Callable[..., Any], count: int
) -> None:
    def work(rank: int) -> tuple[bool, int]:
        solver = BaseSolver(tmp_path)
        if rank == count - 1:
            time.sleep(0.5)
        found = solver.restore(), solver.epoch
        solver.commit()
        return found

    assert in_processes(count, work) == [(False, 1)] * count
    assert in_processes(count, work) == [(True, 2)] * count


@pytest.mark.process
def test_processes_that_see_different_files_all_say_so(tmp_path: Path, in_processes: Callable[..., Any]) -> None:
    def work(rank: int) -> str:
        solver = BaseSolver(tmp_path / str(rank))
        try:
            solver.restore()
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return "restored"

    for rank in range(2):
        BaseSolver(tmp_path / str(rank)).commit()
    for text in in_processes(2, work):
        assert "Expected all processes to read the same checkpoint" in text
    (tmp_path / "1" / "checkpoint.th").unlink()
    first, second = in_processes(2, work)
    assert first.startswith("DistributedError: Expected all processes to read")
    assert second.startswith("CheckpointError: Expected a checkpoint at")


@pytest.mark.process
def test_a_checkpoint_that_cannot_be_written_stops_all_processes(
    tmp_path: Path, in_processes: Callable[..., Any]
) -> None:
    def work(rank: int) -> str:
        solver = BaseSolver(tmp_path)
        (tmp_path / "checkpoint.th").mkdir(exist_ok=True)
        try:
            solver.commit()
        except CheckpointError:
            return "own"
        except DistributedError as error:
            return str(error)
        return "written"

    first, second = in_processes(2, work)
    assert first == "own"
    assert "Expected all processes to write the checkpoint, but process 0 failed" in second


@pytest.mark.process
def test_only_the_first_process_opens_writers_and_all_have_the_same_history(
    tmp_path: Path, in_processes: Callable[..., Any]
) -> None:
    pytest.importorskip("tensorboard", reason="an optional package")

    def work(rank: int) -> Any:
        solver = BaseSolver(tmp_path)
        solver.init_tensorboard()
        solver.run_stage("train", lambda: {"loss": torch.tensor(0.5)})
        solver.log_text("train", "note", "x")
        solver.commit()
        return solver.history[0]["train"]["loss"]

    assert in_processes(2, work) == [0.5, 0.5]
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1


@pytest.mark.process
def test_a_checkpoint_of_other_processes_is_taken_with_a_warning(
    tmp_path: Path, in_processes: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    in_processes(2, epochs, tmp_path, 1)
    solver = Solver(tmp_path, 0)
    assert solver.restore()
    assert "was written by 2 processes, and now there are 1" in caplog.text


def test_slurm_says_who_a_process_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert distrib.launch_rank() == 0
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    assert distrib.launch_rank() == 3
