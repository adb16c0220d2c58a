"""Two processes beside one, for tables, images and texts: an epoch of the same rows, one thread each.

``python benchmarks/processes.py [--rounds 3] [--domains tables images texts]``. Networks have random weights; no data
is downloaded. The same program with ``devices=2`` has as many rows a batch in each process, and half the steps: that is
the ratio to keep, 1.7 on two free cores. With the batch divided, each step takes half the time, beside the exchange of
gradients. Two independent processes, each with an epoch of its own, show what the machine can give at that moment; a
loop written by hand around torch's ``DistributedDataParallel``, with the same networks, batches and steps, shows what
exchanging gradients costs there. Where that loop does not reach 1.7 either, the bar is 1.1 of its time in two of them.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from _timing import Clock, compare, quiet

import flash
from flash.core.prediction import split_batch
from flash.data.stage import Stage
from flash.image import ImageClassificationData, ImageClassifier
from flash.tabular import TabularClassificationData, TabularClassifier
from flash.testing._group import run_group
from flash.text import TextClassificationData, TextClassifier

BAR = 1.7
SILENT = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
# Of tables, as many as the default batch of 512 rows is made for.
ROWS = {"tables": 51_200, "images": 128, "texts": 320}


def words(rows: int) -> list[str]:
    """Make texts of 60 words."""
    random = np.random.default_rng(0)
    return [" ".join(f"w{number}" for number in random.integers(0, 500, 60)) for _ in range(rows)]


class Encoder(torch.nn.Module):
    """A transformer of the size of MiniLM, with two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(600, 384)
        layer = torch.nn.TransformerEncoderLayer(384, 12, 1536, batch_first=True)
        self.layers = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        """Return a vector for each token."""
        return self.layers(self.embed(input_ids), src_key_padding_mask=attention_mask == 0)


def tokenize(texts: list[str]) -> list[list[int]]:
    """Return the numbers of the words."""
    return [[int(word[1:]) + 1 for word in text.split()] for text in texts]


def tables(batch: int) -> tuple[Any, Any]:
    """Return a task and data of 20 columns."""
    x = np.random.default_rng(0).normal(size=(ROWS["tables"], 20))
    columns = {f"x{column}": x[:, column].tolist() for column in range(20)} | {"y": (x[:, 0] > 0).tolist()}
    data = TabularClassificationData.from_dicts(
        target_fields="y", train_dict=columns, batch_size=batch, seed=0, verbose=False
    )
    return TabularClassifier.from_data(data, backbone="tabm"), data


def images(batch: int) -> tuple[Any, Any]:
    """Return a task and data of pictures."""
    x = np.random.default_rng(0).integers(0, 256, (ROWS["images"], 96, 96, 3), dtype=np.uint8)
    data = ImageClassificationData.from_numpy(x, [row % 2 for row in range(len(x))], batch_size=batch, seed=0)
    return ImageClassifier.from_data(data, backbone="resnet18", pretrained=False), data


def texts(batch: int) -> tuple[Any, Any]:
    """Return a task and data of texts."""
    classes = [row % 2 for row in range(ROWS["texts"])]
    data = TextClassificationData.from_lists(words(ROWS["texts"]), classes, batch_size=batch, seed=0)
    return TextClassifier.from_data(data, backbone=Encoder(), tokenizer=tokenize, max_length=64), data


def slowest(outcomes: Any) -> float:
    """Return the seconds of the process that took most of them."""
    for outcome in outcomes:
        if outcome.error is not None:
            raise RuntimeError(outcome.error)
    return float(max(outcome.result for outcome in outcomes))


def seconds(make: Callable[[int], tuple[Any, Any]], batch: int, processes: int, together: bool) -> float:
    """Return the seconds of an epoch: of processes that share it, or that each have one of their own.

    Args:
        make: Returns a task and data.
        batch: The rows of a batch of each process.
        processes: The number of processes.
        together: Whether they share the epoch.
    """

    def work(_: int) -> float:
        quiet()
        if not together:
            for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "TORCHELASTIC_RUN_ID"):
                os.environ.pop(name, None)
        task, data = make(batch)
        clock, options = Clock(), {"devices": processes, "strategy": "ddp"} if together else {"devices": 1}
        trainer = flash.Trainer(max_epochs=1, accelerator="cpu", callbacks=[clock], **options, **SILENT)
        trainer.fit(task, data)
        return clock.seconds

    return slowest(run_group(work, processes))


class Loss(torch.nn.Module):
    """The loss of a batch, as the module that exchanges gradients."""

    def __init__(self, task: Any) -> None:
        super().__init__()
        self.task = task

    def forward(self, inputs: Any, targets: Any) -> Any:
        """Return the loss."""
        return self.task.compute_loss(self.task(inputs), targets)


def seconds_by_hand(make: Callable[[int], tuple[Any, Any]], batch: int, processes: int) -> float:
    """Return the seconds of an epoch that processes share, in a loop of torch alone.

    Args:
        make: Returns a task and data.
        batch: The rows of a batch of each process.
        processes: The number of processes.
    """

    def work(rank: int) -> float:
        quiet()
        task, data = make(batch)
        # The loader of one process; each takes every second batch.
        batches = data.train_dataloader()
        network: torch.nn.Module = Loss(task.train())
        if processes > 1:
            torch.distributed.init_process_group("gloo", rank=rank, world_size=processes)
            network = torch.nn.parallel.DistributedDataParallel(network)
        optimizer = torch.optim.AdamW(network.parameters())
        start = time.perf_counter()
        for found in islice(batches, rank, None, processes):
            optimizer.zero_grad()
            network(*split_batch(found, Stage.TRAIN)).backward()
            optimizer.step()
        return time.perf_counter() - start

    return slowest(run_group(work, processes))


DOMAINS: dict[str, tuple[Callable[[int], tuple[Any, Any]], int]] = {
    "tables": (tables, 512),
    "images": (images, 16),
    "texts": (texts, 32),
}


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--domains", nargs="*", default=list(DOMAINS))
    arguments = parser.parse_args()
    quiet()
    for name in arguments.domains:
        make, batch = DOMAINS[name]
        candidates = {
            "one": partial(seconds, make, batch, 1, False),
            "two": partial(seconds, make, batch, 2, True),
            "divided": partial(seconds, make, batch // 2, 2, True),
            "apart": partial(seconds, make, batch, 2, False),
            "one by hand": partial(seconds_by_hand, make, batch, 1),
            "two by hand": partial(seconds_by_hand, make, batch, 2),
        }
        found = compare(candidates, arguments.rounds)
        ratios = {each: found["one"] / found[each] for each in candidates}
        by_hand = found["one by hand"] / found["two by hand"]
        print(
            f"{name}: {found['one']:.2f} s in one process, {ratios['two']:.2f} times as fast in two (bar {BAR}), "
            f"{ratios['divided']:.2f} with the batch divided; by hand {found['one by hand']:.2f} s, and {by_hand:.2f} "
            f"times as fast in two, of whose time Flash takes {found['two'] / found['two by hand']:.2f} (bar 1.1); two "
            f"that are apart: {2 * ratios['apart']:.2f} times; load {os.getloadavg()[0]:.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
