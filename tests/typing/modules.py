"""Programs that name the whole module: type checkers know what is in it."""

from typing import Any

from typing_extensions import assert_type

import flash.tabular


def choose() -> None:
    assert_type(flash.tabular.TabularClassifier.available_backbones(), list[str])
    assert_type(flash.__version__, str)
    assert_type(flash.tabular.TabularClassifier(num_numerical=1, num_classes=2).predict("new.csv"), list[Any])
