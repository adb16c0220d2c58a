"""Run pytest: of several processes, the one that hands out the tests imports nothing that only tests need.

That takes torch, and what else the ``conftest.py`` of a package imports, out of the time before the first test starts.
The arguments are those of pytest.
"""

from __future__ import annotations

import sys

import pytest


class Controller:
    """A plugin of the process that was started, which the workers of pytest-xdist do not have."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_load_initial_conftests(self, early_config: pytest.Config) -> None:
        """Load no ``conftest.py`` where workers do."""
        if getattr(early_config.known_args_namespace, "numprocesses", None):
            early_config.known_args_namespace.noconftest = True


if __name__ == "__main__":
    # Tests import what they do under the command, which puts no folder of ours there.
    sys.path.pop(0)
    sys.exit(pytest.main(plugins=[Controller()]))
