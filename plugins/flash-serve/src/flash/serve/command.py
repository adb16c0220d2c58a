"""``flash serve``: serve the predictions of a task over HTTP, with a page to try it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from .limits import Limits, bytes_of

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Args:
        arguments: Those after ``flash serve``.

    Returns:
        0 after the service was stopped.
    """
    usual = Limits()
    parser = argparse.ArgumentParser(
        prog="flash serve",
        description="Serve the predictions of a task over HTTP: POST /v1/predict, a page at /, /health, /metrics and "
        "/openapi.json.",
        allow_abbrev=False,
    )
    parser.add_argument("source", metavar="CKPT", help="a checkpoint, such as task.ckpt, or a folder of flash export")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for all networks (default: this machine alone)")
    parser.add_argument("--port", type=int, default=8000, help="0 for a free one (default: 8000)")
    parser.add_argument("--workers", type=int, default=1, help="processes, each with its own task (default: 1)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ... (default: cpu)")
    parser.add_argument("--precision", default="32", help="of the weights: 32, 16, bf16 or 64 (default: 32)")
    parser.add_argument(
        "--format",
        help="export the task first, as onnx or pt2, and serve that: small networks are faster, on the CPU "
        "(default: serve the checkpoint as it is)",
    )
    parser.add_argument(
        "--max_batch",
        type=int,
        default=usual.max_batch,
        help="samples at a time (default: 256 rows of a table, 32 of all else)",
    )
    parser.add_argument("--max_body", default="10MB", metavar="SIZE", help="of a request (default: 10MB)")
    parser.add_argument("--max_rows", type=int, default=usual.max_rows, help="samples of a request (default: 1000)")
    parser.add_argument("--max_text", type=int, default=usual.max_text, help="characters (default: 100000)")
    parser.add_argument("--max_classes", type=int, default=usual.max_classes, help="of an answer (default: 100)")
    parser.add_argument("--queue", type=int, default=usual.queue, help="requests that wait (default: 256)")
    parser.add_argument("--timeout", type=float, default=usual.timeout, help="seconds for a request (default: 30)")
    options = vars(parser.parse_args(arguments))
    options["max_body"] = bytes_of(options["max_body"])
    from .server import run  # Loads torch.

    run(options.pop("source"), **options)
    return 0
