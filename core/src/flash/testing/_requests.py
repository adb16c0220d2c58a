"""Checks that a task predicts what its preprocess says of a request to a service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flash
from flash.core.prediction import preprocess_of
from flash.data.requests import RequestField, RequestFields, RequestRows
from flash.testing._with_task import WithTask

__all__ = ["RequestChecks"]

_VALUES: Mapping[str, list[Any]] = {
    "number": [0.0, -1.5],
    "category": ["unheard of", 3],
    "date": ["2024-12-31", "2024-02-29T18:30"],
    "duration": [0.0, 90.5],
    "text": ["a", ""],
}


class RequestChecks(WithTask):
    """Checks of :meth:`flash.Preprocess.request_fields`."""

    def test_what_a_request_may_hold_is_predicted(self, trained: flash.Task, raw_inputs: Any) -> None:
        """Check that the fields of a request can be written as JSON, and that samples of them are predicted."""
        fields = preprocess_of(trained).request_fields()
        found = RequestFields.from_json(json.loads(json.dumps(fields.to_json())), fields.check)
        assert found.to_json() == fields.to_json(), (
            f"Expected fields of a request that JSON can hold, but {fields.to_json()} become {found.to_json()}."
        )
        for sample in _samples_of(fields, raw_inputs):
            try:
                count = len(trained.predict(_as_passed(sample)))
            except Exception as error:
                raise AssertionError(
                    f"Expected task.predict to take what request_fields describes, but it refuses the sample "
                    f"{str(sample)[:200]}: {type(error).__name__}: {error}"
                ) from error
            assert count == 1, f"Expected one result for the sample {str(sample)[:200]}, but got {count}."


def _samples_of(fields: RequestFields, raw_inputs: Any) -> list[Any]:
    """Return samples as a service would pass them, each value of each field once."""
    if fields.kind == "table":
        usual = {each.name: _values(each)[0] for each in fields.fields}
        return [usual, *({**usual, each.name: value} for each in fields.fields for value in _values(each))]
    if fields.kind == "text":
        return [tuple("a text" for _ in fields.fields) or "a text"]
    files = [each for each in _listed(raw_inputs) if isinstance(each, str | Path) and Path(each).is_file()]
    contents = [Path(each).read_bytes() for each in files]
    if fields.check is not None:
        for content in contents:
            fields.check(content)
    if fields.kind in ("image", "audio"):
        return contents
    # What numbers there are is known to the network alone.
    return [Path(each) for each in files] if fields.kind == "file" else []


def _as_passed(sample: Any) -> Any:
    """Return one sample as a service passes it."""
    return RequestRows(list(sample), [tuple(sample.values())]) if isinstance(sample, dict) else [sample]


def _values(field: RequestField) -> list[Any]:
    typical = [] if field.typical is None else [field.typical]
    missing = [None] if field.may_be_missing else []
    return [*typical, *field.values[:2], *_VALUES[field.type], *missing]


def _listed(raw_inputs: Any) -> list[Any]:
    return list(raw_inputs) if isinstance(raw_inputs, list | tuple) else [raw_inputs]
