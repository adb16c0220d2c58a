"""Training of segmentation and of token classification, beside loops of PyTorch on the same networks.

Images of 64 x 64 pixels with masks, and sentences of 5 to 40 words with tags; the networks have random weights, one
thread each. Flash has its default metrics on, and no augmentation. The loops have the same modules, losses, optimizer
and batch size: images as float tensors that are normalized before, and texts that are tokenized before and padded to
the longest of each batch. The bar is 1.05 of the loop's time. Run: ``nox -s bench -- pixels_and_words``.
"""

from __future__ import annotations

import argparse
import random
import time
from typing import Any

import numpy as np
import torch
from _timing import Clock, compare, quiet, table
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from transformers import BertConfig, PreTrainedTokenizerFast

import flash
from flash.image import SemanticSegmentation, SemanticSegmentationData
from flash.text import TokenClassificationData, TokenClassifier
from flash.text.hub import make_model

BATCH, RATE, IGNORED = 16, 1e-3, -100
SILENT: dict[str, Any] = dict.fromkeys(
    ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
)


def by_flash(task: flash.Task, data: flash.DataModule, epochs: int) -> float:
    clock = Clock()
    flash.Trainer(max_epochs=epochs, accelerator="cpu", callbacks=[clock], **SILENT).fit(task, data)
    return clock.seconds


def by_hand(parameters: Any, loader: Any, loss_of: Any, epochs: int) -> float:
    optimizer = torch.optim.AdamW(parameters, lr=RATE, fused=True)
    start = time.perf_counter()
    for _ in range(epochs):
        for batch in loader:
            loss = loss_of(batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return time.perf_counter() - start


def pixels(rows: int, epochs: int) -> dict[str, Any]:
    """Return the two ways of training a segmenter."""
    images = np.random.default_rng(0).integers(0, 256, (rows, 64, 64, 3), dtype=np.uint8)
    masks = (images[..., 0] > 127).astype(np.uint8)
    config = {"input_size": (3, 64, 64), "mean": (0.5,) * 3, "std": (0.5,) * 3}

    def make() -> tuple[SemanticSegmentation, SemanticSegmentationData]:
        data = SemanticSegmentationData.from_numpy(images, masks, batch_size=BATCH, seed=0, augmentation="none")
        task = SemanticSegmentation.from_data(
            data, backbone="resnet18", pretrained=False, data_config=config, learning_rate=RATE, lr_scheduler=None
        )
        return task, data

    def loop() -> float:
        task, _ = make()
        task.train()
        x = (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
        loader = DataLoader(TensorDataset(x, torch.from_numpy(masks).long()), batch_size=BATCH, shuffle=True)

        def loss_of(batch: list[Tensor]) -> Tensor:
            scores = task.forward_head(task.forward_features(batch[0]))
            return task.compute_loss(scores, batch[1])

        return by_hand(task.parameters(), loader, loss_of, epochs)

    return {"a loop": loop, "flash": lambda: by_flash(*make(), epochs)}


def words(rows: int, epochs: int) -> dict[str, Any]:
    """Return the two ways of training a token classifier."""
    rng = random.Random(0)
    names = [f"word{number}" for number in range(500)]
    sentences = [rng.choices(names, k=rng.randint(5, 40)) for _ in range(rows)]
    tags = [["B-ODD" if int(word[4:]) % 2 else "O" for word in sentence] for sentence in sentences]
    backend = Tokenizer(
        models.WordLevel({word: place for place, word in enumerate(["[PAD]", "[UNK]", *names])}, "[UNK]")
    )
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]")
    sizes = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512}

    def make() -> tuple[TokenClassifier, TokenClassificationData]:
        torch.manual_seed(0)
        encoder = make_model(BertConfig(vocab_size=len(names) + 2, **sizes), "encoder")
        data = TokenClassificationData.from_lists(sentences, tags, batch_size=BATCH, seed=0)
        task = TokenClassifier.from_data(
            data, backbone=encoder, tokenizer=tokenizer, max_length=64, learning_rate=RATE, lr_scheduler=None
        )
        return task, data

    def loop() -> float:
        task, _ = make()
        task.train()
        ids = [torch.tensor(tokenizer(sentence, is_split_into_words=True)["input_ids"]) for sentence in sentences]
        targets = [torch.tensor([task.labels.index(tag) for tag in each]) for each in tags]

        def collate(samples: list[int]) -> tuple[Tensor, Tensor, Tensor]:
            pad = nn.utils.rnn.pad_sequence
            x = pad([ids[row] for row in samples], batch_first=True)
            return x, (x > 0).long(), pad([targets[row] for row in samples], True, IGNORED)

        def loss_of(batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
            x, mask, y = batch
            vectors = task.backbone(input_ids=x, attention_mask=mask).last_hidden_state
            return nn.functional.cross_entropy(task.head(vectors).flatten(0, 1), y.flatten(), ignore_index=IGNORED)

        loader: Any = DataLoader(range(rows), batch_size=BATCH, shuffle=True, collate_fn=collate)  # type: ignore[arg-type]
        return by_hand(task.parameters(), loader, loss_of, epochs)

    return {"a loop": loop, "flash": lambda: by_flash(*make(), epochs)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    quiet()
    for name, ways in (("segmentation", pixels(160, 2)), ("token classification", words(1000, 2))):
        print(name)
        table(compare(ways, options.rounds), "ms", 1e3)


if __name__ == "__main__":
    main()
