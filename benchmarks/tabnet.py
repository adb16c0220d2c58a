"""Time of an epoch of TabNet on Adult: pytorch-tabnet's own ``fit``, a bare loop over tensor slices, and Flash.

The same network (8 features a step, 3 steps, 1 number a category), the same rows, batch 1,024, the same epochs, one
thread each. Flash has its default metrics on. Run: ``nox -s bench -- tabnet``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from _timing import Clock, compare, quiet, table
from pytorch_tabnet.tab_model import TabNetClassifier
from pytorch_tabnet.tab_network import TabNet
from torch import nn

import flash
from flash.tabular import TabularClassificationData, TabularClassifier

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "tabular" / "adult_train.csv"
BATCH = 1024


def by_library(x: Any, y: Any, places: list[int], sizes: list[int], epochs: int) -> float:
    model = TabNetClassifier(
        cat_idxs=places, cat_dims=sizes, cat_emb_dim=1, verbose=0, device_name="cpu", optimizer_params={"lr": 2e-2}
    )
    start = time.perf_counter()
    model.fit(x, y, max_epochs=epochs, batch_size=BATCH, virtual_batch_size=128, drop_last=False)
    return (time.perf_counter() - start) / epochs


def by_hand(x: torch.Tensor, y: torch.Tensor, places: list[int], sizes: list[int], epochs: int) -> float:
    groups = torch.eye(x.shape[1])
    network = TabNet(
        x.shape[1], 2, cat_idxs=places, cat_dims=sizes, cat_emb_dim=[1] * len(sizes), group_attention_matrix=groups
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-2)
    start = time.perf_counter()
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for first in range(0, len(x), BATCH):
            rows = order[first : first + BATCH]
            scores, sparsity = network(x[rows])
            loss = nn.functional.cross_entropy(scores, y[rows]) - 1e-3 * sparsity
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
    return (time.perf_counter() - start) / epochs


def by_flash(data: TabularClassificationData, epochs: int) -> float:
    clock = Clock()
    task = TabularClassifier.from_data(
        data, backbone="tabnet", backbone_kwargs={"cat_emb_dim": 1}, optimizer="Adam", lr_scheduler=None
    )
    trainer = flash.Trainer(
        max_epochs=epochs,
        callbacks=[clock],
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    trainer.fit(task, data)
    return clock.seconds / epochs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    quiet()
    data = TabularClassificationData.from_data_frame(
        target_fields="income", train_data_frame=pd.read_csv(options.data), batch_size=BATCH, verbose=False, seed=0
    )
    inputs, y = data.train_dataset.columns.tree
    numbers, codes = inputs["numerical"], inputs["categorical"]
    x = torch.cat([numbers, codes.float()], dim=1)
    places = list(range(numbers.shape[1], x.shape[1]))
    sizes = data.facts["cardinalities"]
    arrays = (x.numpy().astype(np.float32), y.numpy())
    medians = compare(
        {
            "Flash, default metrics": lambda: by_flash(data, options.epochs),
            "bare loop over tensor slices": lambda: by_hand(x, y, places, sizes, options.epochs),
            "pytorch-tabnet's fit": lambda: by_library(*arrays, places, sizes, options.epochs),
        },
        options.rounds,
    )
    print(f"Time of an epoch of TabNet on {len(x):,} rows, median of {options.rounds} rounds; ratio to Flash:")
    table(medians, "s", 1.0)


if __name__ == "__main__":
    main()
