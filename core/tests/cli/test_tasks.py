"""``flash tasks``."""

from __future__ import annotations

import json
from typing import Any


def test_tasks_come_with_provider_and_summary(flash: Any) -> None:
    result = flash("tasks")
    assert result.code == 0
    assert result.out.splitlines() == [
        "TASK                  FROM            SUMMARY",
        "audio/classification  acme-audio 1.2  Which of N classes a recording is of.",
    ]


def test_tasks_as_json_have_their_targets(flash: Any) -> None:
    (task,) = json.loads(flash("tasks", "--json").out)
    assert task["name"] == "audio/classification"
    assert task["task"] == "flash.core.model:Task"
    assert task["provider"] == {"plugin": "audio", "dist": "acme-audio", "version": "1.2"}


def test_no_task_at_all_says_what_to_install(flash: Any) -> None:
    result = flash("tasks", plugins=())
    assert result.out.startswith("No plugin provides a task. Install one with pip: flash-audio, flash-image, ")


def test_no_task_because_all_is_disabled_says_so(flash: Any) -> None:
    assert "'audio' (acme-audio 1.2), disabled" in flash("tasks", FLASH_PLUGINS="").out
