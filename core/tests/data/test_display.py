"""What a person looks at: summaries of samples, and the check of what a hook returns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from flash.data.display import check_displays, is_image, summarize
from flash.errors import ConfigurationError


@pytest.mark.parametrize(
    ("sample", "shown"),
    [
        ("a text\nof two lines", "a text\nof two lines"),
        (7, "7"),
        (None, "None"),
        (torch.tensor(2.5), "2.5"),
        (np.float64(0.1), "0.1"),
        (torch.tensor([1.0, 2.0, 1e9]), "1, 2, 1e+09"),
        (["red", 2], "red, 2"),
        (torch.arange(100.0), "100 numbers, mean 49.5, standard deviation 28.87"),
        (np.array(["x"] * 20), "20 values of type <U1"),
        (torch.zeros(0, 3), "0 × 3 values of type float32"),  # noqa: RUF001  # a multiplication sign
        ({"a": torch.tensor(3), 5: "five", "b": None}, {"a": 3, "5": "five", "b": None}),
    ],
)
def test_a_sample_is_summarized(sample: Any, shown: Any) -> None:
    assert summarize(sample) == shown


def test_images_stay_images_and_long_representations_are_cut() -> None:
    image = np.zeros((4, 5, 3), np.uint8)
    assert summarize(image) is image
    assert len(str(summarize([{"x" * 500}]))) == 200


def test_only_arrays_of_bytes_with_three_channels_are_images() -> None:
    assert is_image(np.zeros((1, 1, 3), np.uint8))
    wrong = [np.zeros((4, 5, 3)), np.zeros((4, 5, 4), np.uint8), np.zeros((0, 5, 3), np.uint8), torch.zeros(4, 5, 3)]
    assert not any(map(is_image, wrong))


@pytest.mark.parametrize(
    ("displays", "message"),
    [
        (["one"], "one value for each of 2 samples, but got 1"),
        ("ab", "one value for each of 2 samples, but got 2"),
        (None, "one value for each of 2 samples, but got a NoneType"),
        (["one", 2], r"\(height, width, 3\), but got a int. Convert it."),
        ([{1: "one"}, ""], r"but got a dict"),
        ([{"a": "one"}, {1: "one"}], r"but got a dict"),
        (["", torch.zeros(3)], r"but got Tensor of torch.float32 and shape \(3,\)"),
    ],
)
def test_a_hook_that_returns_something_else_is_an_error(displays: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"Expected Mine.display to return.*{message}"):
        check_displays(displays, 2, "Mine.display")
