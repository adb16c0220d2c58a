"""ONNX Runtime beside PyTorch eager on the networks of exported tasks, one per domain, and batches of 1 and 64.

The file is run by the code of an exported folder; the network is the one that it was made from, under
``inference_mode``. One thread each, alternated. Names such as ``table texts`` choose some. Run:
``nox -s bench -- export``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from _timing import compare, quiet, table
from torch import nn

import flash
from flash.core.export import portable_of
from flash.core.prediction import evaluating
from flash.data.portable import make_inputs, named_specs
from flash.image import ImageClassifier
from flash.tabular import TabularClassificationData, TabularClassifier
from flash.text import TextClassificationData, TextClassifier


def tables() -> Iterator[tuple[str, flash.Task]]:
    data = TabularClassificationData.from_source("sklearn", dataset="breast_cancer", verbose=False)
    for backbone in ("mlp", "tabm", "ft_transformer"):
        yield f"table, {backbone}", TabularClassifier.from_data(data, backbone=backbone)


def photos() -> Iterator[tuple[str, flash.Task]]:
    for backbone in ("resnet18", "vit_tiny_patch16_224"):
        yield f"photos, {backbone}", ImageClassifier(10, backbone=backbone, pretrained=False)


def texts() -> Iterator[tuple[str, flash.Task]]:
    data = TextClassificationData.from_lists(
        ["Where is my parcel?", "I was charged twice."] * 8, ["where", "money"] * 8
    )
    yield "texts of 64 tokens, MiniLM", TextClassifier.from_data(data, backbone="all-MiniLM-L6-v2.offline")


TASKS = {"table": tables, "photos": photos, "texts": texts}


def timed(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(TASKS))
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    quiet()
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        tasks = (each for name in options.names for each in TASKS[name]())
        for place, (name, task) in enumerate(tasks):
            written = task.export(Path(folder, str(place)), "onnx")
            session = onnxruntime.InferenceSession(written / "model.onnx", settings)
            specs = portable_of(task).inputs
            assert specs is not None
            network = task.exported_parts(specs)["model"].module
            for batch in (1, 64):
                tensors = make_inputs(specs, {"batch": batch, "length": 64})
                arrays = {key: tensor.numpy() for key, tensor in zip(named_specs(specs), tensors, strict=True)}

                def eager(network: nn.Module = network, tensors: list[Any] = tensors) -> float:
                    with torch.inference_mode(), evaluating(network):
                        return timed(lambda: network(*tensors))

                def onnx(session: Any = session, arrays: dict[str, Any] = arrays) -> float:
                    return timed(lambda: session.run(None, arrays))

                print(f"{name}, batch of {batch}")
                table(compare({"PyTorch eager": eager, "ONNX Runtime": onnx}, options.rounds), "ms", 1000)


if __name__ == "__main__":
    main()
