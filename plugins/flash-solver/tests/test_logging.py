from __future__ import annotations

import itertools
import logging
from pathlib import Path
from typing import Any

import pytest

from flash.errors import ConfigurationError
from flash.solver import BaseSolver, LogProgressBar, bold, setup_logging
from flash.solver.logging import ResultLogger
from flash.solver.xp import FolderXP

LOGGER = logging.getLogger("bars")


def positions(caplog: pytest.LogCaptureFixture, count: int, **options: Any) -> list[int]:
    caplog.clear()
    with caplog.at_level(logging.INFO):
        for _ in LogProgressBar(LOGGER, range(count), **options):
            pass
    return [int(record.message.split(" | ")[1].split("/")[0]) for record in caplog.records]


@pytest.mark.parametrize(
    ("count", "options", "expected"),
    [
        (10, {}, [2, 4, 6, 8]),
        (3, {}, [1, 2]),
        (1, {}, []),
        (10, {"updates": 1}, []),
        (10, {"updates": 0}, []),
        (10, {"min_interval": 4}, [4, 8]),
    ],
)
def test_a_bar_logs_at_these_positions(
    caplog: pytest.LogCaptureFixture, count: int, options: dict[str, Any], expected: list[int]
) -> None:
    assert positions(caplog, count, **options) == expected


def test_a_line_shows_position_speed_and_the_metrics_of_the_last_update(caplog: pytest.LogCaptureFixture) -> None:
    bar = LogProgressBar(LOGGER, range(4), updates=2, name="Train | Epoch 1")
    with caplog.at_level(logging.INFO):
        told = [bar.update(loss=index / 4) for index in bar]
    assert told == [False, False, True, False]
    (record,) = caplog.records
    name, epoch, position, speed, loss = record.message.split(" | ")
    assert (name, epoch, position, loss) == ("Train", "Epoch 1", "2/4", "loss 0.500")
    assert speed.endswith("it/sec")


@pytest.mark.parametrize(
    ("speed", "per_item", "text"),
    [
        (1e-5, False, "oo sec/it"),
        (0.05, False, "20.00 sec/it"),
        (4.0, True, "250.00 ms/it"),
        (0.5, True, "2.00 sec/it"),
    ],
)
def test_speed_is_shown_in_the_unit_that_suits_it(
    monkeypatch: pytest.MonkeyPatch, speed: float, per_item: bool, text: str
) -> None:
    bar = LogProgressBar(LOGGER, range(1), time_per_it=per_item)
    bar._begin = 0.0
    monkeypatch.setattr("time.perf_counter", lambda: 1 / speed)
    assert bar._speed() == text


def test_an_iterable_without_a_length_needs_a_total(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ConfigurationError, match="Pass total=..., the number of items"):
        LogProgressBar(LOGGER, iter([1]))
    assert list(LogProgressBar(LOGGER, itertools.islice(itertools.count(), 3), total=3)) == [0, 1, 2]


def test_the_file_has_no_colors_and_the_rank_in_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("FORCE_COLOR", "1")
    setup_logging(folder=tmp_path / "logs")
    logging.getLogger("flashy.solver").info(bold("Train Summary"))
    text = (tmp_path / "logs" / "solver.log.3").read_text()
    assert text.endswith("[flashy.solver][INFO] - Train Summary\n")
    assert "\033[1mTrain Summary" in capsys.readouterr().err


def test_the_console_has_no_colors_where_it_is_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    setup_logging(with_file_log=False)
    logging.getLogger("x").warning(bold("hello"))
    assert capsys.readouterr().err.endswith("[x][WARNING] - hello\n")


def test_the_summary_of_a_stage_is_one_bold_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    results = ResultLogger(LOGGER, xp=FolderXP(tmp_path))
    with caplog.at_level(logging.INFO):
        results.log_metrics("train", {"loss": 0.236, "duration": 0.005}, step=1)
    assert caplog.messages == [bold("Train Summary | Epoch 1 | loss=0.236 | duration=0.005")]


def test_a_logger_that_fails_says_so_once_and_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    solver = BaseSolver(tmp_path)
    heard = []

    class Broken:
        def log_metrics(self, *args: Any) -> None:
            raise OSError("disk full")

    class Works:
        def log_metrics(self, *args: Any) -> None:
            heard.append(args)

    solver.result_logger._experiment_loggers |= {"broken": Broken(), "works": Works()}  # type: ignore[dict-item]
    for _ in range(2):
        solver.run_stage("train", lambda: {"loss": 1})
        solver.commit()
    assert len(heard) == 2
    assert sum("'broken' failed in log_metrics" in message for message in caplog.messages) == 1
