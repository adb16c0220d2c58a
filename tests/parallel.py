"""Run pytest: of several processes, the one that hands out the tests imports nothing that only tests need.

That takes torch, and what else the ``conftest.py`` of a package imports, out of the time before the first test starts,
where no coverage is measured.
The arguments are those of pytest.
"""

from __future__ import annotations

import sys

import pytest


class Controller:
    """A plugin of the process that was started, which the workers of pytest-xdist do not have."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_load_initial_conftests(self, early_config: pytest.Config) -> None:
        """Load no ``conftest.py`` where workers do, but where coverage is measured.

        pytest-cov sees what runs while modules are imported in this process alone.
        """
        given = early_config.known_args_namespace
        if getattr(given, "numprocesses", None) and not getattr(given, "cov_source", None):
            given.noconftest = True


if __name__ == "__main__":
    # Tests import what they do under the command, which puts no folder of ours there.
    sys.path.pop(0)
    sys.exit(pytest.main(plugins=[Controller()]))
