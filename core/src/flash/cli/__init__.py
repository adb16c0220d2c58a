"""The ``flash`` command: what is installed, what it gives, and what is wrong with it.

It imports no torch, except to check what it is asked to check, and it works when a plugin does not.
"""

from flash.cli._main import main

__all__ = ["main"]
