"""Missing values."""

from __future__ import annotations

from flash.data.tables import is_missing


def test_what_is_missing_is_known_by_its_kind() -> None:
    import numpy as np

    assert all(map(is_missing, (None, float("nan"), np.float32("nan"), np.datetime64("NaT"))))
    assert not any(map(is_missing, ("", "nan", 0, False, [], np.array([np.nan, 1]), np.int64(1), b"")))
