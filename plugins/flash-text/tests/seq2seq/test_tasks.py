"""SummarizationTask and TranslationTask: training, prediction, what is frozen, and checkpoints that need no folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torchmetrics.functional.text import rouge_score
from transformers import AutoModelForSeq2SeqLM, BertConfig

import flash
from flash.download.pretrained import HubError
from flash.errors import ConfigurationError, DataError
from flash.testing import in_clean_process
from flash.text import SummarizationData, SummarizationTask, TranslationData, TranslationTask
from flash.text.hub import load_tokenizer, make_model
from flash.text.seq2seq.base import Seq2SeqTask

Texts = Callable[..., list[str]]
MakeTrainer = Callable[..., flash.Trainer]


def data(texts: Texts, rows: int = 24, **options: Any) -> TranslationData:
    """Texts with themselves as targets."""
    sources, val = texts(rows), texts(10, seed=1)
    return TranslationData.from_lists(sources, sources, val, val, **{"batch_size": 8, "seed": 0, **options})


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(before: dict[str, torch.Tensor], module: nn.Module) -> set[str]:
    return {name for name, value in module.state_dict().items() if not torch.equal(before[name], value)}


# ---------------------------------------------------------------------- training


def test_summaries_are_judged_by_rouge_of_what_is_written(t5: str, texts: Texts, trainer: MakeTrainer) -> None:
    sources, val = texts(16), texts(12, seed=1)
    dm = SummarizationData.from_lists(sources, sources, val, val, val, val, batch_size=5, seed=0)
    task = SummarizationTask.from_data(dm, backbone=t5, max_new_tokens=4)
    run = trainer()
    run.fit(task, dm)
    wanted = rouge_score(task.predict(val), val, rouge_keys=("rouge1", "rouge2", "rougeL"))
    (tested,) = trainer().test(task, datamodule=dm, verbose=False)
    for name in ("rouge1", "rouge2", "rougeL"):
        assert float(run.callback_metrics[f"val_{name}"]) == pytest.approx(float(wanted[f"{name}_fmeasure"]))
        assert tested[f"test_{name}"] == pytest.approx(float(wanted[f"{name}_fmeasure"]))
    assert {"train_loss", "val_loss"} <= set(run.callback_metrics)


def test_translations_are_judged_by_bleu_and_chrf(t5: str, texts: Texts, trainer: MakeTrainer) -> None:
    dm = data(texts)
    run = trainer()
    run.fit(TranslationTask.from_data(dm, backbone=t5, max_new_tokens=3), dm)
    assert {"val_loss", "val_bleu", "val_chrf"} <= set(run.callback_metrics)


@pytest.mark.train
def test_nothing_is_written_in_training(
    t5: str, texts: Texts, trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bool] = []
    task = TranslationTask(t5, max_new_tokens=2)
    real = task.model.generate

    def noted(**options: Any) -> Any:
        written.append(task.training)
        return real(**options)

    monkeypatch.setattr(task.model, "generate", noted)
    trainer(max_epochs=2, num_sanity_val_steps=0).fit(task, data(texts))
    # Two validations of ten texts, eight a batch.
    assert written == [False] * 4


def test_without_metrics_validation_writes_nothing(
    t5: str, texts: Texts, trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = TranslationTask(t5, metrics=[])
    monkeypatch.setattr(task.model, "generate", lambda **x: pytest.fail("it wrote"))
    run = trainer()
    run.fit(task, data(texts))
    assert "val_loss" in run.callback_metrics


def test_metrics_of_ones_own_get_two_lists_of_texts(t5: str, texts: Texts, trainer: MakeTrainer) -> None:
    seen: list[tuple[Any, Any]] = []

    def exact(written: list[str], targets: list[str]) -> float:
        seen.append((written, targets))
        return sum(map(str.__eq__, written, targets)) / len(targets)

    dm = data(texts)
    run = trainer(num_sanity_val_steps=0)
    run.fit(TranslationTask.from_data(dm, backbone=t5, metrics=exact, max_new_tokens=3), dm)
    assert sorted(text for _, targets in seen for text in targets) == sorted(texts(10, seed=1))
    assert all(isinstance(text, str) for written, _ in seen for text in written)
    assert "val_exact" in run.callback_metrics


def test_a_padded_batch_has_the_loss_of_its_single_texts(backbone: str, texts: Texts) -> None:
    dm = data(texts, rows=8)
    task = TranslationTask.from_data(dm, backbone=backbone).eval()
    samples = [dm.train_dataset[row] for row in range(8)]
    collate = dm.train_dataset.hooks.collate
    with torch.no_grad():
        whole = task.step(collate(samples), 0)["loss"]
        single = torch.stack([task.step(collate([sample]), 0)["loss"] for sample in samples])
    tokens = torch.tensor([float(len(sample.target)) for sample in samples])
    assert len({len(sample.source) for sample in samples}) > 1
    torch.testing.assert_close(whole, (single * tokens).sum() / tokens.sum())


def test_a_loss_of_ones_own_gets_logits_and_masked_labels(t5: str, texts: Texts) -> None:
    dm = data(texts)
    usual = TranslationTask.from_data(dm, backbone=t5)
    batch = next(iter(dm.train_dataloader()))
    own = TranslationTask.from_data(dm, backbone=t5, loss_fn=nn.functional.cross_entropy)
    torch.testing.assert_close(own.eval().step(batch, 0)["loss"], usual.eval().step(batch, 0)["loss"])


# ---------------------------------------------------------------------- prediction


@pytest.mark.parametrize("beams", [1, 3])
def test_texts_are_predicted_in_their_order_as_one_by_one(backbone: str, texts: Texts, beams: int) -> None:
    task = TranslationTask(backbone, num_beams=beams, min_new_tokens=4, max_new_tokens=6)
    # Random weights write little that depends on the text; larger ones do.
    with torch.no_grad():
        for parameter in task.model.parameters():
            parameter.mul_(3)
    sources = texts(15)
    batched = task.predict(sources, batch_size=4)
    assert batched == [task.predict([text])[0] for text in sources]
    assert len(set(batched)) > 3


def test_the_trainer_predicts_batches_of_texts(t5: str, texts: Texts, trainer: MakeTrainer) -> None:
    sources = texts(10)
    task = TranslationTask(t5, max_new_tokens=4)
    dm = TranslationData.from_lists(predict_data=sources, batch_size=4)
    batches = trainer().predict(task, datamodule=dm)
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert [text for batch in batches for text in batch] == task.predict(sources)


def test_generation_settings_can_be_changed_for_a_call_or_for_good(t5: str) -> None:
    task = TranslationTask(t5, max_new_tokens=3)
    count = lambda **settings: len(task.predict(["red tea"], output="raw", **settings)[0]) - 1  # noqa: E731  # short
    with torch.no_grad():
        task.model.get_input_embeddings().weight[1] = 0
    assert count() == 3
    assert count(max_new_tokens=7, min_new_tokens=7) == 7
    assert count() == 3
    task.generation_kwargs["max_new_tokens"] = 5
    assert count() == 5
    with pytest.raises(ConfigurationError, match="Expected the name of a generation setting, but got 'beams'."):
        task.predict(["red"], beams=2)


def test_sampling_is_another_way_to_write(t5: str) -> None:
    task = TranslationTask(t5, do_sample=True, generation_kwargs={"temperature": 5.0}, max_new_tokens=8)
    assert len({task.predict(["red tea sun"])[0] for _ in range(5)}) > 1


def test_outputs_are_texts_tokens_or_raw_ids(t5: str) -> None:
    task = TranslationTask(t5, max_new_tokens=4)
    assert set(TranslationTask.available_outputs()) == {"raw", "texts", "tokens"}
    (text,), (tokens,) = task.predict(["red tea"]), task.predict(["red tea"], output="tokens")
    assert task.tokenizer.decode(tokens) == text
    assert all(token > 3 for token in tokens)
    assert task.predict(["red tea"], output="raw")[0][0] == 0


def test_any_text_can_be_read(t5: str) -> None:
    task = TranslationTask(t5, max_new_tokens=2)
    odd = ["", "😀🎉", "שלום עולם", "red " * 25_000, "\x00\n\t"]
    assert len(task.predict(odd)) == 5


def test_a_single_text_is_no_list_of_letters(t5: str) -> None:
    with pytest.raises(DataError, match=r"For a single text, pass \[text\]."):
        TranslationTask(t5).predict("red tea")
    with pytest.raises(DataError, match="1 of 2 have none, the first of them row 1"):
        TranslationTask(t5).predict(["red", None])


def test_a_table_is_read_by_the_column_that_the_task_was_trained_on(t5: str) -> None:
    frame = pd.DataFrame({"en": ["red", "tea sun"], "de": ["rot", "Tee"]})
    dm = TranslationData.from_data_frame("en", "de", train_data_frame=frame)
    task = TranslationTask.from_data(dm, backbone=t5, max_new_tokens=3)
    assert task.predict(frame) == task.predict(["red", "tea sun"])


# ---------------------------------------------------------------------- finetuning


def test_freeze_keeps_the_encoder_and_the_shared_embeddings(backbone: str, texts: Texts, trainer: MakeTrainer) -> None:
    dm = data(texts)
    task = TranslationTask.from_data(dm, backbone=backbone, metrics=[], learning_rate=0.01)
    before = weights(task.model)
    trainer().finetune(task, dm, strategy="freeze")
    different = changed(before, task.model)
    assert different
    assert not any("encoder." in name or "shared" in name or "embed_tokens" in name for name in different)
    assert all("decoder." in name for name in different)


@pytest.mark.train
@pytest.mark.parametrize("strategy", ["no_freeze", ("freeze_unfreeze", 1), ("unfreeze_milestones", ((1, 2), 2))])
def test_the_other_strategies_train_everything_in_the_end(
    backbone: str, texts: Texts, trainer: MakeTrainer, strategy: Any
) -> None:
    dm = data(texts)
    task = TranslationTask.from_data(dm, backbone=backbone, metrics=[], learning_rate=0.01)
    before = weights(task.model)
    trainer(max_epochs=3).finetune(task, dm, strategy=strategy)
    different = changed(before, task.model)
    trained = {name for name, _ in task.model.named_parameters()}
    # The positions that no text reached, and their rows alone, stay.
    assert {name for name in trained if name not in different} == set()


@pytest.mark.train
@pytest.mark.parametrize(
    ("kind", "last"),
    [
        ("t5", ("encoder.final_layer_norm.", "encoder.block.1.")),
        ("bart", ("model.encoder.layers.1.",)),
    ],
)
def test_milestones_unfreeze_the_last_layers_of_the_encoder_first(
    kind: str, last: tuple[str, ...], folder_of: Any, texts: Texts, trainer: MakeTrainer
) -> None:
    layers = {"num_layers": 2} if kind == "t5" else {"encoder_layers": 2}
    dm = data(texts)
    task = TranslationTask.from_data(dm, backbone=folder_of(kind, **layers), metrics=[], learning_rate=0.01)
    before = weights(task.model)
    trainer(max_epochs=2).finetune(task, dm, strategy=("unfreeze_milestones", ((1, 5), 1)))
    unfrozen = {name for name in changed(before, task.model) if "encoder." in name and name.endswith("weight")}
    assert unfrozen
    assert all(name.startswith(last) for name in unfrozen)


def test_frozen_parts_rest_while_the_decoder_trains(folder_of: Any, texts: Texts, trainer: MakeTrainer) -> None:
    class Watch(pl.Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            modes.append((pl_module.model.get_encoder().training, pl_module.model.get_decoder().training))

    modes: list[tuple[bool, bool]] = []
    dm = data(texts)
    task = TranslationTask.from_data(dm, backbone=folder_of("bart", dropout=0.5), metrics=[])
    trainer(callbacks=[Watch()]).finetune(task, dm, strategy="freeze")
    assert set(modes) == {(False, True)}


# ---------------------------------------------------------------------- checkpoints


@pytest.mark.process
def test_checkpoints_need_neither_folder_nor_hub_in_a_new_process(
    folders: dict[str, str], texts: Texts, trainer: MakeTrainer, tmp_path: Path
) -> None:
    sources = texts(20)
    frame = pd.DataFrame({"en": sources, "de": sources})
    frame.to_csv("texts.csv", index=False)
    expected = []
    for kind in folders:
        folder = shutil.copytree(folders[kind], tmp_path / "gone")
        dm = TranslationData.from_data_frame("en", "de", train_data_frame=frame, batch_size=5, seed=0)
        task = TranslationTask.from_data(dm, backbone=folder, num_beams=2, prefix="summarize : ", metrics=[])
        run = trainer()
        run.fit(task, dm)
        task.generation_kwargs["max_new_tokens"] = 5
        run.save_checkpoint(f"{kind}.ckpt")
        settings = {"num_beams": 2, "max_new_tokens": 5}
        expected.append(["TranslationTask", settings, "summarize : ", task.predict(frame)])
        shutil.rmtree(folder)
    program = """
from flash import Task
tasks = [Task.load_from_checkpoint(f"{kind}.ckpt") for kind in kinds]
result = [[type(task).__name__, task.generation_kwargs, task.prefix, task.predict("texts.csv")] for task in tasks]
"""
    assert in_clean_process(tmp_path, program, kinds=list(folders)) == expected


def test_tied_weights_are_stored_once_and_tied_again(backbone: str, trainer: MakeTrainer, texts: Texts) -> None:
    dm = data(texts)
    task = TranslationTask.from_data(dm, backbone=backbone, metrics=[])
    run = trainer()
    run.fit(task, dm)
    run.save_checkpoint("task.ckpt")
    again = TranslationTask.load_from_checkpoint("task.ckpt")
    places = {again.model.get_input_embeddings().weight.data_ptr()}
    places |= {again.model.lm_head.weight.data_ptr(), again.model.get_decoder().embed_tokens.weight.data_ptr()}
    assert len(places) == 1
    for name, value in task.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    stored = torch.load("task.ckpt", weights_only=True)["state_dict"]
    tied = [value for name, value in stored.items() if name.endswith(("shared.weight", "lm_head.weight"))]
    assert len(tied) == 2
    assert tied[0].untyped_storage().data_ptr() == tied[1].untyped_storage().data_ptr()


def test_a_head_of_its_own_is_stored_and_trains_while_frozen(
    t5: str, texts: Texts, trainer: MakeTrainer, tmp_path: Path
) -> None:
    # As the checkpoints of T5 1.1 are; transformers 5 takes their configuration to say that the head is tied.
    folder = shutil.copytree(t5, tmp_path / "with-head")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    stored = load_file(folder / "model.safetensors")
    head = torch.randn_like(stored["shared.weight"])
    save_file({**stored, "lm_head.weight": head}, folder / "model.safetensors", metadata={"format": "pt"})
    dm = data(texts)
    task = TranslationTask.from_data(dm, backbone=folder, metrics=[])
    assert torch.equal(task.model.lm_head.weight, head)
    before = weights(task.model)
    run = trainer()
    run.finetune(task, dm, strategy="freeze")
    assert "lm_head.weight" in changed(before, task.model)
    assert "shared.weight" not in changed(before, task.model)
    run.save_checkpoint("task.ckpt")
    again = TranslationTask.load_from_checkpoint("task.ckpt")
    loaded, trained = again.model.state_dict(), task.model.state_dict()
    assert torch.equal(loaded["lm_head.weight"], trained["lm_head.weight"])
    assert not torch.equal(loaded["lm_head.weight"], loaded["shared.weight"])


@pytest.mark.train
def test_a_resumed_run_ends_as_the_uninterrupted_one(t5: str, texts: Texts, trainer: MakeTrainer) -> None:
    def run(epochs: int, resume: str | None = None) -> TranslationTask:
        torch.manual_seed(0)
        dm = data(texts)
        task = TranslationTask.from_data(dm, backbone=t5, metrics=[], learning_rate=0.01)
        made = trainer(max_epochs=epochs)
        made.finetune(task, dm, strategy=("freeze_unfreeze", 1), ckpt_path=resume)
        made.save_checkpoint(f"{epochs}.ckpt")
        return task

    run(2)
    whole, resumed = run(4), run(4, "2.ckpt")
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value)


def test_the_tokenizer_is_no_hyperparameter_for_loggers_to_write_down(t5: str, texts: Texts) -> None:
    task = TranslationTask(t5)
    assert not {"tokenizer", "config"} & set(task.hparams)


# ---------------------------------------------------------------------- what is refused


def test_a_model_in_memory_serves_with_its_tokenizer(t5: str, texts: Texts, trainer: MakeTrainer) -> None:
    model = AutoModelForSeq2SeqLM.from_pretrained(t5)
    task = Seq2SeqTask(model, tokenizer=load_tokenizer(t5), max_new_tokens=4)
    run = trainer()
    run.fit(task, data(texts))
    run.save_checkpoint("task.ckpt")
    again = Seq2SeqTask.load_from_checkpoint("task.ckpt")
    assert again.predict(texts(5)) == task.predict(texts(5))


def test_random_weights_come_only_where_they_are_asked_for(t5: str, tmp_path: Path) -> None:
    folder = shutil.copytree(t5, tmp_path / "bare")
    (folder / "model.safetensors").unlink()
    with pytest.raises(HubError, match="Expected weights in the folder"):
        SummarizationTask(folder)
    torch.manual_seed(0)
    assert SummarizationTask(folder, pretrained=False).max_target_length == 128


def test_a_name_that_cannot_be_had_says_how_to_pass_a_folder() -> None:
    with pytest.raises(HubError, match="then pass the folder in place of the name"):
        TranslationTask("nobody/has-this")


def test_an_encoder_alone_cannot_write(tmp_path: Path, t5: str) -> None:
    sizes: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    encoder = make_model(BertConfig(vocab_size=30, **sizes), "encoder")
    encoder.save_pretrained(tmp_path / "bert")
    load_tokenizer(t5).save_pretrained(tmp_path / "bert")
    with pytest.raises(ConfigurationError, match="Expected the checkpoint of an encoder-decoder, such as a T5 or BART"):
        TranslationTask(tmp_path / "bert")
    with pytest.raises(ConfigurationError, match="but got a BertModel."):
        TranslationTask(encoder, tokenizer=load_tokenizer(t5))


def test_a_tokenizer_must_fit_the_model_and_make_texts_of_tokens(t5: str, folder_of: Any) -> None:
    with pytest.raises(ConfigurationError, match="Expected a tokenizer with at most 8 tokens"):
        TranslationTask(folder_of(vocab_size=8), tokenizer=t5)
    with pytest.raises(ConfigurationError, match="which can also decode, but got function"):
        TranslationTask(t5, tokenizer=lambda texts: [[1] for _ in texts])


@pytest.mark.parametrize("name", ["max_source_length", "max_target_length"])
def test_lengths_are_whole_numbers_that_the_model_can_count(name: str, folders: dict[str, str]) -> None:
    make: Any = TranslationTask
    for value in (1, 2.5, True):
        with pytest.raises(ConfigurationError, match=f"Expected {name} to be a whole number of at least 2"):
            make(folders["t5"], **{name: value})
    with pytest.raises(ConfigurationError, match=f"Expected {name} to be at most 32"):
        make(folders["bart"], **{name: 33})


def test_lengths_are_by_default_what_the_model_was_made_for(folders: dict[str, str]) -> None:
    bart, t5 = TranslationTask(folders["bart"]), TranslationTask(folders["t5"])
    assert (bart.max_source_length, bart.max_target_length) == (32, 32)
    assert (t5.max_source_length, t5.max_target_length) == (512, 128)


def test_a_generation_setting_that_does_not_exist_is_refused(t5: str) -> None:
    with pytest.raises(ConfigurationError, match="Expected the name of a generation setting, but got 'beams'."):
        TranslationTask(t5, generation_kwargs={"beams": 3})
