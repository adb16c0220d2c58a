"""Losses: by name, function or class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from torch import nn

from flash import Task
from flash.core.losses import make_loss
from flash.errors import ConfigurationError, UnknownNameError
from flash.plugins import Loss, hookimpl, isolated_plugins
from flash.plugins.components import Component


class Plugin:
    """It has a loss that is a class."""

    @hookimpl
    def flash_components(self) -> Iterator[Component]:
        yield Loss("smooth", "torch.nn:SmoothL1Loss")


class TestLosses:
    def test_a_function_a_class_and_a_callable_are_losses(self) -> None:
        assert make_loss("cross_entropy") is nn.functional.cross_entropy
        with isolated_plugins(Plugin()):
            assert isinstance(make_loss("smooth"), nn.SmoothL1Loss)
        assert make_loss(nn.functional.mse_loss) is nn.functional.mse_loss
        assert make_loss(None) is None

    def test_a_task_takes_one_by_name(self) -> None:
        assert Task(loss_fn="huber").loss_fn is nn.functional.huber_loss

    @pytest.mark.parametrize("choice", [nn.HuberLoss, 3])
    def test_what_is_no_loss_is_refused(self, choice: Any) -> None:
        with pytest.raises(ConfigurationError, match="Expected loss_fn to be a name such as 'cross_entropy'"):
            make_loss(choice)

    def test_an_unknown_one_comes_with_what_there_is(self) -> None:
        with pytest.raises(UnknownNameError, match="'hubert' is not among the losses. Did you mean 'huber'"):
            Task(loss_fn="hubert")
