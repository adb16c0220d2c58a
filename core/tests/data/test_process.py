"""The hooks: their order, which of two wins, what the stage says, and the way predictions go back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import flash
from flash import Postprocess, Preprocess
from flash.data.process import StageHooks
from flash.data.stage import Stage
from flash.errors import DataError

HOOKS = [
    "load_data",
    "load_sample",
    "pre_tensor_transform",
    "to_tensor_transform",
    "post_tensor_transform",
    "collate",
    "per_batch_transform",
    "per_sample_transform_on_device",
    "per_batch_transform_on_device",
]


STAGES = {"train": "training", "val": "validating", "test": "testing", "predict": "predicting"}


class Recording(Preprocess):
    """Notes each hook that runs, with the stage that the object says it is in."""

    def __init__(self) -> None:
        self.calls: list[str] = []


def _recorder(name: str, hook: str) -> Any:
    def run(self: Any, data: Any, *dataset: Any) -> Any:
        stages = [flag for flag in STAGES.values() if getattr(self, flag)]
        self.calls.append(f"{name}:{','.join(stages)}")
        return torch.stack(list(data)) if hook == "collate" else data

    return run


for _hook in HOOKS:
    setattr(Recording, _hook, _recorder(_hook, _hook))


class AllPrefixed(Recording):
    pass


for _stage in STAGES:
    for _hook in HOOKS:
        setattr(AllPrefixed, f"{_stage}_{_hook}", _recorder(f"{_stage}_{_hook}", _hook))


class Pairs(flash.Task):
    """Takes batches that are inputs alone."""

    def step(self, batch: Any, batch_idx: int) -> Any:
        return self(batch).mean()


def calls_of(preprocess: Any, stage: str, options: dict[str, Any]) -> list[str]:
    data = [torch.tensor([float(i)]) for i in range(2)]
    inputs: dict[str, Any] = {f"{stage}_load_data_input": data}
    if stage != "train":
        preprocess.calls = []
    if stage == "val":
        inputs["train_load_data_input"] = data
    dm = flash.DataModule.from_load_data_inputs(**inputs, preprocess=preprocess, batch_size=2)
    task = Pairs(nn.Linear(1, 1), optimizer="SGD", preprocess=preprocess)
    trainer = flash.Trainer(max_epochs=1, num_sanity_val_steps=0, **options)
    run = {"train": trainer.fit, "val": trainer.validate, "test": trainer.test, "predict": trainer.predict}[stage]
    run(task, datamodule=dm)
    return [call for call in preprocess.calls if call.endswith(STAGES[stage])]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("prefixed", [False, True])
def test_hooks_run_in_order_in_every_stage_and_the_prefixed_one_wins(
    stage: str, prefixed: bool, trainer_options: dict[str, Any]
) -> None:
    preprocess = AllPrefixed() if prefixed else Recording()
    prefix = f"{stage}_" if prefixed else ""

    def named(hook: str) -> str:
        return f"{prefix}{hook}:{STAGES[stage]}"

    per_sample = [named(hook) for hook in HOOKS[1:5]]
    expected = [named("load_data"), *per_sample, *per_sample, named("collate"), named("per_batch_transform")]
    # A transform of samples on the device splits the batch and collates it again.
    on_device = [named(HOOKS[7])] * 2 + [named("collate"), named(HOOKS[8])]
    assert calls_of(preprocess, stage, trainer_options) == expected + on_device


def test_outside_a_hook_no_stage_is_on() -> None:
    preprocess = Preprocess()
    assert not any(getattr(preprocess, flag) for flag in STAGES.values())


@pytest.mark.parametrize(
    ("batch", "samples"),
    [
        ({"a": [1, 2], "b": [3, 4]}, [{"a": 1, "b": 3}, {"a": 2, "b": 4}]),
        (([1, 2], ["x", "y"]), [(1, "x"), (2, "y")]),
        (["x", "y"], ["x", "y"]),
    ],
)
def test_uncollate_splits_what_networks_return(batch: Any, samples: Any) -> None:
    assert Postprocess().uncollate(batch) == samples


def test_uncollate_of_parts_of_different_lengths_is_an_error() -> None:
    with pytest.raises(
        DataError, match=r"Expected parts of one length in a batch of results, but got lengths \[1, 2\]"
    ):
        Postprocess().uncollate(([1], [1, 2]))


def test_uncollate_of_a_single_number_is_an_error() -> None:
    with pytest.raises(DataError, match="the result is a single number"):
        Postprocess().uncollate(torch.tensor(1.0))


def test_uncollate_of_something_else_is_an_error() -> None:
    with pytest.raises(DataError, match="Expected a tensor, list, tuple or dict as a batch of results, but got str"):
        Postprocess().uncollate("abc")


def test_postprocess_hooks_run_in_order_around_the_output(tmp_path: Any) -> None:
    class Steps(Postprocess):
        def per_batch_transform(self, batch: Any) -> Any:
            return batch + 1

        def per_sample_transform(self, sample: Any) -> Any:
            return f"<{sample}>"

        def save_sample(self, sample: Any, path: str) -> None:
            saved.append(sample)

    saved: list[Any] = []
    steps = Steps(save_path=str(tmp_path))
    assert steps(torch.tensor([1, 2]), lambda batch: (batch * 10).tolist()) == ["<20>", "<30>"]
    assert saved == ["<20>", "<30>"]


def test_a_transform_on_the_device_of_each_sample_sees_samples() -> None:
    class OnDevice(Preprocess):
        def per_sample_transform_on_device(self, sample: Any) -> Any:
            return sample * 2

    batch = StageHooks(OnDevice(), Stage.TEST).transform_on_device(torch.tensor([[1.0], [2.0]]))
    assert batch.tolist() == [[2.0], [4.0]]


def test_state_without_a_way_back_is_an_error() -> None:
    with pytest.raises(NotImplementedError, match="has state but does not override load_state_dict"):
        Preprocess().load_state_dict({"mean": 1.0})
