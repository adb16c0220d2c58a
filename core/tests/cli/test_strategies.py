"""``flash strategies``."""

from __future__ import annotations

import json
from typing import Any


def test_strategies_are_listed(flash: Any) -> None:
    lines = flash("strategies", "--filter", "FREEZE*").out.splitlines()
    assert [line.split()[0] for line in lines] == ["STRATEGY", "freeze", "freeze_unfreeze"]


def test_strategies_as_json_have_a_provider(flash: Any) -> None:
    strategies = json.loads(flash("strategies", "--json").out)
    assert {each["provider"]["dist"] for each in strategies} == {"flash-core"}
