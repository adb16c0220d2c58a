"""Every domain on a GPU: what it does in mixed precision, whether it agrees with the CPU, and how fast and large it is.

For each domain and each precision: fit, finetune, predict, resume in the middle of a run, save and export; predictions
agree with those of the CPU. Then training and prediction beside a hand-written loop as experts write it: pinned memory,
copies that do not wait, channels-last images, autocast, with ``torch.compile`` and without. The networks have random
weights. Run: ``nox -s bench -- gpu``; ``--device cpu --tiny`` tries the program where there is no GPU.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from _timing import Clock, quiet
from text_training import make_tokenizer
from torch import Tensor, nn
from torch.utils._pytree import tree_map
from transformers import BertConfig

import flash
from flash.audio import AudioClassifier
from flash.image import ImageClassifier
from flash.tabular import TabularClassifier
from flash.text import TextClassifier
from flash.text.hub import make_model

PRECISIONS = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
# How far probabilities of a GPU may be from those of the CPU: half precision keeps 8 or 11 bits.
TOLERANCES = {"32-true": 1e-3, "bf16-mixed": 5e-2, "16-mixed": 2e-2}


class Domain(NamedTuple):
    """A task, and tensors that its network takes."""

    make_task: Callable[[], flash.Task]
    make_inputs: Callable[[int], Any]
    batch_size: int
    batches: int


def image(tiny: bool) -> Domain:
    size, name = (32, "resnet18") if tiny else (224, "resnet50")
    return Domain(
        lambda: ImageClassifier(num_classes=2, backbone=name, pretrained=False, learning_rate=1e-3),
        lambda rows: torch.randn(rows, 3, size, size),
        batch_size=8 if tiny else 128,
        batches=4 if tiny else 20,
    )


def text(tiny: bool) -> Domain:
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    tokenizer, length = make_tokenizer(), 16 if tiny else 128
    config = BertConfig(vocab_size=len(tokenizer), **(sizes if tiny else {}))
    return Domain(
        lambda: TextClassifier(
            num_classes=2, backbone=make_model(config, "encoder"), tokenizer=tokenizer, max_length=length
        ),
        lambda rows: {
            "input_ids": torch.randint(4, len(tokenizer), (rows, length)),
            "attention_mask": torch.ones(rows, length, dtype=torch.long),
        },
        batch_size=8 if tiny else 32,
        batches=4 if tiny else 40,
    )


def tabular(tiny: bool) -> Domain:
    facts = {"num_numerical": 12, "cardinalities": [10] * 4, "bins": [[-2.0, -1.0, 0.0, 1.0, 2.0]] * 12}
    return Domain(
        lambda: TabularClassifier(num_classes=2, backbone="tabm", **facts),
        lambda rows: {
            "numerical": torch.randn(rows, 12),
            "categorical": torch.randint(0, 10, (rows, 4), dtype=torch.int32),
        },
        batch_size=32 if tiny else 1024,
        batches=4 if tiny else 60,
    )


def audio(tiny: bool) -> Domain:
    mels, frames = (16, 32) if tiny else (64, 500)
    return Domain(
        lambda: AudioClassifier(num_classes=2, backbone_kwargs={"n_mels": mels}),
        lambda rows: {"spectrogram": torch.randn(rows, 1, mels, frames), "length": torch.full((rows,), frames)},
        batch_size=8 if tiny else 64,
        batches=4 if tiny else 20,
    )


DOMAINS = {"image": image, "text": text, "tabular": tabular, "audio": audio}


def make_trainer(device: str, precision: str, **options: Any) -> flash.Trainer:
    silent = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    accelerator = "gpu" if device == "cuda" else "cpu"
    given: Any = {"enable_checkpointing": False, **silent, **options}
    return flash.Trainer(accelerator=accelerator, devices=1, precision=precision, **given)


def make_data(domain: Domain, batches: int) -> tuple[flash.DataModule, Any, Tensor]:
    rows = batches * domain.batch_size
    torch.manual_seed(0)
    inputs, targets = domain.make_inputs(rows), torch.randint(0, 2, (rows,))
    data = flash.DataModule.from_tensors(
        train_data=inputs, train_targets=targets, predict_data=inputs, batch_size=domain.batch_size, seed=0
    )
    return data, inputs, targets


def check(domain: Domain, device: str, precision: str) -> None:
    """Do what people do, once, in a few steps."""
    data, inputs, _ = make_data(domain, 2)
    task = domain.make_task()
    make_trainer(device, precision, max_epochs=1).fit(task, data)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trainer = make_trainer(device, precision, max_epochs=2)
        trainer.finetune(task, data, strategy=("freeze_unfreeze", 1))
        trainer.save_checkpoint(folder / "task.ckpt")
        again = domain.make_task()
        resumed = make_trainer(device, precision, max_epochs=3)
        resumed.finetune(again, data, strategy=("freeze_unfreeze", 1), ckpt_path=folder / "task.ckpt")
        assert resumed.global_step == trainer.global_step + 2
        found = make_trainer(device, precision).predict(again, data, output="probabilities")
        assert found is not None
        on_device = torch.tensor([row for batch in found for row in batch])
        difference = float((on_device - probabilities_on_cpu(again, inputs)).abs().max())
        assert difference < TOLERANCES[precision], f"{difference} from the CPU"
        again.save_pretrained(folder / "hub")
        batch = tree_map(lambda each: each[: domain.batch_size], inputs)
        again.export(folder / "exported", format="pt2", inputs=batch)
    print(f"  {precision:10s}  fit, finetune, resume, predict, save, export: done; {difference:.1e} from the CPU")


def probabilities_on_cpu(task: flash.Task, inputs: Any) -> Tensor:
    task.to("cpu").eval()
    with torch.inference_mode():
        probabilities: Tensor = task(inputs).softmax(-1)
    return probabilities


class HandWritten:
    """The loop that an expert writes for a network: the same batches, and no more than a step needs."""

    def __init__(self, domain: Domain, device: str, precision: str, *, compiled: bool) -> None:
        _, inputs, targets = make_data(domain, domain.batches)
        self.inputs, self.targets = inputs, targets
        self.size, self.device, self.is_image = domain.batch_size, device, isinstance(inputs, Tensor)
        self.network: nn.Module = domain.make_task().to(device)
        if self.is_image:
            self.network = self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.forward: Any = torch.compile(self.network) if compiled else self.network
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-3)
        dtype = PRECISIONS[precision]
        self.autocast = torch.autocast(device, dtype, enabled=dtype != torch.float32)
        self.scaler = torch.amp.GradScaler(device, enabled=dtype == torch.float16 and device == "cuda")

    def batches(self) -> Iterator[tuple[Any, Tensor]]:
        for rows in torch.randperm(len(self.targets)).split(self.size):
            batch = tree_map(partial(self.moved, rows=rows), self.inputs)
            if self.is_image:
                batch = batch.contiguous(memory_format=torch.channels_last)
            yield batch, self.moved(self.targets, rows=rows)

    def moved(self, values: Tensor, rows: Tensor) -> Tensor:
        """Return rows on the device; what is indexed is not pinned, so that they are copied into a pinned tensor."""
        pinned = torch.empty((len(rows), *values.shape[1:]), dtype=values.dtype, pin_memory=self.device == "cuda")
        return torch.index_select(values, 0, rows, out=pinned).to(self.device, non_blocking=True)

    def train(self) -> float:
        self.network.train()
        start = time.perf_counter()
        for inputs, targets in self.batches():
            with self.autocast:
                loss = nn.functional.cross_entropy(self.forward(inputs), targets)
            self.optimizer.zero_grad(set_to_none=True)
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
        return self.samples_per_second(start)

    def predict(self) -> float:
        self.network.eval()
        start = time.perf_counter()
        with torch.inference_mode(), self.autocast:
            found = [self.forward(inputs).float().softmax(-1) for inputs, _ in self.batches()]
        torch.cat(found).tolist()
        return self.samples_per_second(start)

    def samples_per_second(self, start: float) -> float:
        wait(self.device)
        return len(self.targets) / (time.perf_counter() - start)


class ByFlash:
    """The same by a trainer of Flash, with its metrics."""

    def __init__(self, domain: Domain, device: str, precision: str) -> None:
        self.data, _, targets = make_data(domain, domain.batches)
        self.device, self.precision, self.rows = device, precision, len(targets)
        self.task = domain.make_task()

    def train(self) -> float:
        clock = Clock()
        make_trainer(self.device, self.precision, max_epochs=1, callbacks=[clock]).fit(self.task, self.data)
        return self.rows / clock.seconds

    def predict(self) -> float:
        start = time.perf_counter()
        make_trainer(self.device, self.precision).predict(self.task, self.data, output="probabilities")
        wait(self.device)
        return self.rows / (time.perf_counter() - start)


def wait(device: str) -> None:
    """Wait for what a GPU has to do."""
    if device == "cuda":
        torch.cuda.synchronize()


def measure(make: Callable[[], Any], device: str, rounds: int) -> tuple[float, float, float]:
    """Return samples per second of training and of prediction, the best of some rounds, and GiB of GPU memory."""
    # Trainers are in cycles, and would keep the memory of the loop before.
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    loop = make()
    rates = [(loop.train(), loop.predict()) for _ in range(rounds + 1)][1:]
    memory = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else 0.0
    return max(train for train, _ in rates), max(predict for _, predict in rates), memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="networks and data of the smallest size")
    parser.add_argument("--domains", nargs="+", default=list(DOMAINS), choices=list(DOMAINS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no_compile", action="store_true", help="leave torch.compile out")
    options = parser.parse_args()
    quiet()
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("Expected a GPU, but PyTorch finds none here. Try the program with --device cpu --tiny.")
    print(torch.cuda.get_device_name() if options.device == "cuda" else "CPU", "torch", torch.__version__)
    precisions = [name for name in PRECISIONS if options.device == "cuda" or name != "16-mixed"]
    for name in options.domains:
        domain = DOMAINS[name](options.tiny)
        print(name)
        for precision in precisions:
            # TensorFloat-32, which convolutions take by default, has the 11 bits of half precision.
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                check(domain, options.device, precision)
        for precision in precisions:
            by_hand = partial(HandWritten, domain, options.device, precision)
            loops: dict[str, Callable[[], Any]] = {
                "hand-written loop": partial(by_hand, compiled=False),
                "hand-written loop, torch.compile": partial(by_hand, compiled=True),
                "Flash": partial(ByFlash, domain, options.device, precision),
            }
            if options.no_compile:
                del loops["hand-written loop, torch.compile"]
            base: tuple[float, float, float] | None = None
            for peer, make in loops.items():
                found = measure(make, options.device, options.rounds)
                base = base or found
                print(
                    f"  {precision:10s}  {peer:34s} train {found[0]:9.0f}/s {found[0] / base[0]:5.2f}   "
                    f"predict {found[1]:9.0f}/s {found[1] / base[1]:5.2f}   {found[2]:5.1f} GiB"
                )


if __name__ == "__main__":
    main()
