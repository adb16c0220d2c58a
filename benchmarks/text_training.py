"""Time of training and prediction on short texts of mixed length, and memory of a million of them.

A BERT of two layers (the size of the default backbone) with random weights, on texts of 5 to 200 tokens, batch 16, the
same epochs, optimizer and learning rate, one thread each. Flash has its default metrics on. The peers: Flash with each
batch padded to 200 tokens; transformers' own ``Trainer``, which pads each batch to its longest text; for prediction a
loop that does the same. Run: ``nox -s bench -- text_training``; needs ``pip install accelerate`` besides flash-text.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import random
import resource
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from _timing import Clock, compare, quiet, table
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import (
    BertConfig,
    DataCollatorWithPadding,
    PreTrainedTokenizerFast,
    PrinterCallback,
    TrainerCallback,
    TrainingArguments,
)
from transformers import Trainer as TransformersTrainer

import flash
from flash.text import TextClassificationData, TextClassifier, TextPreprocess
from flash.text.hub import make_model

LONGEST = 200
BATCH = 16
RATE = 5e-4
WORDS = [f"word{number}" for number in range(2000)]
MARKS = [[f"{name}{number}" for number in range(20)] for name in ("up", "down")]


def make_texts(count: int, seed: int) -> tuple[list[str], list[int]]:
    """Texts of 3 to 198 words, half of them of at most 20; one word in ten tells the class, one in thirty lies."""
    rng = random.Random(seed)
    texts, targets = [], []
    for number in range(count):
        target = number % 2
        length = min(max(round(rng.lognormvariate(3.0, 0.9)), 3), LONGEST - 2)
        words = rng.choices(WORDS, k=length)
        for place in range(length):
            draw = rng.random()
            if draw < 0.13:
                words[place] = rng.choice(MARKS[target if draw < 0.1 else 1 - target])
        texts.append(" ".join(words))
        targets.append(target)
    return texts, targets


def make_tokenizer() -> PreTrainedTokenizerFast:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    words = [*special, *WORDS, *MARKS[0], *MARKS[1]]
    backend = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]")


def make_task() -> TextClassifier:
    sizes = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512}
    torch.manual_seed(0)
    encoder = make_model(BertConfig(vocab_size=len(WORDS) + 44, **sizes), "encoder")
    return TextClassifier(
        num_classes=2,
        backbone=encoder,
        tokenizer=make_tokenizer(),
        max_length=LONGEST,
        learning_rate=RATE,
        lr_scheduler=None,
    )


class PadToTheLongest(TextPreprocess):
    """Every batch as wide as a text may be, in any order, as of old."""

    def train_collate(self, samples: Sequence[Any]) -> Any:
        filler = (np.zeros(LONGEST, dtype=np.int32), samples[0][1])
        x, y = self.collate([*samples, filler])
        return {name: tensor[:-1] for name, tensor in x.items()}, y[:-1]


class Labelled(nn.Module):
    """The network of a task, as transformers' Trainer takes it."""

    def __init__(self, task: TextClassifier) -> None:
        super().__init__()
        self.task = [task]
        self.parts = nn.ModuleList([task.backbone, task.head])

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> dict[str, Tensor]:
        scores = self.task[0]({"input_ids": input_ids, "attention_mask": attention_mask})
        return {"loss": nn.functional.cross_entropy(scores, labels), "logits": scores}


class TheirClock(TrainerCallback):
    """The time between the first and the last step of a training by transformers."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.start = time.perf_counter()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self.seconds = time.perf_counter() - self.start


class Benchmark:
    """The texts, the peers, and how well each of them learned."""

    def __init__(self, rows: int, epochs: int) -> None:
        self.texts, self.targets = make_texts(rows, seed=0)
        self.test_texts, self.test_targets = make_texts(2000, seed=1)
        self.epochs = epochs
        self.scores: dict[str, float] = {}

    def by_flash(self, name: str, preprocess: TextPreprocess | None = None, **options: Any) -> float:
        data = TextClassificationData.from_lists(
            self.texts, self.targets, batch_size=BATCH, seed=0, preprocess=preprocess, **options
        )
        task, clock = make_task(), Clock()
        trainer = flash.Trainer(
            max_epochs=self.epochs,
            callbacks=[clock],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            accelerator="cpu",
        )
        trainer.fit(task, data)
        self.judge(name, task)
        return clock.seconds / self.epochs

    def by_transformers(self, name: str) -> float:
        task, clock = make_task(), TheirClock()
        tokenizer = make_tokenizer()
        ids = tokenizer(self.texts, truncation=True, max_length=LONGEST, return_token_type_ids=False)
        rows = [
            {"input_ids": each, "attention_mask": mask, "labels": target}
            for each, mask, target in zip(ids["input_ids"], ids["attention_mask"], self.targets, strict=True)
        ]
        arguments = TrainingArguments(
            output_dir="unused",
            per_device_train_batch_size=BATCH,
            num_train_epochs=self.epochs,
            learning_rate=RATE,
            weight_decay=0.01,
            lr_scheduler_type="constant",
            max_grad_norm=0.0,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            remove_unused_columns=False,
        )
        trainer = TransformersTrainer(
            Labelled(task),
            arguments,
            data_collator=DataCollatorWithPadding(tokenizer),
            train_dataset=rows,  # type: ignore[arg-type]  # a list is a dataset too
            callbacks=[clock],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        self.judge(name, task)
        return clock.seconds / self.epochs

    def judge(self, name: str, task: TextClassifier) -> None:
        found = task.predict(self.test_texts, output="classes")
        right = sum(one == other for one, other in zip(found, self.test_targets, strict=True))
        self.scores[name] = right / len(found)

    def predict_by_flash(self, task: TextClassifier) -> float:
        start = time.perf_counter()
        task.predict(self.texts, output="classes", batch_size=BATCH)
        return time.perf_counter() - start

    def predict_by_loop(self, task: TextClassifier) -> float:
        tokenizer = make_tokenizer()
        start = time.perf_counter()
        found: list[int] = []
        task.eval()
        with torch.inference_mode():
            for first in range(0, len(self.texts), BATCH):
                texts = self.texts[first : first + BATCH]
                batch = tokenizer(
                    texts,
                    padding=True,
                    truncation=True,
                    max_length=LONGEST,
                    return_tensors="pt",
                    return_token_type_ids=False,
                )
                found += task(dict(batch)).argmax(-1).tolist()
        return time.perf_counter() - start


def measure_memory(count: int) -> None:
    """Memory of a stream of short texts once they are tokenized, by what the process has more than before."""

    def rows() -> Iterator[dict[str, Any]]:
        rng = random.Random(0)
        for number in range(count):
            yield {"text": " ".join(rng.choices(WORDS, k=rng.randint(5, 25))), "label": number % 2}

    task = make_task()
    gc.collect()
    before = _resident()
    data = TextClassificationData.from_datasets("text", "label", train_dataset=rows(), seed=0)
    task.use_data(data)
    tokens = data.train_dataset.lengths.sum().item() * 4
    gc.collect()
    # What the C library has been given back, and keeps for later, is not held by the data.
    ctypes.CDLL(None).malloc_trim(0)
    held = _resident() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    print(f"\nMemory of {count:,} tokenized texts, {tokens / 1e6:.0f} MB of token ids (4 bytes each):")
    print(f"  held {held / 1e6:.0f} MB, {held / tokens:.2f} of them; at most {peak / 1e6:.0f} MB, {peak / tokens:.2f}")


def _resident() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123  # no ordinary file
        return int(file.read().split()[1]) * resource.getpagesize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", type=int, default=1_000_000, help="how many texts memory is measured with")
    options = parser.parse_args()
    quiet()
    # First, while nothing else has taken and given back memory.
    if options.texts:
        measure_memory(options.texts)
    if not options.rounds:
        return
    benchmark = Benchmark(options.rows, options.epochs)
    names = ("Flash", "transformers' Trainer, dynamic padding", f"Flash, padded to {LONGEST} tokens")
    medians = compare(
        {
            names[0]: lambda: benchmark.by_flash(names[0]),
            names[1]: lambda: benchmark.by_transformers(names[1]),
            names[2]: lambda: benchmark.by_flash(names[2], PadToTheLongest()),
        },
        options.rounds,
    )
    print(f"\nTime of an epoch on {options.rows:,} texts, median of {options.rounds} rounds; ratio to Flash:")
    table(medians, "s", 1.0)
    for name, score in benchmark.scores.items():
        print(f"  {name:44s} test accuracy {score:.3f}")
    task = make_task()
    medians = compare(
        {
            "Flash, task.predict": lambda: benchmark.predict_by_flash(task),
            "loop with dynamic padding": lambda: benchmark.predict_by_loop(task),
        },
        options.rounds,
    )
    print(f"\nTime of predicting {options.rows:,} texts, tokenization included; ratio to Flash:")
    table(medians, "s", 1.0)


if __name__ == "__main__":
    main()
