"""``flash serve`` under load, beside the network alone and beside LitServe with batches of the same size.

For a row of a table, a sentence and a photo: samples per second of 32 clients, each with one sample a request, as a
share of the forward pass of the network alone with batches of 32 (bar 0.8), and beside LitServe with the same task and
the same JSON (bar 1); and the latency of one client as a multiple of ``task.predict`` of one sample in this process
(bar 1.5). The services and the clients are processes of their own, on the same cores. For rows also 16 and 256 in a
request, ``--format onnx``, and a bare ASGI application of uvicorn that reads the body and answers a constant. More
requests no service in Python answers here, so that with one row a request the measure is the time that this application
and the network take for a row, one after the other (bar 0.5: JSON, checks, the queue, and the way from a row to tensors
and back take no longer than those two); with more rows it is the network (bar 0.8). Run: ``nox -s bench -- serving``.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from _timing import compare, quiet
from PIL import Image

import flash
from flash.core.prediction import predict_batches
from flash.data.stage import Stage
from flash.data.streams import load_dataset

BATCH = CLIENTS = 32
SENTENCE = "Where is my parcel? I have waited a whole week for it."


def measure(port: int, path: str, body: bytes, clients: int, seconds: float) -> tuple[float, float]:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    arguments = [sys.executable, str(Path(__file__).parent / "_clients.py"), str(port), str(clients), str(seconds)]
    found = subprocess.run(arguments, input=head.encode() + body, capture_output=True, check=True)
    rate, latency = json.loads(found.stdout)
    return rate, latency


# ---------------------------------------------------------------------- services: a process each


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_health(process: subprocess.Popen[bytes], address: str) -> None:
    for _ in range(600):
        assert process.poll() is None, f"{process.args} ended"
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    raise TimeoutError(f"{address} does not answer")


@contextmanager
def service(arguments: list[str], port: int, health: str) -> Iterator[None]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": ""}
    # LitServe writes a file into the folder in which it starts.
    options: Any = {"cwd": tempfile.gettempdir(), "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(arguments, env=environment, start_new_session=True, **options)
    try:
        await_health(process, f"http://127.0.0.1:{port}{health}")
        yield
    finally:
        process.terminate()
        process.wait(60)
        # LitServe leaves processes of its own behind.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


# ---------------------------------------------------------------------- tasks


def tabular() -> tuple[flash.Task, Any, Any]:
    from flash.tabular import TabularClassificationData, TabularClassifier

    random = np.random.default_rng(0)
    numbers = {f"number{i}": random.normal(size=500) for i in range(8)}
    frame = pd.DataFrame(numbers | {f"word{i}": random.choice(list("abcde"), 500) for i in range(4)})
    frame["target"] = np.where(frame["number0"] > 0, "yes", "no")
    data = TabularClassificationData.from_data_frame(target_fields="target", train_data_frame=frame, verbose=False)
    row = frame.drop(columns="target").head(1).to_dict("records")[0]
    return TabularClassifier.from_data(data), row, {"rows": [row]}


def text() -> tuple[flash.Task, Any, Any]:
    from flash.text import TextClassificationData, TextClassifier

    data = TextClassificationData.from_lists([SENTENCE, "My card was charged twice."] * 8, ["delivery", "payment"] * 8)
    return TextClassifier.from_data(data, backbone="all-MiniLM-L6-v2.offline"), SENTENCE, {"texts": [SENTENCE]}


def image() -> tuple[flash.Task, Any, Any]:
    from flash.image import ImageClassifier

    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((400, 300)).save(file, "JPEG")
    task = ImageClassifier(labels=["ants", "bees", "cats"], backbone="resnet18", pretrained=False)
    return task, file.getvalue(), {"images": [base64.b64encode(file.getvalue()).decode()]}


def save(task: flash.Task, path: Path) -> None:
    trainer = flash.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(task)
    trainer.save_checkpoint(path, weights_only=True)


def repeated(run: Callable[[], object], least: float = 0.5) -> float:
    """Return the seconds of one run, over at least some seconds."""
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < least:
        run()
        count += 1
    return (time.perf_counter() - start) / count


def report(
    name: str, make: Callable[[], tuple[flash.Task, Any, Any]], folder: Path, rounds: int, limit: float, beside: bool
) -> None:
    task, sample, content = make()
    save(task, folder / f"{name}.ckpt")
    task = flash.Task.load_from_checkpoint(folder / f"{name}.ckpt").eval()
    samples, body = [sample] * BATCH, json.dumps(content).encode()
    dataset = load_dataset(samples, Stage.PREDICT, task.preprocess or task.preprocess_cls(), task.input_spec)
    (batch,) = predict_batches(task, dataset, batch_size=BATCH)

    def network() -> None:
        with torch.inference_mode():
            task(batch.inputs)

    ours, theirs = free_port(), free_port()
    checkpoint = str(folder / f"{name}.ckpt")
    flash_serve = [sys.executable, "-m", "flash", "serve", checkpoint, "--port", str(ours)]
    api = str(Path(__file__).parent / "_litserve_api.py")
    litserve = [sys.executable, api, checkpoint, name, str(theirs)]
    ways: dict[str, Callable[[], float]] = {
        "network": lambda: repeated(network) / BATCH,
        "predict": lambda: repeated(lambda: task.predict(samples, batch_size=BATCH)) / BATCH,
        "flash": lambda: 1 / measure(ours, "/v1/predict", body, CLIENTS, limit)[0],
        "litserve": lambda: 1 / measure(theirs, "/predict", body, CLIENTS, limit)[0],
        "one": lambda: repeated(lambda: task.predict([sample])),
        "one of flash": lambda: measure(ours, "/v1/predict", body, 1, limit)[1],
        "one of litserve": lambda: measure(theirs, "/predict", body, 1, limit)[1],
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(service(flash_serve, ours, "/health"))
        if beside:
            stack.enter_context(service(litserve, theirs, "/health"))
        found = compare({way: run for way, run in ways.items() if beside or "litserve" not in way}, rounds)
    rates = {way: 1 / seconds for way, seconds in found.items()}
    labels = {
        "network": f"network alone, batches of {BATCH}",
        "predict": f"task.predict, batches of {BATCH}",
        "flash": f"flash serve, {CLIENTS} clients",
        "litserve": f"LitServe with batches, {CLIENTS} clients",
        "one": "task.predict of one",
        "one of flash": "flash serve, one client",
        "one of litserve": "LitServe, one client",
    }
    print(name)
    for way, label in labels.items():
        if way not in found:
            continue
        if way.startswith("one"):
            print(f"  {label:36s} {found[way] * 1e3:9.2f} ms      {found[way] / found['one']:6.2f} of task.predict")
        else:
            print(f"  {label:36s} {rates[way]:9.0f} a second {rates[way] / rates['network']:6.2f} of the network")
    if beside:
        print(f"  flash serve beside LitServe {rates['flash'] / rates['litserve']:37.2f}")
    if name == "table":
        report_rows(checkpoint, sample, ways["network"], rounds, limit)


def report_rows(checkpoint: str, row: Any, network: Callable[[], float], rounds: int, limit: float) -> None:
    """Report rows a second with several rows a request, of the checkpoint, in the format onnx, and what HTTP gives.

    Bars, which the service keeps in one of both ways: with one row 0.5 of the bare application and the network after
    each other, with more 0.8 of the network, which is measured in turn with them.
    """
    bare = str(Path(__file__).parent / "_bare_service.py")
    serve = [sys.executable, "-m", "flash", "serve", checkpoint]
    commands = {"checkpoint": [*serve, "--port"], "onnx": [*serve, "--format", "onnx", "--port"]}
    commands["bare uvicorn"] = [sys.executable, bare]
    ports = {way: free_port() for way in commands}
    with contextlib.ExitStack() as stack:
        for way, command in commands.items():
            stack.enter_context(service([*command, str(ports[way])], ports[way], "/health"))
        for rows in (1, 16, 256):
            body = json.dumps({"rows": [row] * rows}).encode()

            def seconds(port: int, body: bytes = body, rows: int = rows) -> float:
                return 1 / measure(port, "/v1/predict", body, CLIENTS, limit)[0] / rows

            runs = {"network": network, **{way: partial(seconds, port) for way, port in ports.items()}}
            found = {way: 1 / each for way, each in compare(runs, rounds).items()}
            both = 1 / (1 / found["bare uvicorn"] + 1 / found["network"])
            base = both if rows == 1 else found["network"]
            shown = ", ".join(f"{way} {rate:.0f} ({rate / base:.2f})" for way, rate in found.items())
            of = "the bare application and the network in turn" if rows == 1 else "the network"
            print(f"  {rows:3d} rows a request, {CLIENTS} clients: {shown} rows a second (of {of})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=["table", "text", "image"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--alone", action="store_true", help="without LitServe")
    options = parser.parse_args()
    quiet()
    with tempfile.TemporaryDirectory() as folder:
        for name in options.names:
            make = {"table": tabular, "text": text, "image": image}[name]
            report(name, make, Path(folder), options.rounds, options.seconds, not options.alone)


if __name__ == "__main__":
    main()
