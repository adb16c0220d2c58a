"""ONNX Runtime beside PyTorch eager on the networks of exported tasks, one per domain, and batches of 1 and 64.

The file is run by the code of an exported folder; the network is the one that it was made from, under
``inference_mode``. One thread each, alternated. Run: ``nox -s bench -- export``.
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
from transformers import BertConfig, BertModel

import flash
from flash.core.export import portable_of
from flash.core.prediction import evaluating
from flash.data.portable import make_inputs, named_specs
from flash.image import ImageClassifier
from flash.tabular import TabularClassificationData, TabularClassifier
from flash.text import TextClassifier


def tasks() -> Iterator[tuple[str, flash.Task, Any]]:
    """Yield a task of each domain, and the inputs that its preprocess does not know."""
    data = TabularClassificationData.from_source("sklearn", dataset="breast_cancer", verbose=False)
    for backbone in ("mlp", "tabm", "ft_transformer"):
        yield f"table, {backbone}", TabularClassifier.from_data(data, backbone=backbone), None
    for backbone in ("resnet18", "vit_tiny_patch16_224"):
        yield f"photos, {backbone}", ImageClassifier(10, backbone=backbone, pretrained=False), None
    sizes = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
    model: nn.Module = BertModel(BertConfig(vocab_size=30522, **sizes)).eval()
    task = TextClassifier(2, backbone=model, tokenizer=lambda texts: [[1] * 64 for _ in texts])
    yield "texts of 64 tokens, MiniLM's sizes", task, None


def timed(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    quiet()
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        for place, (name, task, inputs) in enumerate(tasks()):
            written = task.export(Path(folder, str(place)), "onnx", inputs=inputs)
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
