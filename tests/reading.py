"""Which files of Flash a reader opens who follows the lines of the README, call by call.

``python tests/reading.py`` makes small data, runs data module, ``from_data``, ``finetune`` and ``predict`` for tables,
images and texts, each in a new process, and prints the files whose functions were called: all functions of the packages
of Flash, in every thread, those that run while a module is imported at its first use included. Not counted are the
bodies of modules and classes, which are no calls, and what the import lines of the program load. Each program runs
twice: the second run shows what is left when the plugins are loaded.
"""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

DOMAINS = ("tabular", "image", "text")
RUNS = ("first", "second")
ROWS = 60

#: The number of calls by file, by line of the program.
Files = dict[str, dict[str, int]]


class Reader:
    """Notes in which files the functions are that are called.

    Args:
        roots: The folders of the packages that count.
    """

    def __init__(self, roots: list[Path]) -> None:
        self.roots = [str(root) for root in roots]
        self.files: Files = {}
        self._places: dict[str, str | None] = {}

    @contextmanager
    def reading(self, call: str) -> Iterator[None]:
        """Note the calls while the context is open under a name."""
        found = self.files.setdefault(call, {})

        def note(frame: FrameType, event: str, _: object) -> None:
            if event == "call" and frame.f_code.co_flags & 0x2:  # CO_NEWLOCALS: functions, no modules and classes.
                place = self._place(frame.f_code.co_filename)
                if place is not None:
                    found[place] = found.get(place, 0) + 1

        threading.setprofile(note)
        sys.setprofile(note)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def _place(self, file: str) -> str | None:
        if file not in self._places:
            root = next((root for root in self.roots if file.startswith(root)), None)
            self._places[file] = None if root is None else file[len(root) :].lstrip("/")
        return self._places[file]


def roots_of_flash() -> list[Path]:
    """The folders that the packages of Flash are installed in, or developed in."""
    import flash
    import flash.audio  # as the others, before anything is counted; none of the programs is its own
    import flash.image
    import flash.tabular
    import flash.text

    inner = (flash.image, flash.tabular, flash.text)
    return [Path(str(flash.__file__)).parent.parent, *(Path(str(each.__file__)).parent.parent.parent for each in inner)]


def measure(domain: str, folder: str) -> dict[str, Files]:
    """Run the four lines of a domain twice, and return the number of calls by file, by line, of both runs.

    The first run finds and loads the plugins, and imports what is imported at its first use; the second does not.
    """
    import torch

    from flash import Trainer

    make, make_task, raw = PROGRAMS[domain](Path(folder))
    silent: dict[str, Any] = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
    found = {}
    for run in RUNS:
        torch.manual_seed(0)
        reader = Reader(roots_of_flash())
        with reader.reading("data"):
            data = make()
        with reader.reading("from_data"):
            task = make_task(data)
        with reader.reading("finetune"):
            trainer = Trainer(max_epochs=2, accelerator="cpu", enable_checkpointing=False, **silent)
            trainer.finetune(task, data, strategy="freeze")
        with reader.reading("predict"):
            task.predict(raw)
        found[run] = reader.files
    return found


def count(files: Files) -> int:
    """Return how many files there are in all lines."""
    return len({file for found in files.values() for file in found})


# ---------------------------------------------------------------------- the programs

Program = tuple[Callable[[], Any], Callable[[Any], Any], Any]


def tabular(folder: Path) -> Program:
    """Rows of a table with two columns and a class."""
    from flash.tabular import TabularClassificationData, TabularClassifier

    rng = random.Random(0)
    rows = [[rng.randint(18, 80), rng.choice(["Rome", "Oslo"])] for _ in range(ROWS)]
    _write(folder / "train.csv", ["age", "city", "bought"], [[*row, "yes" if row[0] > 40 else "no"] for row in rows])
    _write(folder / "new.csv", ["age", "city"], rows[:5])
    options: dict[str, Any] = {"target_fields": "bought", "train_file": folder / "train.csv", "val_split": 0.1}
    return (
        lambda: TabularClassificationData.from_csv(**options),
        lambda data: TabularClassifier.from_data(data),
        folder / "new.csv",
    )


def image(folder: Path) -> Program:
    """Pictures in two folders."""
    import numpy as np
    from PIL import Image

    from flash.image import ImageClassificationData, ImageClassifier

    rng = np.random.default_rng(0)
    for stage, count in (("train", ROWS), ("val", 8)):
        for number in range(count):
            file = folder / stage / ("ants", "bees")[number % 2] / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(file)
    return (
        lambda: ImageClassificationData.from_folders(train_folder=folder / "train", val_folder=folder / "val"),
        lambda data: ImageClassifier.from_data(data, backbone="resnet18", pretrained=False),  # No hub is asked here.
        [str(folder / "val" / "ants" / "0.png")],
    )


def text(folder: Path) -> Program:
    """Texts of a table with a class, for a small BERT that is stored in a folder."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    from flash.text import TextClassificationData, TextClassifier

    words = ["a", "film", "story", "good", "bad"]
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(["[PAD]", "[UNK]", *words])}, "[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    checkpoint = str(folder / "bert")
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    fast.save_pretrained(checkpoint)
    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    BertModel(BertConfig(vocab_size=len(words) + 2, **sizes)).save_pretrained(checkpoint)
    rows = [[f"a {('good', 'bad')[number % 2]} film", ("positive", "negative")[number % 2]] for number in range(ROWS)]
    _write(folder / "train.csv", ["review", "sentiment"], rows)
    return (
        lambda: TextClassificationData.from_csv("review", "sentiment", train_file=folder / "train.csv", val_split=0.1),
        lambda data: TextClassifier.from_data(data, backbone=checkpoint),
        ["a good story", "a bad film"],
    )


PROGRAMS: dict[str, Callable[[Path], Program]] = {"tabular": tabular, "image": image, "text": text}


def _write(file: Path, names: list[str], rows: list[list[Any]]) -> None:
    with file.open("w", newline="") as table:
        csv.writer(table).writerows([names, *rows])


# ---------------------------------------------------------------------- the report


def report(domain: str, run: str, files: Files) -> str:
    """Return how many files each line leads through, and which."""
    lines = [f"{domain}, {run} run: {count(files)} files"]
    for call, found in files.items():
        lines.append(f"  {call}: {len(found)} files, {sum(found.values())} calls")
        lines += [f"    {calls:6}  {file}" for file, calls in sorted(found.items(), key=lambda each: -each[1])]
    return "\n".join(lines)


def main() -> None:
    """Measure each domain in a new process, and print the report."""
    if len(sys.argv) == 3:
        print(json.dumps(measure(sys.argv[1], sys.argv[2])))  # noqa: T201  # for the process that asked
        return
    for domain in DOMAINS:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, domain, folder]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        for run, files in json.loads(done.stdout.splitlines()[-1]).items():
            print(report(domain, run, files), end="\n\n")  # noqa: T201  # a report


if __name__ == "__main__":
    main()
