"""TextClassifier: what it is made of, learns, predicts, freezes and stores."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn

import flash
from flash.data.stage import Stage
from flash.download.pretrained import HubError
from flash.errors import CheckpointError, ConfigurationError, DataError
from flash.testing import in_clean_process
from flash.text import TextClassificationData, TextClassifier, TextPreprocess
from flash.text.hub import load_tokenizer

MakeTrainer = Callable[..., flash.Trainer]
Reviews = Callable[..., tuple[list[str], list[str]]]
ODD = ["", "a great film", "😀", "שלום", "great " * 300, "boring"]


@pytest.fixture
def data(reviews: Reviews) -> TextClassificationData:
    return TextClassificationData.from_lists(*reviews(64), *reviews(32, seed=1), batch_size=8, seed=0)


@pytest.fixture
def task(data: TextClassificationData, bert: str) -> TextClassifier:
    return TextClassifier.from_data(data, backbone=bert)


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def changed(module: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}


class TestLearning:
    @pytest.mark.train
    @pytest.mark.parametrize("kind", ["bert", "roberta", "t5", "bart"])
    def test_it_learns_which_words_are_good(
        self, checkpoints: dict[str, Path], kind: str, reviews: Reviews, trainer: MakeTrainer
    ) -> None:
        data = TextClassificationData.from_lists(
            *reviews(256),
            test_data=reviews(100, seed=1)[0],
            test_targets=reviews(100, seed=1)[1],
            batch_size=16,
            seed=0,
        )
        task = TextClassifier.from_data(data, backbone=checkpoints[kind], pretrained=False, learning_rate=3e-3)
        fitter = trainer(max_epochs=8)
        fitter.fit(task, data)
        assert fitter.test(task, datamodule=data, verbose=False)[0]["test_accuracy"] > 0.95

    @pytest.mark.train
    def test_it_learns_several_labels(self, bert: str, reviews: Reviews, trainer: MakeTrainer) -> None:
        texts, targets = reviews(256)
        tags = [["great"] * ("great" in text) + [target] for text, target in zip(texts, targets, strict=True)]
        data = TextClassificationData.from_lists(texts, tags, batch_size=16, seed=0)
        task = TextClassifier.from_data(data, backbone=bert, learning_rate=3e-3)
        trainer(max_epochs=10).fit(task, data)
        assert task.predict(["the plot was great", "the plot was weak"]) == [["great", "positive"], ["negative"]]

    @pytest.mark.train
    def test_a_network_and_tokenizer_of_ones_own_learn(
        self, letters: dict[str, Any], reviews: Reviews, trainer: MakeTrainer
    ) -> None:
        texts, targets = ["aaa", "abba", "cccd", "dcd"] * 16, ["ab", "ab", "cd", "cd"] * 16
        data = TextClassificationData.from_lists(texts, targets, batch_size=8, seed=0)
        task = TextClassifier.from_data(data, learning_rate=1e-2, **letters)
        trainer(max_epochs=5).fit(task, data)
        assert task.predict(["bab", "ccc"]) == ["ab", "cd"]

    def test_rare_classes_can_count_more(self, letters: dict[str, Any]) -> None:
        data = TextClassificationData.from_lists(["a"] * 3 + ["b"], [0, 0, 0, 1])
        task = TextClassifier.from_data(data, class_weights="balanced", **letters)
        assert task.class_weights is not None
        assert task.class_weights.tolist() == pytest.approx([2 / 3, 2.0])


class TestPrediction:
    def test_labels_come_in_the_order_of_the_texts(self, letters: dict[str, Any], trainer: MakeTrainer) -> None:
        texts = ["a" * n if n % 3 else "b" * n for n in (5, 30, 1, 12, 7, 45, 2, 9, 33, 3)]
        task = TextClassifier(labels=["a", "b"], **letters)
        with torch.no_grad():
            task.backbone.embed.weight.zero_()
            task.backbone.embed.weight[ord("a") + 1, 0] = 1
            task.backbone.embed.weight[ord("b") + 1, 1] = 1
            task.head[2].weight.zero_()
            task.head[2].weight[[0, 1], [0, 1]] = 1
        wanted = [text[0] for text in texts]
        assert task.predict(texts, batch_size=3) == wanted
        data = TextClassificationData.from_lists(predict_data=texts, batch_size=4)
        assert trainer().predict(task, datamodule=data) == [wanted[:4], wanted[4:8], wanted[8:]]

    @pytest.mark.parametrize("kind", ["bert", "roberta", "t5", "bart"])
    def test_one_by_one_is_the_same_as_together(self, checkpoints: dict[str, Path], kind: str) -> None:
        task = TextClassifier(num_classes=3, backbone=checkpoints[kind])
        together = torch.tensor(task.predict(ODD, output="logits"))
        alone = torch.tensor([task.predict([text], output="logits")[0] for text in ODD])
        assert torch.isfinite(together).all()
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)

    def test_outputs_have_names(self, bert: str) -> None:
        task = TextClassifier(labels=["x", "y"], backbone=bert)
        assert task.available_outputs() == ["classes", "labels", "logits", "probabilities", "raw"]
        assert sum(task.predict(["great"], output="probabilities")[0]) == pytest.approx(1)
        assert task.predict(["great"])[0] in ("x", "y")

    def test_a_file_or_table_is_predicted_by_the_column_that_was_trained_on(
        self, letters: dict[str, Any], tmp_path: Path
    ) -> None:
        import pandas as pd

        frame = pd.DataFrame({"review": ["good", "bad"], "label": [0, 1]})
        data = TextClassificationData.from_data_frame("review", "label", train_data_frame=frame)
        task = TextClassifier.from_data(data, **letters)
        wanted = task.predict(["good", "bad"], output="logits")
        frame.to_csv(tmp_path / "new.csv", index=False)
        for raw in (frame, frame.to_dict("records"), {"review": ["good", "bad"]}, tmp_path / "new.csv", "new.csv"):
            assert task.predict(raw, output="logits") == wanted

    @pytest.mark.parametrize("raw", ["a great film", 7, None])
    def test_one_text_is_no_list(self, raw: Any, letters: dict[str, Any]) -> None:
        with pytest.raises(DataError, match=r"Expected a list of texts, .* For a single text, pass \[text\]."):
            TextClassifier(2, **letters).predict(raw)

    def test_missing_texts_are_counted(self, letters: dict[str, Any]) -> None:
        with pytest.raises(DataError, match="1 of 2 have none, the first of them row 1"):
            TextClassifier(2, **letters).predict(["a", None])

    def test_a_table_needs_a_column_that_is_known(self, letters: dict[str, Any]) -> None:
        with pytest.raises(DataError, match="knows no column of them"):
            TextClassifier(2, **letters).predict({"review": ["a"]})


class TestFreezing:
    @pytest.mark.train
    def test_a_frozen_encoder_rests_and_the_head_learns(
        self, task: TextClassifier, data: TextClassificationData, trainer: MakeTrainer
    ) -> None:
        class Watch(Callback):
            def on_train_batch_start(self, *_: Any) -> None:
                assert not any(module.training for module in task.backbone.modules())
                assert task.head.training

        before, head = weights(task.backbone), weights(task.head)
        trainer(max_epochs=2, callbacks=[Watch()]).finetune(task, data, strategy="freeze")
        assert not changed(task.backbone, before)
        assert changed(task.head, head) == {"0.weight", "0.bias", "2.weight", "2.bias"}

    @pytest.mark.train
    @pytest.mark.parametrize("kind", ["bert", "bart", "t5"])
    def test_the_last_layers_unfreeze_first(
        self, checkpoints: dict[str, Path], kind: str, data: TextClassificationData, trainer: MakeTrainer
    ) -> None:
        task = TextClassifier.from_data(data, backbone=checkpoints[kind])
        before = weights(task.backbone)
        strategy = ("unfreeze_milestones", ((1, 9), 1))
        trainer(max_epochs=2).finetune(task, data, strategy=strategy)
        moved = changed(task.backbone, before)
        assert moved
        assert all(".1." in name or name.startswith("final") for name in moved)

    @pytest.mark.train
    def test_unfrozen_layers_learn_slowly(self, bert: str, data: TextClassificationData, trainer: MakeTrainer) -> None:
        task = TextClassifier.from_data(data, backbone=bert, lr_scheduler=None)
        fitter = trainer(max_epochs=2)
        fitter.finetune(task, data, strategy=("freeze_unfreeze", 1))
        assert [group["lr"] for group in fitter.optimizers[0].param_groups] == pytest.approx([1e-3, 5e-5])

    def test_features_then_head_are_the_whole(self, task: TextClassifier, data: TextClassificationData) -> None:
        inputs, _ = next(iter(data.train_dataloader()))
        task.eval()
        features = task.forward_features(inputs)
        assert features.shape == (8, 32)
        assert torch.equal(task.forward_head(features), task(inputs))

    def test_texts_come_out_alike_each_time(self, data: TextClassificationData) -> None:
        assert isinstance(data.preprocess, TextPreprocess)
        assert all(data.preprocess.is_deterministic(stage) for stage in Stage)


class TestLearningRates:
    def rates(self, task: TextClassifier) -> dict[int, float]:
        optimizer = task.configure_optimizers()["optimizer"]
        return {id(each): group["lr"] for group in optimizer.param_groups for each in group["params"]}

    def test_the_head_learns_faster_than_the_backbone(self, task: TextClassifier) -> None:
        rates = self.rates(task)
        assert {rates[id(each)] for each in task.head.parameters()} == {1e-3}
        assert {rates[id(each)] for each in task.backbone.parameters()} == {5e-5}
        assert len(rates) == len(list(task.parameters()))

    def test_a_rate_that_is_asked_for_is_for_everything(self, bert: str) -> None:
        assert set(self.rates(TextClassifier(2, backbone=bert, learning_rate=0.01)).values()) == {0.01}

    def test_another_optimizer_has_its_own_rate(self, bert: str) -> None:
        assert set(self.rates(TextClassifier(2, backbone=bert, optimizer=("SGD", {"lr": 0.3}))).values()) == {0.3}


class TestCheckpoints:
    @pytest.mark.process
    def test_it_loads_in_a_new_process_without_network_or_folder(
        self, checkpoints: dict[str, Path], reviews: Reviews, trainer: MakeTrainer, tmp_path: Path
    ) -> None:
        folder = shutil.copytree(checkpoints["bert"], tmp_path / "gone")
        data = TextClassificationData.from_lists(*reviews(32), batch_size=8, seed=0)
        task = TextClassifier.from_data(data, backbone=str(folder))
        fitter = trainer()
        fitter.fit(task, data)
        fitter.save_checkpoint(tmp_path / "task.pt")
        wanted = {"labels": task.predict(ODD), "probabilities": task.predict(ODD, output="probabilities")}
        shutil.rmtree(folder)
        program = (
            "import os\n"
            # Nothing is asked of the hub, though nobody forbids it.
            "for name in [name for name in os.environ if name.startswith('HF_')]:\n"
            "    del os.environ[name]\n"
            "import flash\n"
            "task = flash.Task.load_from_checkpoint('task.pt')\n"
            "result = {name: task.predict(odd, output=name) for name in ('labels', 'probabilities')}\n"
        )
        found = in_clean_process(tmp_path, program, odd=ODD)
        assert found["labels"] == wanted["labels"]
        torch.testing.assert_close(torch.tensor(found["probabilities"]), torch.tensor(wanted["probabilities"]))

    @pytest.mark.parametrize("kind", ["roberta", "t5", "bart"])
    def test_every_kind_of_backbone_loads_without_its_folder(
        self, checkpoints: dict[str, Path], kind: str, trainer: MakeTrainer, tmp_path: Path
    ) -> None:
        folder = shutil.copytree(checkpoints[kind], tmp_path / "gone")
        task = TextClassifier(labels=["x", "y"], backbone=folder, max_length=40, pooling="cls")
        save(task, trainer(), tmp_path / "task.pt")
        shutil.rmtree(folder)
        again = TextClassifier.load_from_checkpoint(tmp_path / "task.pt")
        assert (again.max_length, again.pooling) == (40, "cls")
        assert again.predict(ODD, output="logits") == task.predict(ODD, output="logits")

    def test_a_loaded_task_can_be_saved_again(self, task: TextClassifier, trainer: MakeTrainer, tmp_path: Path) -> None:
        save(task, trainer(), tmp_path / "one.pt")
        save(TextClassifier.load_from_checkpoint(tmp_path / "one.pt"), trainer(), tmp_path / "two.pt")
        again = TextClassifier.load_from_checkpoint(tmp_path / "two.pt")
        assert again.predict(ODD, output="logits") == task.predict(ODD, output="logits")

    def test_a_loaded_task_can_be_trained_further(
        self, task: TextClassifier, data: TextClassificationData, trainer: MakeTrainer, tmp_path: Path, reviews: Reviews
    ) -> None:
        save(task, trainer(), tmp_path / "task.pt")
        again = TextClassifier.load_from_checkpoint(tmp_path / "task.pt")
        before = weights(again.backbone)
        trainer().fit(again, TextClassificationData.from_lists(*reviews(16), batch_size=8, seed=0))
        assert changed(again.backbone, before)

    def test_the_file_executes_nothing(self, task: TextClassifier, trainer: MakeTrainer, tmp_path: Path) -> None:
        save(task, trainer(), tmp_path / "task.pt")
        stored = torch.load(tmp_path / "task.pt", weights_only=True)
        assert set(stored["flash"]["task"]["init"]) >= {"config", "tokenizer", "pooling", "max_length", "labels"}

    def test_loggers_are_not_told_the_vocabulary(
        self, task: TextClassifier, trainer: MakeTrainer, tmp_path: Path
    ) -> None:
        save(task, trainer(), tmp_path / "task.pt")
        for each in (task, TextClassifier.load_from_checkpoint(tmp_path / "task.pt")):
            assert not {"tokenizer", "config"} & set(each.hparams)

    def test_a_network_of_ones_own_is_passed_again(
        self, letters: dict[str, Any], trainer: MakeTrainer, tmp_path: Path
    ) -> None:
        task = TextClassifier(labels=["x", "y"], **letters)
        save(task, trainer(), tmp_path / "task.pt")
        with pytest.raises(CheckpointError, match=r"load_from_checkpoint\(path, backbone=...\)"):
            TextClassifier.load_from_checkpoint(tmp_path / "task.pt")
        with pytest.raises(ConfigurationError, match="Expected tokenizer= together with a module as backbone"):
            TextClassifier.load_from_checkpoint(tmp_path / "task.pt", backbone=letters["backbone"])
        again = TextClassifier.load_from_checkpoint(tmp_path / "task.pt", **letters)
        assert again.predict(ODD, output="logits") == task.predict(ODD, output="logits")

    @pytest.mark.train
    def test_an_interrupted_training_goes_on_as_if_it_had_not_been(
        self, bert: str, reviews: Reviews, trainer: MakeTrainer, tmp_path: Path
    ) -> None:
        def fresh() -> tuple[TextClassifier, TextClassificationData]:
            data = TextClassificationData.from_lists(*reviews(40), batch_size=8, seed=3)
            torch.manual_seed(5)
            # The scheduler's own length is that of the first run.
            return TextClassifier.from_data(data, backbone=bert, lr_scheduler=None), data

        whole, data = fresh()
        trainer(max_epochs=2).fit(whole, data)
        half, data = fresh()
        first = trainer(max_epochs=1)
        first.fit(half, data)
        first.save_checkpoint(tmp_path / "half.ckpt")
        resumed, data = fresh()
        trainer(max_epochs=2).fit(resumed, data, ckpt_path=tmp_path / "half.ckpt")
        assert not changed(resumed, weights(whole))

    def test_data_with_other_classes_is_refused(
        self, task: TextClassifier, trainer: MakeTrainer, reviews: Reviews
    ) -> None:
        other = TextClassificationData.from_lists(["a", "b"], ["up", "down"])
        with pytest.raises(DataError, match="learned other statistics or labels"):
            trainer().fit(task, other)

    def test_test_data_alone_uses_the_classes_of_the_task(
        self, task: TextClassifier, trainer: MakeTrainer, reviews: Reviews
    ) -> None:
        texts, targets = reviews(16)
        data = TextClassificationData.from_lists(test_data=texts, test_targets=targets)
        assert "test_accuracy" in trainer().test(task, datamodule=data, verbose=False)[0]


class TestArguments:
    def test_a_name_that_cannot_be_had_says_how_to_pass_a_folder(self) -> None:
        with pytest.raises(HubError, match="then pass the folder in place of the name."):
            TextClassifier(num_classes=2)

    @pytest.mark.parametrize("tokenizer", ["folder", "object"])
    def test_another_tokenizer_can_be_chosen(self, checkpoints: dict[str, Path], tokenizer: str) -> None:
        given: Any = checkpoints["bert"] if tokenizer == "folder" else load_tokenizer(checkpoints["bert"])
        task = TextClassifier(2, backbone=checkpoints["roberta"], tokenizer=given)
        assert getattr(task.tokenizer, "mask_token", None) == "[MASK]"

    @pytest.mark.parametrize("length", [0, 2, -1, 1.5, True, "long"])
    def test_a_length_leaves_room_for_a_token(self, bert: str, length: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"of at least 3 \(2 tokens are special\), but got"):
            TextClassifier(2, backbone=bert, max_length=length)

    def test_a_length_is_within_reach_of_the_backbone(self, bert: str) -> None:
        with pytest.raises(ConfigurationError, match="at most 64, .* but got 65"):
            TextClassifier(2, backbone=bert, max_length=65)

    def test_a_pooling_is_one_of_three(self, bert: str) -> None:
        with pytest.raises(ConfigurationError, match="Expected pooling to be 'auto', 'mean' or 'cls', but got 'max'."):
            TextClassifier(2, backbone=bert, pooling="max")  # type: ignore[arg-type]  # the mistake

    @pytest.mark.parametrize("dropout", [-0.1, 1, "much", True])
    def test_dropout_is_a_fraction(self, bert: str, dropout: Any) -> None:
        with pytest.raises(ConfigurationError, match="Expected dropout to be from 0 to below 1"):
            TextClassifier(2, backbone=bert, dropout=dropout)

    def test_a_tokenizer_can_be_called(self, letters: dict[str, Any]) -> None:
        with pytest.raises(ConfigurationError, match="Expected tokenizer to be a name or folder, .* but got 7"):
            TextClassifier(2, **{**letters, "tokenizer": 7})

    def test_the_number_of_classes_must_be_known(self, bert: str) -> None:
        with pytest.raises(ConfigurationError, match=r"Make the task with from_data\(datamodule\)"):
            TextClassifier(backbone=bert)

    def test_backbones_are_listed_and_others_are_found(self) -> None:
        assert "prajjwal1/bert-tiny" in TextClassifier.available_backbones()
        assert TextClassifier.available_backbones("distil*") == [
            "distilbert-base-multilingual-cased",
            "distilbert-base-uncased",
            "distilroberta-base",
        ]
        assert "somebody/some-model" in TextClassifier.backbones


def save(task: flash.Task, trainer: flash.Trainer, path: Path) -> None:
    trainer.strategy.connect(task)
    trainer.save_checkpoint(path)


def test_a_module_that_takes_no_tokens_says_so() -> None:
    with pytest.raises(
        ConfigurationError, match="Expected the backbone Identity to take a dict, but it says: .*input_ids"
    ):
        TextClassifier(labels=["a", "b"], backbone=nn.Identity(), tokenizer=lambda texts: [[1] for _ in texts])
