"""Counts of a service, in one process and in several."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flash.serve.metrics import Metrics


def values(metrics: Metrics) -> dict[str, float]:
    lines = [line.rsplit(" ", 1) for line in metrics.text().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def test_requests_samples_and_batches_are_counted() -> None:
    metrics = Metrics()
    metrics.answered(200, 0.002, samples=3)
    metrics.answered(200, 0.3, samples=1)
    metrics.answered(422, 20.0)
    for size in (1, 3, 4, 300):
        metrics.batches.observe(size)
    found = values(metrics)
    assert {name: found[name] for name in found if "total" in name} == {
        'flash_requests_total{code="200"}': 2,
        'flash_requests_total{code="422"}': 1,
        "flash_samples_total": 4,
    }
    seconds = [found[f'flash_request_seconds_bucket{{le="{le}"}}'] for le in ("0.001", "0.0025", "0.5", "10.0", "+Inf")]
    sizes = [found[f'flash_batch_samples_bucket{{le="{le}"}}'] for le in ("1", "2", "4", "256", "+Inf")]
    assert (seconds, sizes) == ([0, 1, 2, 2, 3], [1, 1, 3, 3, 4])
    assert found["flash_request_seconds_sum"] == pytest.approx(20.302)
    assert found["flash_request_seconds_count"] == 3
    assert (found["flash_batch_samples_sum"], found["flash_batch_samples_count"]) == (308, 4)


def test_each_process_tells_the_sum_of_all(tmp_path: Path) -> None:
    one, other = Metrics(), Metrics()
    for each in (one, other):
        each.share(tmp_path)
    one.gauges["flash_queue_requests"] = lambda: 2.0
    one.answered(200, 0.002, samples=3)
    one.batches.observe(3)
    other.answered(200, 0.3, samples=1)
    other.answered(503, 0.1)
    assert values(one) == values(other)
    found = values(other)
    assert found['flash_requests_total{code="200"}'] == 2
    assert found['flash_requests_total{code="503"}'] == 1
    assert (found["flash_samples_total"], found["flash_batch_samples_count"], found["flash_queue_requests"]) == (
        4,
        1,
        2,
    )


@pytest.mark.process
def test_what_a_process_that_ended_has_counted_stays_and_what_it_held_does_not(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait(60)
    ended = Metrics()
    ended.share(tmp_path)
    ended.gauges["flash_queue_requests"] = lambda: 5.0
    ended.answered(200, 0.1, samples=7)
    (file,) = tmp_path.iterdir()
    file.rename(tmp_path / f"{process.pid}.{file.name.partition('.')[2]}")
    metrics = Metrics()
    metrics.share(tmp_path)
    found = values(metrics)
    assert (found["flash_samples_total"], found["flash_queue_requests"]) == (7, 0)


def test_a_file_that_is_only_just_made_is_left_out(tmp_path: Path) -> None:
    metrics = Metrics()
    metrics.share(tmp_path)
    (tmp_path / f"{os.getpid()}.0.metrics").touch()
    metrics.answered(200, 0.1, samples=7)
    assert values(metrics)["flash_samples_total"] == 7
