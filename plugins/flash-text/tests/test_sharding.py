"""Tasks whose weights are sharded over two processes equal those of one, and resume exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.distributed.tensor import DTensor

from flash.testing import silent_trainer
from flash.testing._group import run_group
from flash.text import SummarizationData, SummarizationTask, TextClassificationData, TextClassifier

pytestmark = pytest.mark.process

# Two processes add the gradients of halves of a batch, one process those of all its rows.
TOLERANCE = 1e-6

CASES: dict[str, dict[str, Any]] = {
    "all": {},
    "frozen": {"strategy": "freeze"},
    "adapters": {"strategy": "lora"},
    "unfrozen later": {"strategy": ("freeze_unfreeze", 1)},
    "the best weights": {"callbacks": ["keep_best"]},
}


@pytest.mark.parametrize("case", CASES)
def test_it_equals_one_process_and_is_resumed_exactly(
    case: str, reviews: Callable[..., Any], bert: str, tmp_path: Path
) -> None:
    options = dict(CASES[case])
    strategy, callbacks = options.pop("strategy", None), options.pop("callbacks", [])
    texts, targets = reviews(40)

    def train(processes: int, folder: Path, ckpt_path: Path | None = None) -> dict[str, Any]:
        def work(rank: int) -> dict[str, Any]:
            torch.manual_seed(7)
            data = TextClassificationData.from_lists(
                texts,
                targets,
                val_data=texts[:13],
                val_targets=targets[:13],
                predict_data=texts[:7],
                batch_size=8 // processes,
                seed=0,
            )
            task = TextClassifier.from_data(data, backbone=bert, lr_scheduler="cosine_with_warmup")
            for module in task.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.0
            keep = ModelCheckpoint(folder, filename="{step}", save_top_k=-1, every_n_train_steps=1)
            trainer = silent_trainer(
                devices=processes,
                strategy="sharded" if processes > 1 else "auto",
                max_epochs=2,
                callbacks=[*callbacks, keep],
                enable_checkpointing=True,
            )
            if strategy is None:
                trainer.fit(task, data, ckpt_path=ckpt_path)
            else:
                trainer.finetune(task, data, strategy=strategy, ckpt_path=ckpt_path)
            shares = [each.to_local().numel() for each in task.parameters() if isinstance(each, DTensor)]
            trainer.save_checkpoint(folder / "end.ckpt")
            return {
                "history": task.history,
                "predictions": trainer.predict(task, data, output="probabilities"),
                "weights": sum(each.numel() for each in task.parameters()),
                "share": sum(shares),
            }

        outcomes = run_group(work, processes)
        assert [outcome.error for outcome in outcomes] == [None] * processes
        if processes > 1:
            assert sum(outcome.result["share"] for outcome in outcomes) == outcomes[0].result["weights"]
            assert max(outcome.result["share"] for outcome in outcomes) < 0.6 * outcomes[0].result["weights"]
            assert outcomes[0].result["predictions"] == outcomes[1].result["predictions"]
        result: dict[str, Any] = outcomes[0].result
        return {**result, "state": torch.load(folder / "end.ckpt", weights_only=True)["state_dict"]}

    one, two = train(1, tmp_path / "one"), train(2, tmp_path / "two")
    assert two["history"] == [pytest.approx(epoch, abs=TOLERANCE) for epoch in one["history"]]
    # The file of one process leaves out the weights that adapters are put on.
    assert one["state"].keys() == two["state"].keys() or strategy == "lora"
    torch.testing.assert_close(
        {name: two["state"][name] for name in one["state"]}, one["state"], atol=TOLERANCE, rtol=0
    )
    flat = [[row for batch in each["predictions"] for row in batch] for each in (one, two)]
    torch.testing.assert_close(torch.tensor(flat[1]), torch.tensor(flat[0]), atol=TOLERANCE, rtol=0)

    loaded = TextClassifier.load_from_checkpoint(tmp_path / "two/end.ckpt")
    found = torch.tensor(loaded.predict(texts[:7], output="probabilities"))
    torch.testing.assert_close(found, torch.tensor(flat[1]), atol=TOLERANCE, rtol=0)

    again = train(2, tmp_path / "again", tmp_path / "two/step=3.ckpt")
    assert again["history"] == two["history"]
    assert [name for name in two["state"] if not torch.equal(two["state"][name], again["state"][name])] == []


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_texts_are_generated_with_weights_that_encoder_and_decoder_share(
    kind: str, reviews: Callable[..., Any], checkpoints: dict[str, Path]
) -> None:
    texts, _ = reviews(24)
    first = [text.split()[0] for text in texts]

    def train(processes: int) -> tuple[Any, Any]:
        def work(rank: int) -> tuple[Any, Any]:
            torch.manual_seed(7)
            data = SummarizationData.from_lists(
                texts,
                first,
                val_data=texts[:7],
                val_targets=first[:7],
                predict_data=texts[:5],
                batch_size=8 // processes,
                seed=0,
            )
            task = SummarizationTask.from_data(data, backbone=str(checkpoints[kind]))
            for module in task.modules():
                # Attention's own is a number.
                rates = {
                    name for name in ("dropout", "activation_dropout") if isinstance(getattr(module, name, 0), float)
                }
                for name in {"p"} if isinstance(module, torch.nn.Dropout) else rates:
                    setattr(module, name, 0.0)
            trainer = silent_trainer(devices=processes, strategy="sharded" if processes > 1 else "auto", max_epochs=2)
            trainer.fit(task, data)
            return task.history, trainer.predict(task, data)

        outcomes = run_group(work, processes)
        assert [outcome.error for outcome in outcomes] == [None] * processes
        result: tuple[Any, Any] = outcomes[0].result
        return result

    (one, texts_of_one), (two, texts_of_two) = train(1), train(2)
    assert two == [pytest.approx(epoch, abs=1e-5) for epoch in one]
    flat = [[text for batch in each for text in batch] for each in (texts_of_one, texts_of_two)]
    assert flat[1] == flat[0]


def test_the_middle_of_an_epoch_belongs_to_the_number_of_processes(
    reviews: Callable[..., Any], bert: str, tmp_path: Path
) -> None:
    texts, targets = reviews(40)

    def fit(processes: int, **options: Any) -> Any:
        def work(rank: int) -> int:
            data = TextClassificationData.from_lists(texts, targets, batch_size=4, seed=0)
            task = TextClassifier.from_data(data, backbone=bert)
            keep = ModelCheckpoint(tmp_path / "run", filename="{step}", save_top_k=-1, every_n_train_steps=1)
            shards = {"devices": processes, "strategy": "sharded"} if processes > 1 else {}
            trainer = silent_trainer(callbacks=[keep], enable_checkpointing=True, **shards)
            trainer.fit(task, data, **options)
            return int(trainer.global_step)

        return run_group(work, processes)

    assert [outcome.result for outcome in fit(2)] == [5, 5]
    (outcome,) = fit(1, ckpt_path=tmp_path / "run/step=2.ckpt")
    assert "Expected 2 processes, as the run had that was interrupted in the middle" in outcome.error
    assert [outcome.error for outcome in fit(1, ckpt_path=tmp_path / "run/step=5.ckpt")] == [None]
