"""``flash baseline``: check data, race models on it within a time limit, and write a report."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ._durations import seconds_of

__all__ = ["main"]

_INTERRUPTED = 130  # The exit code that a shell reports for Ctrl-C.


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Args:
        arguments: Those after ``flash baseline``.

    Returns:
        0, or 130 if the run was interrupted.
    """
    parser = argparse.ArgumentParser(
        prog="flash baseline",
        description="Check data, race models on it within a time limit, and write a report, a leaderboard and the best "
        "task.",
        allow_abbrev=False,
    )
    parser.add_argument("data", metavar="DATA", help="a table, or a folder: a subfolder per class, or images and masks")
    parser.add_argument(
        "--target", nargs="+", metavar="COLUMN", help="the column to predict (default: target, label, class or y)"
    )
    parser.add_argument("--val", metavar="DATA", help="validation data (default: a fifth of the train data)")
    parser.add_argument("--test", metavar="DATA", help="test data (default: a fifth of the data)")
    parser.add_argument("--task", help="the task, such as tabular/regression (default: what the data looks like)")
    parser.add_argument("--time_limit", default="10m", metavar="TIME", help="such as 90s, 10m or 2h (default: 10m)")
    parser.add_argument("-o", "--output", default="baseline", metavar="FOLDER", help="the folder of the report")
    parser.add_argument("--group", metavar="COLUMN", help="a column whose values the splits do not divide")
    parser.add_argument("--time", metavar="COLUMN", help="a column of times: the latest rows are for testing")
    parser.add_argument(
        "--folds", type=int, metavar="K", help="compare the best models over K folds (default: on the validation part)"
    )
    parser.add_argument("--drop", nargs="+", default=[], metavar="COLUMN", help="columns to leave out")
    parser.add_argument("--metric", help="the metric that decides, such as auroc (default: accuracy, F1 or RMSE)")
    parser.add_argument("--recipes", nargs="+", metavar="NAME", help="the recipes to race (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="the seed of splits and weights (default: 0)")
    parser.add_argument("--sep", help="the separator of a table of text, if it is not detected")
    parser.add_argument("--encoding", help="the encoding of a table of text, such as cp1252 (default: UTF-8)")
    parser.add_argument("--decimal", metavar="MARK", help="the decimal mark of a table of text (default: a point)")
    parser.add_argument(
        "--engine",
        metavar="NAME",
        help="where recipes are trained, such as ray of flash-ray, several at a time (default: in this process)",
    )
    parser.add_argument(
        "--num_workers", type=int, default=2, metavar="N", help="the number of workers of the engine (default: 2)"
    )
    options = vars(parser.parse_args(arguments))
    options["time_limit"] = seconds_of(options["time_limit"])
    target = options.pop("target")
    from .baseline import run  # Loads torch.

    found = run(target=target[0] if target is not None and len(target) == 1 else target, **options)
    return _INTERRUPTED if found.is_interrupted else 0
