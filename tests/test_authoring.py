"""From nothing to a plugin that is installed and tested: what a third party does first."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import pytest

from flash.cli._new import KINDS

COMBINATIONS = [kinds for size in range(1, 5) for kinds in itertools.combinations(KINDS, size)]

Build = object
Run = object


@pytest.fixture(scope="session")
def python_of_an_author(make_environment):  # type: ignore[no-untyped-def]
    """An environment with flash-core as a wheel, and pytest."""
    return make_environment(flash_core="wheel")
