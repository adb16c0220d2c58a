from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from flash.solver import Formatter

METRICS = {"acc_a": 0.51234, "loss": 1.23456, "duration": 2, "lr": 1e-4}


@pytest.mark.parametrize(
    ("formatter", "shown"),
    [
        (Formatter(), {"acc_a": "0.512", "loss": "1.235", "duration": "2.000", "lr": "0.000"}),
        (
            Formatter({"acc_*": ".1%", "*": ".2e"}),
            {"acc_a": "51.2%", "loss": "1.23e+00", "duration": "2.00e+00", "lr": "1.00e-04"},
        ),
        (Formatter({"loss": ".1f"}, exclude_keys=["*"]), {"loss": "1.2"}),
        (Formatter({"loss": ".1f"}, exclude_keys=["*"], include_formatted=False), {}),
        (Formatter(include_keys=["l*"]), {"loss": "1.235", "lr": "0.000"}),
        (Formatter({"acc_*": ".1%"}, include_keys=["loss"]), {"acc_a": "51.2%", "loss": "1.235"}),
        (
            Formatter(exclude_keys=["l*"], include_keys=["lr"]),
            {"acc_a": "0.512", "duration": "2.000", "lr": "0.000"},
        ),
        (Formatter({"LOSS": ".1f"}), {"acc_a": "0.512", "loss": "1.235", "duration": "2.000", "lr": "0.000"}),
    ],
)
def test_patterns_choose_metrics_and_digits(formatter: Formatter, shown: dict[str, str]) -> None:
    assert formatter(METRICS) == shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (torch.tensor(1.5), "1.500"),
        (torch.ones(1, 1), "1.000"),
        (np.float32(2.5), "2.500"),
        (np.array([2.5]), "2.500"),
        (True, "True"),
        (np.bool_(True), "True"),
        (None, "None"),
        ("done", "done"),
        ({"a": 1}, "{'a': 1}"),
        (torch.zeros(2, 3), "tensor(2, 3)"),
        (np.zeros(4), "ndarray(4,)"),
        (float("nan"), "nan"),
    ],
)
def test_whatever_a_metric_is_it_has_a_text(value: Any, text: str) -> None:
    assert Formatter()({"it": value}) == {"it": text}


def test_a_format_that_does_not_fit_the_number_shows_it_as_it_is() -> None:
    assert Formatter({"*": "d"})({"loss": 0.25}) == {"loss": "0.25"}
