"""``flash export``: write the task of a checkpoint for another runtime."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Args:
        arguments: Those after ``flash export``.

    Returns:
        0.
    """
    parser = argparse.ArgumentParser(
        prog="flash export",
        description="Write the task of a checkpoint for another runtime, with what is needed to predict without Flash.",
        allow_abbrev=False,
    )
    parser.add_argument("checkpoint", metavar="CKPT", help="the checkpoint: a file or a URL")
    parser.add_argument("--format", default="pt2", help="a name of flash components exporters (default: pt2)")
    parser.add_argument("-o", "--output", required=True, metavar="FOLDER", help="a new folder")
    parser.add_argument("--quantize", action="store_true", help="store weights as 8-bit integers (onnx)")
    options = parser.parse_args(arguments)
    from flash import Task  # Loads torch.

    task = Task.load_from_checkpoint(options.checkpoint)
    quantize = {"quantize": True} if options.quantize else {}
    folder = task.export(options.output, options.format, **quantize)
    sys.stdout.write(f"Wrote {folder}: {', '.join(sorted(file.name for file in folder.iterdir()))}.\n")
    return 0
