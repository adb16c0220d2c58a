"""Predictions as tasks of Label Studio, which come back as the data that was predicted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import PreTrainedTokenizerFast

from flash.core.classification import ClassificationTask
from flash.core.labeling import RankedRow, RankedRows, rank_to_label
from flash.data.data_module import DataModule
from flash.errors import ConfigurationError, DataError
from flash.image import ImageClassificationData, ImageClassifier, ObjectDetectionData, ObjectDetector
from flash.image.segmentation import SemanticSegmentation, SemanticSegmentationData
from flash.labels import label_config, to_label_studio
from flash.text import TextClassificationData, TextClassifier, TokenClassificationData, TokenClassifier

SIZE = {"input_size": (3, 32, 32), "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}


class Words(nn.Module):
    """A vector per token."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(3, 8)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.embed(input_ids)


def tokenizer() -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.WordLevel({"Ada": 0, "slept": 1, "[UNK]": 2}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=backend)


def classifier(**options: Any) -> ImageClassifier:
    torch.manual_seed(0)
    return ImageClassifier(
        labels=["bright", "dark"], backbone="test_resnet", pretrained=False, data_config=SIZE, **options
    )


def saying(task: Any, results: list[Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The task, which predicts what it is told to."""

    def predict_each(raw: Any, output: str) -> Iterator[tuple[Any, Any]]:
        assert output in type(task).available_outputs()
        return zip(raw, results, strict=True)

    monkeypatch.setattr(task, "predict_each", predict_each)
    return task


def accepted(file: Path) -> Path:
    """A file of tasks after a person accepted all predictions, exported again."""
    tasks = json.loads(file.read_text())
    for number, task in enumerate(tasks):
        task |= {"id": number, "annotations": [{"result": task["predictions"][0]["result"]}], "predictions": []}
    file.write_text(json.dumps(tasks))
    return file


def test_each_image_is_a_task_with_its_prediction(photos: Path, tmp_path: Path) -> None:
    task = classifier()
    files = sorted(photos.iterdir())
    count = to_label_studio(task, files, tmp_path / "tasks.json", data_folder=tmp_path, model_version="first")
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    probabilities = task.predict(files, output="probabilities")
    assert count == len(tasks) == 6
    for each, file, of_classes in zip(tasks, files, probabilities, strict=True):
        (prediction,) = each["predictions"]
        (result,) = prediction["result"]
        best = int(np.argmax(of_classes))
        assert each["data"] == {"image": f"/data/local-files/?d=photos/{file.name}"}
        assert prediction["model_version"] == "first"
        assert prediction["score"] == pytest.approx(of_classes[best], abs=1e-5)
        assert result["value"] == {"choices": [["bright", "dark"][best]]}
        assert (result["from_name"], result["to_name"], result["type"]) == ("label", "image", "choices")


def test_accepted_predictions_come_back_as_labels(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = saying(classifier(), [[0.2, 0.8], [0.9, 0.1]] * 3, monkeypatch)
    to_label_studio(task, photos, tmp_path / "tasks.json", data_folder=tmp_path)
    data = ImageClassificationData.from_source("label_studio", train_file=accepted(tmp_path / "tasks.json"))
    dataset = data.indexed_dataset("train")
    assert [dataset.raw(row).target.item() for row in range(6)] == [1, 0] * 3
    assert [Path(each).name for each in dataset.ids_of(range(6))] == [f"{number}.png" for number in range(6)]


def test_several_labels_are_several_choices(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = saying(classifier(multi_label=True), [[0.9, 0.7], [0.1, 0.2]], monkeypatch)
    to_label_studio(task, [photos / "0.png", photos / "1.png"], tmp_path / "tasks.json", data_folder=photos)
    first, second = (each["predictions"][0] for each in json.loads((tmp_path / "tasks.json").read_text()))
    assert (first["result"][0]["value"], first["score"]) == ({"choices": ["bright", "dark"]}, 0.7)
    assert (second["result"], second["score"]) == ([], 0.8)


def test_ranked_rows_are_tasks_in_their_order_with_the_prediction_that_ranked_them(
    photos: Path, tmp_path: Path
) -> None:
    data = ImageClassificationData.from_files(
        train_files=sorted(photos.iterdir()), train_targets=["dark", "bright"] * 3, batch_size=2
    )
    rows = RankedRows(
        [
            RankedRow(str(photos / "4.png"), 4, "dark", "bright", 0.9, 0.8),
            RankedRow(str(photos / "1.png"), 1, "bright", "dark", 0.7, 0.4),
        ],
        "train",
    )
    assert to_label_studio(classifier(), data, tmp_path / "tasks.json", rows=rows, data_folder=photos) == 2
    first, second = json.loads((tmp_path / "tasks.json").read_text())
    assert first["data"] == {
        "image": "/data/local-files/?d=4.png",
        "rank": 1,
        "rank_score": 0.8,
        "given_label": "dark",
    }
    assert second["data"]["image"].endswith("1.png")
    (result,) = first["predictions"][0]["result"]
    assert (result["value"], result["score"]) == ({"choices": ["bright"]}, 0.9)


def test_samples_that_are_ranked_by_the_task_are_written_as_they_come(photos: Path, tmp_path: Path) -> None:
    task = classifier()
    data = ImageClassificationData.from_folders(predict_folder=photos, batch_size=2)
    rows = rank_to_label(task, data, count=4)
    to_label_studio(task, data, tmp_path / "tasks.json", rows=rows, data_folder=photos)
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    assert [each["data"]["image"].rpartition("=")[2] for each in tasks] == [Path(row.id).name for row in rows]
    assert [each["data"]["rank_score"] for each in tasks] == [row.score for row in rows]
    assert [each["predictions"][0]["score"] for each in tasks] == [row.probability for row in rows]


def test_texts_of_a_data_module_are_tasks(tmp_path: Path) -> None:
    task = TextClassifier(labels=["bad", "good"], backbone=Words(), tokenizer=tokenizer())
    data = TextClassificationData.from_lists(predict_data=["Ada slept", "Ada"], train_data=None)
    rows = RankedRows([RankedRow(1, 1, None, "good", 0.6, 0.4)], "predict")
    to_label_studio(task, data, tmp_path / "tasks.json", rows=rows)
    (only,) = json.loads((tmp_path / "tasks.json").read_text())
    assert only["data"] == {"text": "Ada", "rank": 1, "rank_score": 0.4}
    assert to_label_studio(task, data, tmp_path / "tasks.json") == 2
    assert [each["data"]["text"] for each in json.loads((tmp_path / "tasks.json").read_text())] == ["Ada slept", "Ada"]


def test_boxes_come_back_as_they_were_predicted(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = ObjectDetector(labels=["cat", "dog"], backbone="ssdlite320_mobilenet_v3_large", pretrained=False)
    found: dict[str, list[Any]] = {
        "boxes": [[10.0, 10.0, 30.0, 15.0], [0.0, 0.0, 20.0, 5.0]],
        "labels": ["cat", "dog"],
        "scores": [0.9, 0.6],
    }
    nothing: dict[str, list[Any]] = {"boxes": [], "labels": [], "scores": []}
    saying(detector, [found, nothing], monkeypatch)
    to_label_studio(detector, [photos / "0.png", photos / "1.png"], tmp_path / "t.json", data_folder=photos)
    scores = [each["predictions"][0]["score"] for each in json.loads((tmp_path / "t.json").read_text())]
    assert scores == [0.6, 0.0]
    data = ObjectDetectionData.from_source("label_studio", train_file=accepted(tmp_path / "t.json"), data_folder=photos)
    image = data.indexed_dataset("train").raw(0).image
    assert image.boxes.tolist() == [pytest.approx(box) for box in found["boxes"]]
    assert list(image.labels) == found["labels"]
    assert not len(data.indexed_dataset("train").raw(1).image.boxes)


def test_masks_come_back_as_they_were_predicted(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = SemanticSegmentation(labels=["background", "road", "sky"], backbone="test_resnet", pretrained=False)
    mask = np.random.default_rng(0).integers(0, 3, (20, 40)).astype(np.uint8)
    saying(task, [mask], monkeypatch)
    to_label_studio(task, [photos / "0.png"], tmp_path / "t.json", data_folder=photos)
    (prediction,) = json.loads((tmp_path / "t.json").read_text())[0]["predictions"]
    assert "score" not in prediction
    data = SemanticSegmentationData.from_source(
        "label_studio", train_file=accepted(tmp_path / "t.json"), data_folder=photos
    )
    assert data.labels == task.labels
    assert np.array_equal(data.indexed_dataset("train").raw(0).target.draw(), mask)


def test_entities_come_back_as_they_were_predicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = TokenClassifier(labels=["O", "B-PER", "I-PER"], backbone=Words(), tokenizer=tokenizer())
    text = "\U0001f600 Ada slept"
    saying(task, [[{"text": "Ada", "label": "PER", "start": 2, "end": 5, "score": 0.8}], []], monkeypatch)
    to_label_studio(task, [text, "Nobody"], tmp_path / "t.json")
    first, second = json.loads((tmp_path / "t.json").read_text())
    # Of a browser, where the smiley is two.
    assert first["predictions"][0]["result"][0]["value"] == {"start": 3, "end": 6, "text": "Ada", "labels": ["PER"]}
    assert (first["predictions"][0]["score"], second["predictions"][0]["score"]) == (0.8, 0.0)
    data = TokenClassificationData.from_source("label_studio", train_file=accepted(tmp_path / "t.json"))
    sentence, tags = data.indexed_dataset("train").raw(0)
    assert (sentence.text, [data.labels[tag] for tag in tags]) == (text, ["O", "B-PER", "O"])


def test_the_configuration_of_a_project_has_the_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert label_config(classifier()) == (
        "<View>\n"
        '  <Image name="image" value="$image"/>\n'
        '  <Choices name="label" toName="image" choice="single">\n'
        '    <Choice value="bright"/>\n'
        '    <Choice value="dark"/>\n'
        "  </Choices>\n"
        "</View>"
    )
    tags = TokenClassifier(labels=["O", "B-PER", "I-PER", "B-A&B", "I-A&B"], backbone=Words(), tokenizer=tokenizer())
    root = ElementTree.fromstring(label_config(tags, from_name="ner"))
    assert [each.tag for each in root] == ["Text", "Labels"]
    assert root[1].attrib == {"name": "ner", "toName": "text"}
    assert [each.get("value") for each in root[1]] == ["PER", "A&B"]


@pytest.mark.parametrize("call", [label_config, lambda task: to_label_studio(task, ["a"], "never.json")])
def test_a_task_that_label_studio_cannot_show_is_refused(call: Callable[[Any], Any]) -> None:
    with pytest.raises(
        ConfigurationError, match="Expected a task of image, audio, text, video whose predictions Label"
    ):
        call(ClassificationTask(model=nn.Identity(), num_classes=2))


def test_a_task_without_names_of_classes_is_refused() -> None:
    task = ImageClassifier(2, backbone="test_resnet", pretrained=False)
    with pytest.raises(ConfigurationError, match="Expected a task that knows the names of its classes"):
        label_config(task)


@pytest.mark.parametrize(
    ("samples", "sentence"),
    [
        ([], "Expected at least one sample to write as a task"),
        (["missing.png"], "Expected files, .* but 1 of 1 samples are none, such as 'missing.png'"),
        ([np.zeros((4, 4, 3))], "Expected files, which tasks of Label Studio can show, but got"),
    ],
)
def test_samples_that_are_no_files_are_an_error(tmp_path: Path, samples: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        to_label_studio(classifier(), samples, tmp_path / "t.json", data_folder=tmp_path)
    assert not (tmp_path / "t.json").exists()


def test_images_in_memory_and_foreign_rows_are_refused(tmp_path: Path, photos: Path) -> None:
    data = ImageClassificationData.from_numpy(predict_data=np.zeros((2, 9, 9, 3), np.uint8))
    with pytest.raises(DataError, match="Expected files, .* but 2 of 2 samples are none"):
        to_label_studio(classifier(), data, tmp_path / "t.json", data_folder=tmp_path)
    rows = RankedRows([RankedRow("0.png", 0, None, "dark", 0.6, 0.4)], "predict")
    with pytest.raises(ConfigurationError, match="Expected the data module that rows are of, but got list"):
        to_label_studio(classifier(), [photos / "0.png"], tmp_path / "t.json", rows=rows, data_folder=photos)
    detector = ObjectDetector(labels=["cat"], backbone="ssdlite320_mobilenet_v3_large", pretrained=False)
    with pytest.raises(ConfigurationError, match="Expected a task with classes for rows that were ranked"):
        to_label_studio(
            *(detector, ImageClassificationData.from_folders(predict_folder=photos), tmp_path / "t.json"),
            rows=rows,
            data_folder=photos,
        )


def test_a_data_module_without_the_stage_is_an_error(tmp_path: Path) -> None:
    data = DataModule.from_tensors(train_data=torch.zeros(4, 2), train_targets=torch.zeros(4))
    with pytest.raises(DataError, match="Expected predict data to look at"):
        to_label_studio(classifier(), data, tmp_path / "t.json", data_folder=tmp_path)
