"""``flash fit``: train a task on data, and keep the run in a folder."""

from __future__ import annotations

from collections.abc import Sequence

from flash.cli._arguments import FIT_USAGE, read_config, wants_help
from flash.cli._output import wrap
from flash.errors import ConfigurationError
from flash.plugins import get_host

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    config = read_config(arguments)
    named = [each for each in arguments[:1] if not each.startswith("-")]
    name = str(named[0] if named else config.get("name", ""))
    if name:
        contribution = get_host().tasks()[name]
        from flash.cli._run import run  # Loads torch.

        return run(name, contribution.load("task"), contribution.load("data"), arguments, config)
    tasks = sorted(get_host().tasks())
    known = ", ".join(tasks) or "none, since no plugin with a task is installed"
    if not wants_help(arguments):
        raise ConfigurationError(f"Expected a task first, as in flash fit {(tasks or ['TASK'])[0]}, among: {known}.")
    print(f"usage: {FIT_USAGE}\n\nTrain a task on data, and keep configuration, metrics and the task in a folder.\n")
    print("\n".join(wrap(f"tasks: {known}")))
    print("\nflash fit TASK --help shows the options of a task.")
    return 0
