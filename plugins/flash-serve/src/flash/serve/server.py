"""Serve a task with uvicorn, in one process or several."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

import torch
import uvicorn

import flash
from flash.errors import ConfigurationError

from .app import make_app
from .limits import Limits
from .models import export, load
from .protocol import GuardedProtocol

__all__ = ["run", "worker"]

# What the processes of a service are told by their parent.
_SETTINGS = "FLASH_SERVE_SETTINGS"


def run(
    task: flash.Task | str | os.PathLike[str],
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 1,
    device: str = "cpu",
    precision: str = "32",
    format: str | None = None,
    **limits: Any,
) -> None:
    """Serve a task until the process gets SIGINT or SIGTERM; requests that have arrived are answered first.

    Args:
        task: A checkpoint, a folder of :meth:`flash.Task.export`, or a trained task.
        host: The address to listen on; others reach the service on ``"0.0.0.0"``.
        port: The port; 0 for a free one.
        workers: The number of processes, each with a task of its own; one that ends is replaced.
        device: The device for a checkpoint, such as ``"cuda"``.
        precision: The precision of the weights of a checkpoint: ``"32"``, ``"16"``, ``"bf16"`` or ``"64"``.
        format: The format in which the task is exported before it is served, such as ``"onnx"``, with which small
            networks predict faster; see :meth:`flash.Task.export`.
        limits: The arguments of :class:`~flash.serve.limits.Limits`.

    Raises:
        ConfigurationError: If an argument is wrong, the port is taken, or several processes are to serve a task in
            memory.
        CheckpointError: If there is neither a checkpoint nor an export of a task, or it is damaged.
        ExportError: If the task cannot be exported in the format.
    """
    bounds = Limits(**limits)
    if workers < 1:
        raise ConfigurationError(f"Expected workers to be a whole number above 0, but got {workers!r}.")
    _check_address(host, port)
    if workers > 1 and isinstance(task, flash.Task) and format is None:
        raise ConfigurationError(
            f"Expected a checkpoint for {workers} workers, each of which loads it, but got a task in memory. Save it: "
            "trainer.save_checkpoint(path)."
        )
    options: Any = {
        "host": host,
        "port": port,
        # The class, since the older versions of uvicorn know no protocols by their path.
        "http": GuardedProtocol,
        "ws": "none",
        "access_log": False,
        "server_header": False,
        # Nobody asks for the address of a client.
        "proxy_headers": False,
        "timeout_keep_alive": 5,
        "timeout_graceful_shutdown": int(bounds.timeout) + 5,
    }
    # A file that a process still reads cannot be removed on Windows.
    with tempfile.TemporaryDirectory(prefix="flash-serve-", ignore_cleanup_errors=True) as folder:
        source = task if format is None else export(task, Path(folder, "exported"), format, device, precision)
        # What is wrong with a checkpoint is said here, once.
        model = source if isinstance(source, flash.Task) else load(source, device, precision)
        app = make_app(model, **dataclasses.asdict(bounds))
        if not isinstance(source, flash.Task) and workers > 1:
            del app, model
            shared = Path(folder, "metrics")
            shared.mkdir()
            settings = {
                "source": os.fspath(source),
                "device": device,
                "precision": precision,
                "threads": max(torch.get_num_threads() // workers, 1),
                "limits": dataclasses.asdict(bounds),
                "metrics": str(shared),
            }
            os.environ[_SETTINGS] = json.dumps(settings)
            uvicorn.run("flash.serve.server:worker", factory=True, workers=workers, **options)
            return
    # One process needs no file any more, and ends by the signal that stops it.
    _keep_what_is_loaded()
    uvicorn.run(app, **options)


def _check_address(host: str, port: int) -> None:
    """Raise an error before a model is loaded, if nobody could listen there."""
    try:
        if not 0 <= port < 1 << 16:
            raise OverflowError("a port is from 0 to 65535")
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            if os.name == "posix":  # as the service does, where the port of one that has just ended is free
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, OverflowError, UnicodeError) as error:
        raise ConfigurationError(
            f"Expected an address to listen on, but {host}:{port} is none: {error}. Choose another host or port, such "
            "as port=0 for a free one."
        ) from error


def worker() -> Any:
    """Make the application of one of several processes."""
    settings = json.loads(os.environ[_SETTINGS])
    torch.set_num_threads(settings["threads"])
    model = load(settings["source"], settings["device"], settings["precision"])
    app = make_app(model, **settings["limits"])
    app.state.service.metrics.share(settings["metrics"])
    _keep_what_is_loaded()
    return app


def _keep_what_is_loaded() -> None:
    """Leave out of garbage collection what stays for the life of the process, which is a large part of each pass."""
    gc.collect()
    gc.freeze()
