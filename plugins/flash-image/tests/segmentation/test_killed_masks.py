"""``flash predict`` into a folder of masks: killed at any step, it goes on to the bytes of an uninterrupted run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from flash import Trainer
from flash.image import SemanticSegmentation, SemanticSegmentationData

# A process without threads, from which each life of the command is forked, with all that it imports; a step that
# changes the disk kills it. It prints the status of the life that died at each step, whether the folder was there, and
# the status of the next life.
LIVES = """
import itertools, json, os, pathlib, signal, sys
from flash.cli import main
import flash.image, torch

torch.set_num_threads(1)

def live(target, dies_at=None):
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    steps = itertools.count()
    def kill_at(event, arguments):
        is_appended = event == "open" and arguments[1] == "a"
        if (event in ("os.rename", "os.rmdir", "shutil.rmtree") or is_appended) and next(steps) == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(kill_at)
    try:
        os._exit(main(["predict", "task.ckpt", "images", "-o", f"{target}/", "--batch_size", "1"]))
    finally:
        os._exit(9)

assert main(["predict", "task.ckpt", "images", "-o", "whole/masks/", "--batch_size", "1"]) == 0
for step in itertools.count():
    target = f"{step}/masks"
    died = live(target, step)
    if died == 0:
        break
    print(json.dumps([died, pathlib.Path(target).exists(), live(target)]), file=sys.stderr)
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.process
@pytest.mark.slow
def test_masks_of_a_killed_run_are_those_of_a_whole_one(
    draw: Callable[..., Any], tiny: dict[str, Any], tmp_path: Path
) -> None:
    drawn = draw(3)
    data = SemanticSegmentationData.from_images(*drawn.parts(), labels=["ground", "circle", "square"])
    task = SemanticSegmentation.from_data(data, **tiny)
    torch.manual_seed(0)
    options: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    trainer = Trainer(max_epochs=1, accelerator="cpu", default_root_dir=tmp_path / "run", **options)
    trainer.fit(task, data)
    trainer.save_checkpoint(tmp_path / "task.ckpt")
    images, _ = drawn.save(tmp_path)
    (tmp_path / "images" / "deep").mkdir()
    images[2].rename(tmp_path / "images" / "deep" / "a.png")
    ran = subprocess.run([sys.executable, "-c", LIVES], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    lives = [json.loads(line) for line in ran.stderr.splitlines() if line.startswith("[-9")]
    whole = contents(tmp_path / "whole" / "masks")
    assert len(whole) == 3
    assert len(lives) > 10
    for step, (_, was_complete, status) in enumerate(lives):
        folder = tmp_path / str(step)
        assert contents(folder / "masks") == whole
        if status == 0:
            assert [each.name for each in folder.iterdir()] == ["masks"]
        else:  # Without the last of its parts, it is a folder like any other, which is not written again.
            assert was_complete
            assert step >= len(lives) - 2
    assert any(was_complete and status == 0 for _, was_complete, status in lives)
