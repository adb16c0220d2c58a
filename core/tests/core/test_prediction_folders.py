"""A folder with a file for each sample: complete or not there, after an interruption too, with names of the samples."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from flash import Postprocess
from flash.core.prediction_folders import PredictionFolder, file_name
from flash.errors import CheckpointError, ConfigurationError, DataError
from flash.serialization import try_lock, writing


class TextPostprocess(Postprocess):
    """Saves texts as such, and other results as they are by default."""

    def suffix_of(self, sample: Any) -> str:
        return ".txt" if isinstance(sample, str) else super().suffix_of(sample)

    def save_sample(self, sample: Any, path: str) -> None:
        if not isinstance(sample, str):
            super().save_sample(sample, path)
            return
        with writing(path, "w", folder_argument="Postprocess(save_path=...)") as file:
            file.write(sample)


def folder_of(path: Path, weights: str = "first", root: Path | None = None) -> PredictionFolder:
    return PredictionFolder(path, TextPostprocess(), run=lambda: {"weights": weights}, root=root, argument="-o")


def contents(path: Path) -> dict[str, str]:
    return {file.relative_to(path).as_posix(): file.read_text() for file in path.rglob("*.txt")}


def test_a_folder_appears_with_all_files_and_nothing_beside_it(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a" / "out")
    assert folder.begin(resume=True)
    folder.write([0, 1], ["x", "deep/y"], ["one", "two"])
    assert not (tmp_path / "a" / "out").exists()
    folder.write([2], [7], [torch.ones(2)])
    assert folder.finish() == 3
    assert contents(tmp_path / "a" / "out") == {"x.txt": "one", "deep/y.txt": "two"}
    assert torch.equal(torch.load(tmp_path / "a" / "out" / "7.pt"), torch.ones(2))
    assert [each.name for each in (tmp_path / "a").iterdir()] == ["out"]


def test_no_predictions_are_an_empty_folder(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "out")
    assert folder.begin(resume=True)
    assert folder.finish() == 0
    assert list(tmp_path.rglob("*")) == [tmp_path / "out"]


def test_an_interrupted_run_goes_on_after_its_files(tmp_path: Path) -> None:
    before = folder_of(tmp_path / "out")
    before.begin(resume=True)
    before.write([0, 1], ["a", "b"], ["one", "two"])
    before._saved._lock.close()  # as the end of a process does
    # Killed between a file and its line.
    with (tmp_path / "out.parts" / "files.jsonl").open("a") as file:
        file.write('"c.t')
    folder = folder_of(tmp_path / "out")
    assert folder.begin(resume=True)
    assert folder.first_missing() == 2
    folder.write([2], ["c"], ["three"])
    assert folder.finish() == 3
    assert contents(tmp_path / "out") == {"a.txt": "one", "b.txt": "two", "c.txt": "three"}


def test_files_of_another_run_are_removed(tmp_path: Path) -> None:
    before = folder_of(tmp_path / "out")
    before.begin(resume=True)
    before.write([0, 1], ["a", "b"], ["one", "two"])
    before._saved._lock.close()  # as the end of a process does
    folder = folder_of(tmp_path / "out", weights="second")
    assert not folder.begin(resume=True)
    assert folder.first_missing() == 0
    folder.write([0], ["a"], ["other"])
    folder.finish()
    assert contents(tmp_path / "out") == {"a.txt": "other"}


def killed_before_its_parts_were_removed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = folder_of(path)
    before.begin(resume=True)
    before.write([0, 1], ["a", "b"], ["one", "two"])
    with monkeypatch.context() as patched:
        patched.setattr(before._saved, "remove", lambda: None)
        before.finish()
    before._saved._lock.close()  # as the end of a process does


def test_a_run_that_was_killed_when_its_folder_had_appeared_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_before_its_parts_were_removed(tmp_path / "out", monkeypatch)
    folder = folder_of(tmp_path / "out")
    assert folder.begin(resume=True)
    assert folder.first_missing() == folder.finish() == 2
    assert contents(tmp_path / "out") == {"a.txt": "one", "b.txt": "two"}
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def test_the_folder_of_another_run_that_was_killed_then_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_before_its_parts_were_removed(tmp_path / "out", monkeypatch)
    with pytest.raises(ConfigurationError, match="choose another one with -o"):
        folder_of(tmp_path / "out", weights="second").begin(resume=True)
    assert contents(tmp_path / "out") == {"a.txt": "one", "b.txt": "two"}


def test_a_folder_that_was_removed_meanwhile_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_before_its_parts_were_removed(tmp_path / "out", monkeypatch)
    shutil.rmtree(tmp_path / "out")
    folder = folder_of(tmp_path / "out")
    assert folder.begin(resume=True)
    assert folder.first_missing() == 0


@pytest.mark.parametrize("is_folder", [True, False])
def test_what_is_in_its_place_is_not_replaced(is_folder: bool, tmp_path: Path) -> None:
    kept = tmp_path / "out" / "kept" if is_folder else tmp_path / "out"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("mine")
    with pytest.raises(ConfigurationError, match=r"a folder that does not exist yet or is empty, but .*out is there"):
        folder_of(tmp_path / "out")
    assert kept.read_text() == "mine"


def test_what_came_in_its_place_during_the_run_is_not_replaced(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "out")
    folder.begin(resume=True)
    folder.write([0], ["a"], ["one"])
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ConfigurationError, match="choose another one with -o"):
        folder.finish()
    assert (tmp_path / "out").read_text() == "mine"
    assert contents(tmp_path / "out.parts" / "files") == {"a.txt": "one"}


def test_two_inputs_of_one_name_are_an_error(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        (tmp_path / name).touch()
    folder = folder_of(tmp_path / "out", root=tmp_path)
    folder.begin(resume=True)
    with pytest.raises(DataError, match=r"a\.txt is that of two, row 0 and row 1, .*a\.png\. Rename one\."):
        folder.write([0, 1], [str(tmp_path / "a.jpg"), str(tmp_path / "a.png")], ["one", "two"])


def test_a_folder_that_another_program_writes_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out.parts").mkdir()
    lock = try_lock(tmp_path / "out.parts" / "lock")
    assert lock is not None
    sentence = "the only program that writes .*out, .* choose another folder with -o"
    with lock, pytest.raises(CheckpointError, match=sentence):
        folder_of(tmp_path / "out").begin(resume=True)


def test_a_full_disk_names_the_argument_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError("No space left on device")

    folder = folder_of(tmp_path / "out")
    folder.begin(resume=True)
    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(CheckpointError, match=r"folder .*out could not be written: No space left .* folder with -o"):
        folder.write([0], ["a"], [torch.ones(1)])
    assert not (tmp_path / "out").exists()


def test_a_file_has_the_path_below_the_input(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    image = tmp_path / "in" / "deep" / "1.5.jpg"
    image.touch()
    assert file_name(image, tmp_path / "in") == "deep/1.5"
    assert file_name("deep/1.5.jpg", tmp_path / "in") == "deep/1.5"
    assert file_name(str(image), tmp_path / "elsewhere") == "1.5"
    assert file_name("1.5", tmp_path / "in") == "1.5"


@pytest.mark.parametrize("identifier", ["", "..", "../a", "a/../../b", "/etc/flash-has-no-such-file"])
def test_no_file_is_written_outside_the_folder(identifier: str) -> None:
    with pytest.raises(DataError, match=r"Expected ids that are names of files, such as a/1\.jpg or 17, but got"):
        file_name(identifier, Path("in"))
