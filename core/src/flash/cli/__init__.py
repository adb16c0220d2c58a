"""The ``flash`` command: list installed plugins and their contributions, and find problems.

It does not import torch, except for checks of targets, and it works when a plugin fails.
"""

from flash.cli._main import main

__all__ = ["main"]
