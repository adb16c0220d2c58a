"""A baseline for your data: checks, a race of models within a time limit, a leaderboard and a report."""

from __future__ import annotations

__version__ = "0.1.0"
