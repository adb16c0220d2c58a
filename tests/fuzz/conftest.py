"""The number of inputs that each test tries: a few in the tier of unit tests, and many in the session ``fuzz``."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

#: Examples a test in the tier of unit tests, and in ``nox -s fuzz``, which sets FLASH_FUZZ.
FEW, MANY = 12, 300

for _name, _examples in {"few": FEW, "many": MANY}.items():
    settings.register_profile(
        _name,
        max_examples=_examples,
        derandomize=True,  # the same inputs in each run
        database=None,
        deadline=None,
        # Fixtures are for the whole test, on purpose, and images take their time.
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )
settings.load_profile("many" if os.environ.get("FLASH_FUZZ") else "few")
