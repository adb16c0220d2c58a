"""What shows only when a contribution is used, found in the source without importing it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flash as package
from flash.plugins import (
    Backbone,
    TaskSpec,
    hookimpl,
)

CORE = Path(package.__file__).parent


MISTAKES = [
    "the backbone 'net' is for the domain 'imagse', which no task belongs to; did you mean 'image'?",
    "of the imagse backbone 'net', json:lodas cannot be imported: there is no 'lodas' in",
    "did you mean 'loads'?",
    "json.nothing:build cannot be imported: there is no module 'json.nothing'; the package has json.",
    "fish catalogue 'zoo' of acme-fish 1.2 cannot list its names: SystemExit",
    "the data source 'zip' fills the data of 'fish/clasification', which is no task; did you mean",
    "the output 'top3' is for 'fihs/*', a domain that no task belongs to; did you mean 'fish/*'?",
]


@pytest.mark.usefixtures("only_core")
class TestContributions:
    def test_what_shows_only_in_use_is_found_without_importing_it(self, flash: Any, mistaken: Any) -> None:
        result = flash("doctor", plugins=[("fish", mistaken())])
        out = " ".join(result.out.split())
        assert result.code == 1
        assert [mistake for mistake in MISTAKES if mistake not in out] == []
        assert "birds" not in out

    def test_the_list_of_plugins_finds_the_same_names(self, flash: Any, mistaken: Any) -> None:
        out = " ".join(flash("plugins", "--check", plugins=[("fish", mistaken())]).out.split())
        for mistake in (MISTAKES[0], MISTAKES[4], MISTAKES[5], MISTAKES[6]):
            assert mistake in out

    def test_a_class_that_is_no_task_is_found_by_both(
        self, flash: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "acme_of_doctor.py").write_text("class T: pass\nclass D: pass\n")
        monkeypatch.syspath_prepend(tmp_path)

        class Plugin:
            @hookimpl
            def flash_tasks(self) -> Iterator[TaskSpec]:
                yield TaskSpec("fish/classification", "acme_of_doctor:T", "acme_of_doctor:D")

        plugins = [("fish", Plugin())]
        out = " ".join(flash("doctor", plugins=plugins).out.split())
        assert "acme_of_doctor:T is not a task: it has to inherit from flash.Task, or from a class that does." in out
        assert "acme_of_doctor:D is not a data module: it has to inherit from flash.DataModule" in out
        assert "acme_of_doctor" not in sys.modules
        checked = flash("plugins", "--check", plugins=plugins)
        assert checked.code == 1
        out = " ".join(checked.out.split())
        assert "the task 'fish/classification' needs a subclass of flash.Task, but acme_of_doctor:T is none" in out

    def test_a_target_that_imports_what_is_not_installed_is_found(
        self, flash: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "acme_that_needs.py").write_text("import not_there_at_all.sub\ndef build(): ...\n")
        monkeypatch.syspath_prepend(tmp_path)

        class Plugin:
            @hookimpl
            def flash_backbones(self) -> Iterator[Backbone]:
                yield Backbone("net", "fish", "acme_that_needs:build")

        out = " ".join(flash("doctor", plugins=[("fish", Plugin())]).out.split())
        assert "acme_that_needs:build imports 'not_there_at_all', which is not installed." in out
