"""Core's own strategies and callbacks keep the contract that those of plugins have to keep."""

from __future__ import annotations

from typing import Any

import pytest

from flash.testing import CallbackConformance, StrategyConformance


class TestFreeze(StrategyConformance):
    @pytest.fixture
    def strategy(self) -> Any:
        return "freeze"

    def trains(self, epoch: int) -> set[int]:
        return set()


class TestFreezeUnfreeze(StrategyConformance):
    @pytest.fixture
    def strategy(self) -> Any:
        return ("freeze_unfreeze", 2)

    def trains(self, epoch: int) -> set[int]:
        return {0, 1, 2} if epoch >= 2 else set()


class TestUnfreezeMilestones(StrategyConformance):
    @pytest.fixture
    def strategy(self) -> Any:
        return ("unfreeze_milestones", ((1, 3), 1))

    def trains(self, epoch: int) -> set[int]:
        return {0, 1, 2} if epoch >= 3 else {2} if epoch else set()


class TestKeepBest(CallbackConformance):
    name = "keep_best"
    changes_training = True


class TestAverageWeights(CallbackConformance):
    name = "average_weights"
    changes_training = True
