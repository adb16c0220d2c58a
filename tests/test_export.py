"""Exported folders of every domain predict what the task predicts, from the same files, without Flash."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from detectors import small_detector, spread, squares, tiny_detector, tiny_pose, tiny_segmenter
from PIL import Image
from tokenizers import processors
from torch import nn
from transformers import (
    AutoModel,
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    DistilBertConfig,
    RobertaConfig,
    T5Config,
    T5ForConditionalGeneration,
    YolosConfig,
)

import flash
from flash import Task, Trainer
from flash.cli import main
from flash.errors import ExportError
from flash.image import (
    ImageClassifier,
    ImageEmbedder,
    ImageRegressor,
    InstanceSegmentation,
    KeypointDetector,
    ObjectDetectionData,
    ObjectDetector,
    SemanticSegmentation,
    SemanticSegmentationData,
)
from flash.image.detection.models import DETECTORS
from flash.image.instances.images import decode_masks
from flash.image.segmentation.preprocess import SemanticSegmentationPreprocess
from flash.tabular import (
    TabularClassificationData,
    TabularClassifier,
    TabularRegressionData,
    TabularRegressor,
)
from flash.text import (
    QuestionAnsweringTask,
    SummarizationTask,
    TextClassifier,
    TextEmbedder,
    TextRegressor,
    TokenClassificationData,
    TokenClassifier,
)

FORMATS = ("pt2", "onnx")
TINY: dict[str, dict[str, Any]] = {
    "mlp": {"d_block": 16},
    "resnet": {"d_block": 16},
    "ft_transformer": {"d_block": 16},
    "tabm": {"d_block": 16, "k": 3},
    "tabnet": {},
}
TEXTS = ["good film", "", "bad " * 200, "x", "a good and a bad film", "ünïcode 漢字"]

pytestmark = pytest.mark.filterwarnings("ignore:Expected this .* to be trained or loaded before it predicts")


def predictor_of(folder: Path) -> Any:
    return program_of(folder).Predictor()


def program_of(folder: Path) -> Any:
    name = f"exported_{abs(hash(folder))}"
    specification = importlib.util.spec_from_file_location(name, folder / "predict.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., Path]:
    """Exports a task and compares its predictions of a file with those of the folder."""

    def run(task: Task, name: str, source: Any, raw: Any = None, output: str | None = None) -> Path:
        folder = task.export(tmp_path / f"exported_{name}", name)
        found = predictor_of(folder).predict(str(source), output, batch_size=4)
        expected = task.predict(source if raw is None else raw, output)
        plain = [each.tolist() if isinstance(each, torch.Tensor) else each for each in expected]
        np.testing.assert_allclose(np.array(found), np.array(plain), rtol=1e-4, atol=1e-5)
        return folder

    return run


# ---------------------------------------------------------------------- tables


def people(rows: int = 80) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 90, rows).astype(float),
            "city": rng.choice(["Rome", "Oslo", "Paris"], rows),
            "code": rng.choice([1, 2, 3], rows),
            "seen": pd.date_range("2024-01-01", periods=rows, freq="19h").astype(str),
            "member": rng.choice([True, False], rows),
            "income": rng.normal(30_000, 5_000, rows).round(2),
        }
    )
    frame.loc[::7, "age"] = np.nan
    frame.loc[::9, "city"] = None
    frame["bought"] = np.where(frame["income"] > 30_000, "yes", "no")
    return frame


@pytest.fixture
def new_people(tmp_path: Path) -> Path:
    """Rows as they come: missing values, new categories, other spellings."""
    path = tmp_path / "new.csv"
    path.write_text(
        "age,city,code,seen,member,income,note\n"
        "30,Rome,1,2024-02-03,True,1000,\n"
        ",Lima,9,,false,1e6,x\n"
        "NA,,2.0,2024-03-01 12:30,TRUE,,y\n"
        "7,Oslo,,2024-01-31T23:00:00+02:00,,-5,\n"
    )
    return path


def tabular(backbone: str, **options: Any) -> Any:
    frame = people()
    if options.pop("regression", False):
        numbers = TabularRegressionData.from_data_frame(
            target_fields="income", train_data_frame=frame.drop(columns="bought"), verbose=False
        )
        return TabularRegressor.from_data(numbers, backbone=backbone, backbone_kwargs=TINY[backbone])
    data = TabularClassificationData.from_data_frame(
        target_fields="bought", train_data_frame=frame, verbose=False, **options
    )
    return TabularClassifier.from_data(data, backbone=backbone, backbone_kwargs=TINY[backbone])


def test_a_table_is_predicted_by_its_folder(check: Callable[..., Path], new_people: Path) -> None:
    task = tabular("mlp")
    folder = check(task, "onnx", new_people, output="probabilities")
    assert predictor_of(folder).predict(str(new_people)) == task.predict(str(new_people))


@pytest.mark.parametrize("backbone", TINY)
def test_tables_without_categories_are_exported(tmp_path: Path, backbone: str) -> None:
    frame = people()[["age", "income", "bought"]]
    data = TabularClassificationData.from_data_frame(target_fields="bought", train_data_frame=frame, verbose=False)
    task = TabularClassifier.from_data(data, backbone=backbone, backbone_kwargs=TINY[backbone])
    rows = frame.drop(columns="bought").head(5)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    folder = task.export(tmp_path / "out", "pt2")
    assert predictor_of(folder).predict(str(tmp_path / "rows.csv")) == task.predict(str(tmp_path / "rows.csv"))


@pytest.mark.slow
@pytest.mark.parametrize("backbone", TINY)
@pytest.mark.parametrize("name", FORMATS)
def test_every_backbone_of_tables_is_exported(
    check: Callable[..., Path], new_people: Path, backbone: str, name: str
) -> None:
    check(tabular(backbone), name, new_people, output="probabilities")


@pytest.mark.slow
@pytest.mark.parametrize("fields", [{"categorical_fields": ["city"]}, {"numerical_fields": ["age"]}])
@pytest.mark.parametrize("backbone", TINY)
def test_columns_of_one_kind_are_exported(
    check: Callable[..., Path], new_people: Path, backbone: str, fields: dict[str, Any]
) -> None:
    check(tabular(backbone, **fields), "onnx", new_people, output="probabilities")


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["tabm", "tabnet"])
def test_numbers_of_tables_are_exported(check: Callable[..., Path], new_people: Path, backbone: str) -> None:
    check(tabular(backbone, regression=True), "onnx", new_people)


def test_a_checkpoint_is_exported_by_the_command(
    tmp_path: Path, new_people: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = tabular("mlp")
    trainer = Trainer(max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.strategy.connect(task)
    trainer.save_checkpoint(tmp_path / "task.ckpt", weights_only=True)
    out = tmp_path / "out"
    assert main(["export", str(tmp_path / "task.ckpt"), "--format", "pt2", "-o", str(out)]) == 0
    assert capsys.readouterr().out.endswith(
        f"Wrote {out}: delimited.py, encoder.py, export.json, json_table.py, model.pt2, predict.py, runner.py.\n"
    )
    assert predictor_of(out).predict(str(new_people)) == task.predict(str(new_people))
    assert main(["export", str(tmp_path / "task.ckpt"), "--format", "onx", "-o", str(tmp_path / "other")]) != 0
    assert "'onx' is not among the formats of export. Did you mean 'onnx'?" in capsys.readouterr().err


# ---------------------------------------------------------------------- photos


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for place, (height, width, channels) in enumerate([(300, 200, 3), (90, 120, 4), (50, 60, 2), (170, 800, 3)]):
        Image.fromarray(rng.integers(0, 256, (height, width, channels), dtype=np.uint8)).save(folder / f"{place}.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rng.integers(0, 256, (200, 300, 3), dtype=np.uint8)).save(folder / "turned.jpg", exif=exif)
    return folder


def test_photos_are_predicted_by_their_folder(check: Callable[..., Path], photos: Path) -> None:
    task = ImageClassifier(labels=["ants", "bees"], backbone="test_resnet", pretrained=False)
    folder = check(task, "onnx", photos, output="probabilities")
    inputs = json.loads((folder / "export.json").read_text())["networks"]["model"]["inputs"]
    assert inputs == {"input": {"dtype": "uint8", "shape": ["batch", 3, 160, 160]}}
    task.predict(photos)  # The constants of the traced network are not kept.


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit", "test_convnext", "test_efficientnet", "resnet18"])
@pytest.mark.parametrize("name", FORMATS)
def test_networks_of_timm_are_exported(check: Callable[..., Path], photos: Path, backbone: str, name: str) -> None:
    check(ImageClassifier(3, backbone=backbone, pretrained=False), name, photos, output="probabilities")


@pytest.mark.slow
def test_numbers_and_vectors_of_photos_are_exported(check: Callable[..., Path], photos: Path) -> None:
    numbers = ImageRegressor(2, target_mean=[5.0, 0.0], target_std=[9.0, 2.0], backbone="test_resnet", pretrained=False)
    check(numbers, "onnx", photos)
    check(ImageEmbedder(backbone="test_resnet", pretrained=False, embedding_dim=8), "pt2", photos)


def segmenter(resize: str = "squash", labels: Any = ("sky", "road", "tree"), **options: Any) -> Any:
    preprocess = SemanticSegmentationPreprocess(labels=list(labels), resize=resize, image_size=96)  # type: ignore[arg-type]
    return SemanticSegmentation(
        labels=labels, backbone="test_resnet", pretrained=False, preprocess=preprocess, **options
    )


@pytest.mark.parametrize("name", FORMATS)
def test_masks_are_predicted_by_their_folder(tmp_path: Path, photos: Path, name: str) -> None:
    task = segmenter()
    folder = task.export(tmp_path / "out", name)
    description = json.loads((folder / "export.json").read_text())
    network = description["networks"]["model"]
    assert network["inputs"] == {"image": {"dtype": "uint8", "shape": ["batch", 3, 96, 96]}}
    assert list(network["outputs"]) == ["logits"]
    assert len(description["agreement"]["checked"]["model"]) == 2
    predictor = predictor_of(folder)
    found, expected = predictor.predict(str(photos), batch_size=3), task.predict(photos)
    assert [mask.shape for mask in expected] == [(300, 200), (90, 120), (50, 60), (170, 800), (300, 200)]
    assert len(np.unique(np.concatenate([mask.ravel() for mask in expected]))) == 3, "there is something to confuse"
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    source = str(photos / "0.png")
    for output in ("classes", "areas"):
        assert predictor.predict(source, output) == task.predict(source, output)
    for output in ("probabilities", "logits"):
        (found,), (expected,) = predictor.predict(source, output), task.predict(source, output)
        np.testing.assert_allclose(found, expected, atol=1e-4)
    (raw,) = predictor.predict(source, "raw")
    np.testing.assert_allclose(raw["logits"], task.predict(source, "raw")[0], atol=1e-4)
    assert raw["size"] == [300, 200]
    with pytest.raises(ValueError, match="labels, classes, areas, probabilities, logits or raw, but got 'boxes'"):
        predictor.predict(source, "boxes")


@pytest.mark.parametrize(("resize", "head"), [("pad", "fpn"), ("tiles", "linear")])
def test_masks_of_padded_images_and_of_tiles_are_put_together_alike(
    tmp_path: Path, photos: Path, resize: str, head: str
) -> None:
    task = segmenter(resize, head=head)
    found = predictor_of(task.export(tmp_path / "out", "onnx")).predict(str(photos), batch_size=3)
    for one, other in zip(found, task.predict(photos), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_trained_segmenter_is_exported_with_its_program_whose_lines_are_masks(tmp_path: Path, photos: Path) -> None:
    random = np.random.default_rng(0)
    images, masks = random.integers(0, 256, (8, 32, 32, 3), dtype=np.uint8), random.integers(0, 2, (8, 32, 32))
    data = SemanticSegmentationData.from_numpy(images, masks, batch_size=4, image_size=32)
    task = SemanticSegmentation.from_data(data, backbone="test_resnet", pretrained=False)
    Trainer(max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False).fit(task, data)
    folder = task.export(tmp_path / "out", "onnx")
    source, lines = photos / "2.png", tmp_path / "lines.jsonl"
    assert program_of(folder).main([str(source), "-o", str(lines)]) == 0
    (line,) = map(json.loads, lines.read_text().splitlines())
    assert line == {"id": str(source), "prediction": task.predict(source)[0].tolist()}


def same_boxes(
    found: list[Any], expected: list[Any], missing: int = 0, pixels: float = 0.1, difference: float = 1e-3
) -> None:
    """Each object of the one is one of the other: same label, box and score; but for some that rounding decides."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert abs(len(one["labels"]) - len(other["labels"])) <= missing
        rest = [*zip(other["labels"], other["boxes"], other["scores"], strict=True)]
        alone = 0
        for label, box, score in zip(one["labels"], one["boxes"], one["scores"], strict=True):
            same = [
                place
                for place, (known, there, its) in enumerate(rest)
                if known == label and np.allclose(box, there, rtol=1e-4, atol=pixels) and abs(score - its) < difference
            ]
            alone += not same
            for place in same[:1]:
                rest.pop(place)
        assert alone <= missing


@pytest.mark.parametrize("name", FORMATS)
def test_boxes_are_predicted_by_their_folder(tmp_path: Path, photos: Path, name: str) -> None:
    model = tiny_detector(min_size=64, max_size=128)
    task = ObjectDetector(labels=["ants", "bees", "wasps"], backbone=model, score_threshold=0.4)
    folder = task.export(tmp_path / "out", name)
    description = json.loads((folder / "export.json").read_text())
    assert description["networks"]["model"]["inputs"] == {
        "image": {"dtype": "uint8", "shape": [1, 3, "height", "width"]},
        "score_threshold": {"dtype": "float32", "shape": [1]},
    }
    assert len(description["agreement"]["checked"]["model"]) == 2
    expected = task.predict(photos)
    assert sum(len(each["labels"]) for each in expected) > 5
    predictor = predictor_of(folder)
    same_boxes(predictor.predict(str(photos), batch_size=3), expected)
    assert [identifier for identifier, _ in predictor.predict_each(str(photos))] == sorted(map(str, photos.iterdir()))
    for one, other in zip(predictor.predict(str(photos), "raw"), task.predict(photos, "raw"), strict=True):
        assert sorted(one["labels"]) == sorted(other["labels"].tolist())
    # A lower threshold is no new export.
    image = np.zeros((1, 3, 50, 60), dtype=np.uint8)
    for threshold in (0.0, 0.99):
        found = predictor.networks["model"]({"image": image, "score_threshold": np.array([threshold], np.float32)})
        assert (found["scores"] > threshold).all()
        assert found["boxes"].shape == (*found["labels"].shape, 4)


@pytest.mark.parametrize("name", [pytest.param("pt2", marks=pytest.mark.slow), "onnx"])
def test_masks_of_objects_are_predicted_by_their_folder(tmp_path: Path, photos: Path, name: str) -> None:
    model = spread(tiny_segmenter(4))
    task = InstanceSegmentation(labels=["ants", "bees", "wasps"], backbone=model, score_threshold=0.4)
    folder = task.export(tmp_path / "out", name)
    description = json.loads((folder / "export.json").read_text())
    assert description["networks"]["model"]["outputs"] == ["boxes", "labels", "scores", "masks"]
    assert len(description["agreement"]["checked"]["model"]) == 2
    expected, found = task.predict(photos), predictor_of(folder).predict(str(photos), batch_size=3)
    assert sum(len(each["labels"]) for each in expected) > 5
    same_boxes(found, expected)
    overlaps = []
    for one, other in zip(found, expected, strict=True):
        order = sorted(range(len(one["masks"])), key=lambda row: (one["labels"][row], *map(round, one["boxes"][row])))
        there = sorted(
            range(len(other["masks"])), key=lambda row: (other["labels"][row], *map(round, other["boxes"][row]))
        )
        pairs = zip(decode_masks(one["masks"])[order], decode_masks(other["masks"])[there], strict=True)
        overlaps += [((a & b).sum() + 1) / ((a | b).sum() + 1) for a, b in pairs]
    assert min(overlaps) > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_points_are_predicted_by_their_folder(tmp_path: Path, photos: Path, name: str) -> None:
    model = spread(tiny_pose(4, 2))
    options: dict[str, Any] = {"keypoints": ["left", "right"], "score_threshold": 0.4}
    task = KeypointDetector(labels=["ants", "bees", "wasps"], backbone=model, **options)
    folder = task.export(tmp_path / "out", name)
    description = json.loads((folder / "export.json").read_text())
    assert description["networks"]["model"]["outputs"][3:] == ["keypoints", "keypoint_scores"]
    assert len(description["agreement"]["checked"]["model"]) == 2
    expected, found = task.predict(photos), predictor_of(folder).predict(str(photos), batch_size=3)
    assert sum(len(each["labels"]) for each in expected) > 5
    same_boxes(found, expected)
    for one, other in zip(found, expected, strict=True):
        here, there = (np.sort(np.reshape(each["keypoints"], (-1, 2)), axis=0) for each in (one, other))
        np.testing.assert_allclose(here, there, atol=0.1)
        scores, wanted = (np.sort(np.ravel(each["keypoint_scores"])) for each in (one, other))
        np.testing.assert_allclose(scores, wanted, atol=1e-3)


def test_numbers_of_classes_are_those_of_the_task(tmp_path: Path, photos: Path) -> None:
    task = ObjectDetector(3, backbone=tiny_detector(min_size=64, max_size=128), score_threshold=0.4)
    found = predictor_of(task.export(tmp_path / "out", "pt2")).predict(str(photos / "0.png"))
    assert found == task.predict(photos / "0.png")
    assert {0, 1, 2} >= set(found[0]["labels"]) != set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "name"),
    [
        *((backbone, "onnx") for backbone in DETECTORS),
        *(
            (backbone, "pt2")
            for backbone in ("fasterrcnn_mobilenet_v3_large_320_fpn", "retinanet_resnet50_fpn", "fcos_resnet50_fpn")
        ),
        ("ssdlite320_mobilenet_v3_large", "pt2"),
    ],
)
def test_detectors_of_torchvision_are_exported(tmp_path: Path, photos: Path, backbone: str, name: str) -> None:
    prefix = "box_" if backbone.startswith("faster") else ""
    options: dict[str, Any] = {f"{prefix}score_thresh": 0.0, f"{prefix}detections_per_img": 30}
    if not backbone.startswith("ssd"):
        options |= {"min_size": 96, "max_size": 160}
    task = ObjectDetector(3, backbone=backbone, pretrained=False, score_threshold=0.0, backbone_kwargs=options)
    # Statistics of its own images, and a head with which scores differ.
    for module, parameter in task.model.named_parameters():
        # The layers of boxes stay: large ones make pixels of what is rounding.
        if parameter.ndim > 1 and ("head" in module or "predictor" in module) and "bbox" not in module:
            nn.init.normal_(parameter, std=0.2 if backbone.startswith("ssdlite") else 0.02)
    for norm in task.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = None
    target = {"boxes": torch.tensor([[10.0, 10, 90, 90]]), "labels": torch.tensor([1])}
    with torch.no_grad():
        task.train().model([torch.rand(3, 200, 160), torch.rand(3, 200, 160)], [target, target])
    task.eval()
    # Scores that round to 1 are all the same, and have no order.
    layers = [each for module, each in task.model.named_parameters() if "cls" in module or "classification" in module]
    while max(float(found["scores"].max()) for found in task.predict(photos, "raw")) > 0.9:
        for parameter in layers:
            parameter.data.mul_(0.7)
    folder = task.export(tmp_path / "out", name)
    expected = task.predict(photos)
    assert min(len(each["labels"]) for each in expected) > 5
    # Random weights make 7e-5 of what is 1e-7 in the pixels, and many candidates that are nearly as good as others.
    same_boxes(predictor_of(folder).predict(str(photos)), expected, missing=8, pixels=1.5, difference=1e-2)


@pytest.mark.train
@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_a_trained_detector_finds_the_same_from_its_folder(tmp_path: Path, name: str) -> None:
    images, labels, boxes = squares(48)
    data = ObjectDetectionData.from_images(images, labels, boxes, batch_size=4, seed=0)
    # Of regions with the same score, which a small network has, two programs may not choose different ones.
    network = small_detector(data.num_classes + 1, rpn_post_nms_top_n_test=200)
    task = ObjectDetector.from_data(data, backbone=network, learning_rate=0.01, optimizer="adamw", score_threshold=0.5)
    flash.Trainer(max_epochs=25, logger=False, enable_checkpointing=False, enable_progress_bar=False).fit(task, data)
    (tmp_path / "new").mkdir()
    new, wanted, places = squares(12, seed=1)
    for row, image in enumerate(new):
        Image.fromarray(image).save(tmp_path / "new" / f"{row:02}.png")
    found = predictor_of(task.export(tmp_path / "out", name)).predict(str(tmp_path / "new"))
    same_boxes(found, task.predict(tmp_path / "new"), missing=1)
    right = 0
    for each, classes, true in zip(found, wanted, places, strict=True):
        best = each["boxes"][:1], each["labels"][:1]
        right += not best[0] if not classes else best[1] == classes and np.abs(np.subtract(*best[0], *true)).max() < 8
    assert right >= 10


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_detectors_of_transformers_are_exported(tmp_path: Path, photos: Path, name: str) -> None:
    sizes: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = YolosConfig(**sizes, intermediate_size=32, image_size=[64, 96], patch_size=16, num_detection_tokens=12)
    config.save_pretrained(tmp_path / "yolos")
    options: dict[str, Any] = {"pretrained": False, "image_size": (64, 96), "score_threshold": 0.0}
    task = ObjectDetector(3, backbone=tmp_path / "yolos", **options)
    for module, parameter in task.model.named_parameters():
        if parameter.ndim > 1:  # so that queries and images differ
            nn.init.normal_(parameter, std=0.5 if "token" in module or "classifier" in module else 0.1)
    expected = task.predict(photos)
    assert [len(each["labels"]) for each in expected] == [12] * len(expected)
    same_boxes(predictor_of(task.export(tmp_path / "out", name)).predict(str(photos)), expected)


def test_detectors_of_others_say_why_they_are_not_exported(tmp_path: Path) -> None:
    class Own(nn.Module):
        def forward(self, images: Any) -> Any:
            return [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0), "scores": torch.zeros(0)} for _ in images]

    with pytest.raises(ExportError, match="Expected a detector of torchvision"):
        ObjectDetector(2, backbone=Own(), metrics={}).export(tmp_path / "out", "onnx")
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------------- texts


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    return path


def encoder(kind: str) -> nn.Module:
    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    more: dict[str, Any] = {"vocab_size": 40, "max_position_embeddings": 64, "pad_token_id": 0}
    config = {
        "bert": lambda: BertConfig(**sizes, **more),
        "roberta": lambda: RobertaConfig(**sizes, **more),
        "distilbert": lambda: DistilBertConfig(dim=16, n_layers=1, n_heads=2, hidden_dim=16, **more),
    }[kind]()
    model: nn.Module = AutoModel.from_config(config).eval()
    return model


def test_texts_are_predicted_by_their_folder(check: Callable[..., Path], tokenizer: Any, lines: Path) -> None:
    task = TextClassifier(labels=["good", "bad"], backbone=encoder("bert"), tokenizer=tokenizer)
    folder = check(task, "onnx", lines, TEXTS, "probabilities")
    assert (folder / "tokenizer.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert"])
@pytest.mark.parametrize("name", FORMATS)
def test_encoders_of_transformers_are_exported(
    check: Callable[..., Path], tokenizer: Any, lines: Path, kind: str, name: str
) -> None:
    check(TextClassifier(3, backbone=encoder(kind), tokenizer=tokenizer), name, lines, TEXTS, "probabilities")


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_numbers_and_vectors_of_texts_are_exported(
    check: Callable[..., Path], tokenizer: Any, lines: Path, pooling: Any
) -> None:
    options: dict[str, Any] = {"backbone": encoder("bert"), "tokenizer": tokenizer, "pooling": pooling}
    check(TextRegressor(1, target_mean=[100.0], target_std=[20.0], **options), "onnx", lines, TEXTS)
    check(TextEmbedder(**options), "pt2", lines, TEXTS)


def windowed(tokenizer: Any) -> dict[str, Any]:
    """Return a network and a tokenizer for windows of few tokens."""
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    network = encoder("bert")
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.5)
    return {"backbone": network, "tokenizer": tokenizer, "max_length": 16}


def spread_out(task: Any) -> None:
    """Give the last layer weights by which words have different tags."""
    nn.init.normal_(task.head[-1].weight, std=1.0)


@pytest.mark.parametrize("name", [pytest.param("pt2", marks=pytest.mark.slow), "onnx"])
def test_entities_of_long_texts_are_found_by_their_folder(tokenizer: Any, tmp_path: Path, name: str) -> None:
    task = TokenClassifier(labels=["O", "B-A", "I-A", "B-B", "I-B"], **windowed(tokenizer))
    spread_out(task)
    words = [text.split() for text in TEXTS if text]
    source = tmp_path / "words.conll"
    source.write_text("-DOCSTART- O\n\n" + "\n\n".join("\n".join(f"{word} O" for word in each) for each in words))
    predictor = predictor_of(task.export(tmp_path / "out", name))
    expected = task.predict(source)
    assert len(expected) == len(words)
    assert sum(map(len, expected)) > 50
    found = predictor.predict(str(source), batch_size=2)
    keys = ("text", "label", "start", "end")
    assert [[[one[key] for key in keys] for one in each] for each in found] == [
        [[one[key] for key in keys] for one in each] for each in expected
    ]
    one, other = ([span["score"] for each in rows for span in each] for rows in (found, expected))
    np.testing.assert_allclose(one, other, atol=1e-5)
    assert predictor.predict(str(source), "tags") == task.predict(source, "tags")


def test_entities_of_a_column_of_texts_are_found_by_their_folder(tokenizer: Any, tmp_path: Path) -> None:
    sentences = ["Ada's 東京 film.", "a good-bad film", "x"]
    frame = pd.DataFrame({"text": sentences, "spans": [[(0, 3, "PER")], [], []]})
    data = TokenClassificationData.from_data_frame("text", "spans", train_data_frame=frame)
    task = TokenClassifier.from_data(data, **windowed(tokenizer))
    spread_out(task)
    frame.to_csv(tmp_path / "new.csv", index=False)
    predictor = predictor_of(task.export(tmp_path / "out", "onnx"))
    expected = task.predict(tmp_path / "new.csv", "tags")
    assert [len(tags) for tags in expected] == [7, 5, 1]
    assert predictor.predict(str(tmp_path / "new.csv"), "tags") == expected


@pytest.mark.parametrize("name", [pytest.param("pt2", marks=pytest.mark.slow), "onnx"])
def test_answers_in_long_contexts_are_found_by_their_folder(tokenizer: Any, tmp_path: Path, name: str) -> None:
    task = QuestionAnsweringTask(unanswerable=True, n_best=3, **windowed(tokenizer))
    context = "good bad film a and x " * 9
    asked: list[Any] = [{"question": question, "answers": []} for question in ("a film", "x")]
    source = tmp_path / "squad.json"
    source.write_text(json.dumps({"data": [{"paragraphs": [{"context": context, "qas": asked}]}]}))
    predictor = predictor_of(task.export(tmp_path / "out", name))
    for output in ("n_best", "answers"):
        found, expected = predictor.predict(str(source), output), task.predict(source, output)
        found, expected = (rows if output == "n_best" else [[row] for row in rows] for rows in (found, expected))
        assert [[(one["text"], one["start"]) for one in each] for each in found] == [
            [(one["text"], one["start"]) for one in each] for each in expected
        ]
        one, other = ([span["score"] for each in rows for span in each] for rows in (found, expected))
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert predictor.predict(str(source), "texts") == task.predict(source, "texts")
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(ValueError, match=r"Expected .*other\.json to be a file of SQuAD, an object with 'data'"):
        predictor.predict(str(tmp_path / "other.json"))
    with pytest.raises(ValueError, match="Expected questions that leave room for their contexts in 16 tokens"):
        predictor.run(predictor.encode([("a " * 40, context)]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["t5", "bart"])
@pytest.mark.parametrize("name", FORMATS)
def test_generated_texts_are_those_of_the_task(
    tokenizer: Any, lines: Path, tmp_path: Path, kind: str, name: str
) -> None:
    ids: dict[str, Any] = {"vocab_size": 40, "pad_token_id": 0, "eos_token_id": 2}
    if kind == "t5":
        sizes: dict[str, Any] = {"d_model": 16, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_heads": 2}
        sizes["decoder_start_token_id"] = 0
        model: Any = T5ForConditionalGeneration(T5Config(**sizes, **ids))
    else:
        sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
        more: dict[str, Any] = {
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "max_position_embeddings": 64,
        }
        start: dict[str, Any] = {"decoder_start_token_id": 2, "bos_token_id": 1, "forced_eos_token_id": 2}
        model = BartForConditionalGeneration(BartConfig(**sizes, **more, **start, **ids))
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.4)
    task = SummarizationTask(model.eval(), tokenizer=tokenizer, max_new_tokens=8, num_beams=3, prefix="a good ")
    folder = task.export(tmp_path / "out", name)
    assert {f"encoder.{name}", f"decoder.{name}", "tokenizer.json"} <= {file.name for file in folder.iterdir()}
    expected = task.predict(TEXTS)
    assert predictor_of(folder).predict(str(lines), batch_size=4) == expected
    assert len(set(expected)) > 1


# ---------------------------------------------------------------------- without torch


@pytest.mark.env
def test_a_folder_is_used_in_an_environment_with_numpy_and_onnxruntime_alone(
    run: Any, uv: str, tmp_path: Path, new_people: Path
) -> None:
    task = tabular("tabm")
    folder = task.export(tmp_path / "out", "onnx")
    run(uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv")
    (site_packages,) = tmp_path.glob("venv/lib/*/site-packages")
    installed = Path(np.__file__).parent.parent
    names = ("numpy", "onnxruntime", "flatbuffers", "google", "protobuf", "packaging", "coloredlogs", "humanfriendly")
    for entry in installed.iterdir():
        if entry.name.startswith(names):
            (site_packages / entry.name).symlink_to(entry)
    python = tmp_path / "venv" / "bin" / "python"
    missing = run(python, "-c", "import torch", check=False)
    assert "No module named 'torch'" in missing.stderr
    done = run(python, folder / "predict.py", new_people, "--output", "probabilities")
    found = [json.loads(line)["prediction"] for line in done.stdout.splitlines()]
    np.testing.assert_allclose(found, task.predict(str(new_people), "probabilities"), atol=1e-6)
