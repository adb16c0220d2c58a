"""``flash fit --engine ray``, and the pages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml  # type: ignore[import-untyped,unused-ignore]  # stubs are another package
from rows_on_ray import frame_of

import flash
from flash.cli import main
from flash.ray import engine, prediction, training

ROOT = Path(__file__).parents[3]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the tables of the documentation."""
    monkeypatch.chdir(tmp_path)
    for name, rows in (("train", 60), ("val", 20), ("new", 5)):
        table = frame_of(rows).rename(columns={"row_id": "city", "long": "age", "wide": "income", "answer": "bought"})
        table["city"] = ["Rome", "Oslo", "Lima", "Rome", "Oslo"] * (rows // 5)
        (table.drop(columns="bought") if name == "new" else table).to_csv(f"{name}.csv", index=False)
    return tmp_path


@pytest.mark.process
def test_the_command_trains_on_ray_and_keeps_the_run(
    cluster: Any, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data.train_file", "train.csv", "--data.val_file", "val.csv", "--data.target_fields", "bought"]
    options = ["--trainer.max_epochs", "1", "--strategy", "no_freeze", "--seed", "1", "-o", "run"]
    assert main(["fit", "tabular/classification", *data, *options, "--engine", "ray", "--ray.num_workers", "2"]) == 0
    assert "flash predict run/task.ckpt INPUT" in capsys.readouterr().out
    names = {path.name for path in (folder / "run").iterdir()}
    assert names >= {"config.yaml", "log.txt", "metrics.csv", "scores.json", "task.ckpt", "ray"}
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    assert (config["engine"], config["ray"]) == ("ray", {"num_workers": 2})
    assert set(flash.Task.load_from_checkpoint("run/task.ckpt").predict("new.csv")) <= {"yes", "no"}


@pytest.mark.process
@pytest.mark.parametrize("page", ["plugins/flash-ray/README.md", "docs/ray.md"])
def test_the_python_blocks_of_the_pages_run(
    page: str, cluster: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.train.constants.DEFAULT_STORAGE_PATH", str(folder / "ray_results"))
    world: dict[str, Any] = {}
    for block in BLOCK.finditer((ROOT / page).read_text(encoding="utf-8")):
        exec(compile(block[1], page, "exec"), world)
    (written,) = folder.glob("*.parquet")
    assert len(pd.read_parquet(written)) == world.get("count", 5) == 5
    assert world["run"].task is world["task"]
    assert world["run"].checkpoint.is_file()


def test_an_engine_passes_what_the_command_got(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[Any] = []

    class Done:
        checkpoint = tmp_path / "task.ckpt"

    def noting(call: str, result: Any) -> Any:
        def note(*_: Any, **options: Any) -> Any:
            calls.append((call, options))
            return result

        return note

    for name in ("fit", "finetune"):
        monkeypatch.setattr(training, name, noting(name, Done))
    monkeypatch.setattr(prediction, "predict", noting("predict", 7))
    task: Any = None
    common = {"storage_path": tmp_path, "name": "ray", "max_failures": 3, "max_epochs": 2}
    for strategy in (None, "freeze"):
        made = engine.fit(task, task, strategy=strategy, trainer={"max_epochs": 2}, folder=tmp_path, num_workers=4)
        assert made == Done.checkpoint
    more = {**common, "num_workers": 4, "use_gpu": False}
    assert calls == [("fit", more), ("finetune", {**more, "strategy": "freeze"})]
    passed: Any = {"id_field": "key", "names": ("key", "y"), "output": None, "batch_size": 8, "reading": {"sep": ";"}}
    assert engine.predict("a", "b", Path("c"), **passed, ordered=False) == 7
    rest = {"num_workers": 2, "use_gpu": False, "ordered": False, "sep": ";"}
    assert calls[-1] == ("predict", {**{k: v for k, v in passed.items() if k != "reading"}, **rest})
