"""Five epochs of a linear head on a frozen backbone: Flash, a plain PyTorch loop, fastai, and features by hand.

The photos of ants and bees, ``tf_efficientnet_lite0`` with pretrained weights, batch 64, the same transforms (resize,
centre crop), training and validation in each epoch, two threads. Run: ``nox -s bench -- frozen_features``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from _timing import compare, quiet, table
from _weights import efficientnet_lite0
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.datasets import ImageFolder

import flash
from flash.image import ImageClassificationData, ImageClassifier

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "image" / "hymenoptera_data"
BATCH = 64
NAME = "tf_efficientnet_lite0"


def make_network(weights: Path) -> Any:
    network = timm.create_model(NAME, num_classes=0)
    network.load_state_dict(torch.load(weights, weights_only=True), strict=False)
    return network.eval().requires_grad_(False)


def make_loaders(folder: Path, network: Any) -> tuple[Any, Any]:
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=network))
    pictures = [ImageFolder(folder / stage, transform, is_valid_file=is_photo) for stage in ("train", "val")]
    train, val = (DataLoader(each, BATCH, shuffle=stage == 0) for stage, each in enumerate(pictures))
    return train, val


def is_photo(path: str) -> bool:
    return path.endswith(".jpg")


def train_head(features: Callable[[Any], Any], loaders: tuple[Any, Any], width: int, epochs: int) -> float:
    """Train and validate a head, and return its accuracy."""
    head = nn.Linear(width, 2)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-2)
    right = total = 0
    for _ in range(epochs):
        for x, y in loaders[0]:
            loss = nn.functional.cross_entropy(head(features(x)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        right = total = 0
        with torch.no_grad():
            for x, y in loaders[1]:
                right += int((head(features(x)).argmax(1) == y).sum())
                total += len(y)
    return right / total


def by_loop(folder: Path, weights: Path, epochs: int) -> float:
    network = make_network(weights)
    start = time.perf_counter()
    loaders = make_loaders(folder, network)
    train_head(lambda x: network(x).detach(), loaders, network.num_features, epochs)
    return time.perf_counter() - start


def by_hand(folder: Path, weights: Path, epochs: int) -> float:
    network = make_network(weights)
    start = time.perf_counter()
    loaders = make_loaders(folder, network)
    kept = []
    with torch.inference_mode():
        for loader in loaders:
            pairs = [(network(x), y) for x, y in loader]
            kept.append(TensorDataset(*(torch.cat(parts) for parts in zip(*pairs, strict=True))))
    kept = [TensorDataset(*(tensor.clone() for tensor in each.tensors)) for each in kept]
    loaders = (DataLoader(kept[0], BATCH, shuffle=True), DataLoader(kept[1], BATCH))
    train_head(lambda x: x, loaders, network.num_features, epochs)
    return time.perf_counter() - start


def by_flash(folder: Path, weights: Path, epochs: int, logged: dict[str, float]) -> float:
    start = time.perf_counter()
    data = ImageClassificationData.from_folders(folder / "train", folder / "val", batch_size=BATCH, seed=0)
    task = ImageClassifier.from_data(data, backbone=NAME, pretrained=weights)
    options: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    trainer = flash.Trainer(
        max_epochs=epochs, accelerator="cpu", enable_progress_bar=False, num_sanity_val_steps=0, **options
    )
    trainer.finetune(task, data, strategy="freeze")
    logged["accuracy"] = float(trainer.callback_metrics["val_accuracy"])
    return time.perf_counter() - start


def by_fastai(folder: Path, weights: Path, epochs: int) -> float:
    from fastai.vision.all import (
        CategoryBlock,
        CrossEntropyLossFlat,
        DataBlock,
        GrandparentSplitter,
        ImageBlock,
        Learner,
        Normalize,
        Resize,
        accuracy,
        get_image_files,
        params,
        parent_label,
    )

    network = make_network(weights)
    config = timm.data.resolve_data_config({}, model=network)
    start = time.perf_counter()
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_items=lambda path: [file for file in get_image_files(path) if is_photo(str(file))],
        get_y=parent_label,
        splitter=GrandparentSplitter("train", "val"),
        item_tfms=Resize(config["input_size"][1]),
        batch_tfms=Normalize.from_stats(config["mean"], config["std"]),
    )
    loaders = block.dataloaders(folder, bs=BATCH, num_workers=0, device=torch.device("cpu"))
    model = nn.Sequential(network, nn.Linear(network.num_features, 2))
    learner = Learner(
        loaders, model, CrossEntropyLossFlat(), metrics=accuracy, splitter=lambda m: [params(m[0]), params(m[1])]
    )
    learner.freeze()
    with learner.no_bar(), learner.no_logging():
        learner.fit(epochs, 1e-2)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--fastai", action="store_true", help="also time fastai, which has to be installed")
    options = parser.parse_args()
    quiet()
    torch.set_num_threads(2)
    logged: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        weights = efficientnet_lite0(Path(place) / "weights.pt")
        arguments = (options.data, weights, options.epochs)
        candidates = {
            "Flash": lambda: by_flash(*arguments, logged),
            "features once, by hand": lambda: by_hand(*arguments),
            "PyTorch loop": lambda: by_loop(*arguments),
        }
        if options.fastai:
            candidates["fastai"] = lambda: by_fastai(*arguments)
        medians = compare(candidates, options.rounds)
    print(f"{options.epochs} epochs of a head on a frozen {NAME}; validation accuracy {logged['accuracy']:.3f}:")
    table(medians, "s", 1.0)


if __name__ == "__main__":
    main()
