"""Which distribution a default belongs to."""

from __future__ import annotations

from flash.core.classification import ClassificationTask
from flash.plugins import (
    default_owner,
    dist_of,
    isolated_plugins,
)


class TestDefaultOwner:
    def test_a_default_belongs_to_the_distribution_of_its_class(self) -> None:
        assert default_owner(ClassificationTask(2), "optimizer", "AdamW") == "flash-core"

    def test_a_value_that_is_not_the_default_has_no_owner(self) -> None:
        assert default_owner(ClassificationTask(2, optimizer="SGD"), "optimizer", "SGD") is None

    def test_a_subclass_of_a_program_inherits_the_owner(self) -> None:
        class Mine(ClassificationTask):
            def __init__(self) -> None:
                super().__init__(2)

        assert default_owner(Mine(), "optimizer", "AdamW") == "flash-core"

    def test_a_package_that_no_plugin_has_is_of_no_distribution(self) -> None:
        with isolated_plugins():
            assert dist_of("flash.image.task") is None
            assert dist_of("collections") is None
            assert dist_of("flash.data.process") == "flash-core"
