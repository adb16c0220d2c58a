"""Heads by name, as callables and as modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from flash.errors import ConfigurationError
from flash.image.heads import heads, make_head


@pytest.mark.parametrize("head", ["linear", "mlp", nn.Linear, lambda n, m: nn.Sequential(nn.ReLU(), nn.Linear(n, m))])
def test_a_head_gives_a_number_an_output(head: Any) -> None:
    assert make_head(head, 8, 3)(torch.randn(5, 8)).shape == (5, 3)


def test_a_module_is_a_head_as_it_is() -> None:
    mine = nn.Linear(8, 3)
    assert make_head(mine, 8, 3) is mine


def test_a_registered_head_is_found_by_its_name() -> None:
    heads.register("bilinear", lambda n, m: nn.Linear(n, m, bias=False))
    try:
        assert make_head("bilinear", 8, 3).bias is None
    finally:
        heads.remove("bilinear")


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(KeyError, match="'mpl' is not among the image heads. Did you mean 'mlp'"):
        make_head("mpl", 8, 3)


def test_something_else_is_an_error_that_says_what_was_expected() -> None:
    with pytest.raises(ConfigurationError, match="Expected head to be one of 'linear', 'mlp', a module, or a callable"):
        make_head(7, 8, 3)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="which made int"):
        make_head(lambda n, m: n, 8, 3)
