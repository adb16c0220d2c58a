"""Conformance checks of data sources."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

import flash
from flash.plugins import get_host
from flash.testing._compare import same
from flash.testing._with_data import STAGES, WithSamples, dataset_of, equal_samples, refuse

__all__ = ["DataSourceConformance"]


class DataSourceConformance(WithSamples):
    """Conformance checks of a data source.

    A subclass sets ``source``, and provides the fixtures ``data_class``, ``arguments`` and ``bad_arguments``.

    Example:
        >>> class TestTones(DataSourceConformance):
        ...     source = "tones"
        ...     @pytest.fixture
        ...     def data_class(self):
        ...         return AudioClassificationData
        ...     @pytest.fixture
        ...     def arguments(self):
        ...         return {"count": 40}
        ...     @pytest.fixture
        ...     def bad_arguments(self):
        ...         return {"there are too few": {"count": 1}}
    """

    #: The name of the source for ``from_source``.
    source: ClassVar[str] = ""

    @pytest.fixture
    def data_class(self) -> type[flash.DataModule]:
        """Return the class of the data module that it fills; override it in your subclass."""
        raise NotImplementedError("Expected a fixture `data_class` with the data module that the source fills.")

    @pytest.fixture
    def arguments(self) -> Mapping[str, Any]:
        """Return the arguments of the source for a small dataset; by default none."""
        return {}

    @pytest.fixture
    def bad_arguments(self) -> Mapping[str, Mapping[str, Any]]:
        """Return arguments that it must reject, by a description of the error; override it in your subclass."""
        raise NotImplementedError("Expected a fixture `bad_arguments` with arguments that have to be refused.")

    def _make(self, data_class: type[flash.DataModule], arguments: Mapping[str, Any], **options: Any) -> Any:
        return data_class.from_source(self.source, **{"batch_size": 4, "seed": 0, **arguments, **options})

    def _stages(self, data: flash.DataModule) -> list[str]:
        return [stage for stage in STAGES if dataset_of(data, stage) is not None]

    def test_it_is_known_by_its_name(self, data_class: type[flash.DataModule]) -> None:
        """Check that ``available_sources()`` lists it, with a summary."""
        names = data_class.available_sources()
        assert self.source in names, f"Expected {self.source!r} among the sources of {data_class.__name__}: {names}."
        specs = [each.spec for each in get_host().contributions("data source") if each.spec.name == self.source]
        assert all(spec.summary.strip() for spec in specs), f"Expected a summary of {self.source!r}, but it has none."

    def test_it_makes_the_data_module_that_asks(
        self, data_class: type[flash.DataModule], arguments: Mapping[str, Any]
    ) -> None:
        """Check that it returns an instance of the class that ``from_source`` is called on, also of a subclass."""
        sub: type[flash.DataModule] = type("Sub", (data_class,), {"__module__": data_class.__module__})
        for asked in (data_class, sub):
            made = self._make(asked, arguments)
            assert isinstance(made, asked), (
                f"Expected a {asked.__name__} from the source, but got a {type(made).__name__}. Instantiate the class "
                "that the factory is called with."
            )
            assert self._stages(made), "Expected samples for at least one stage, but there are none."

    def test_each_stage_has_each_sample_once(
        self, data_class: type[flash.DataModule], arguments: Mapping[str, Any]
    ) -> None:
        """Check that the batches of a stage contain each sample once, with the requested batch size."""
        for size in (2, 3):
            data = self._make(data_class, arguments, batch_size=size)
            assert data.batch_size == size, (
                f"Expected batch_size={size} as it was asked for, but got {data.batch_size}."
            )
            for stage in self._stages(data):
                count, found = len(dataset_of(data, stage)), len(self.samples(data, stage))
                # A last batch of one sample is dropped in training.
                min_count = count - 1 if stage == "train" else count
                assert min_count <= found <= count, f"Expected the {count} {stage} samples once, but got {found}."

    def test_the_same_arguments_give_the_same_samples(
        self, data_class: type[flash.DataModule], arguments: Mapping[str, Any]
    ) -> None:
        """Check that the source is reproducible, and does not modify its arguments."""
        before = copy.deepcopy(dict(arguments))
        one, other = (self._make(data_class, arguments) for _ in range(2))
        for stage in self._stages(one):
            assert equal_samples(self.samples(one, stage), self.samples(other, stage)), (
                f"Expected the same {stage} samples of the same arguments, but the second time they differ."
            )
        assert same(dict(arguments), before), (
            "Expected the source to leave its arguments as they were, but it does not."
        )

    def test_a_pickled_copy_gives_the_same_samples(
        self, data_class: type[flash.DataModule], arguments: Mapping[str, Any]
    ) -> None:
        """Check that the data module can be pickled, as multi-process training requires."""
        data = self._make(data_class, arguments)
        copied = pickle.loads(pickle.dumps(data))
        for stage in self._stages(data):
            assert equal_samples(self.samples(data, stage), self.samples(copied, stage)), (
                f"Expected the same {stage} samples of a pickled copy, but they differ."
            )

    def test_bad_arguments_are_refused_in_words(
        self,
        data_class: type[flash.DataModule],
        arguments: Mapping[str, Any],
        bad_arguments: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Check that invalid and unknown arguments raise a FlashError, at the latest when samples are loaded."""
        for wrong, given in {**bad_arguments, "nothing takes an argument": {"no_such_argument": 1}}.items():

            def read(given: Mapping[str, Any] = given) -> None:
                data = self._make(data_class, {**arguments, **given})
                for stage in self._stages(data):
                    self.samples(data, stage)

            refuse(wrong, read)
