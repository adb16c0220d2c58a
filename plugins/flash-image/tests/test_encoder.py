"""The encoder of exported folders makes the pixels that the preprocess makes, of every kind of file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from flash.data.auto_dataset import AutoDataset
from flash.data.delimited import parse_delimited
from flash.data.stage import Stage
from flash.errors import DataError
from flash.image import BadImageError, ImageClassificationData
from flash.image.config import ImageInputSpec
from flash.image.encoder import batches, best_classes, encode_samples, results, run
from flash.image.preprocess import ImagePreprocess

CONFIG = {
    "input_size": (3, 32, 32),
    "mean": (0.5,) * 3,
    "std": (0.25,) * 3,
    "interpolation": "bicubic",
    "crop_pct": 0.9,
}


class Reader:
    def read_table(self, path: str) -> dict[str, list[str | None]]:
        return parse_delimited(Path(path).read_text(), path)


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> Image.Image:
    shape = (height, width) if channels == 1 else (height, width, channels)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Files of every kind, in folders."""
    folder = tmp_path / "photos"
    (folder / "inside" / "deeper").mkdir(parents=True)
    noise(60, 90).save(folder / "wide.png")
    noise(500, 300).save(folder / "tall.jpg", quality=90)
    noise(900, 1200).save(folder / "LARGE.JPG")
    noise(20, 24).save(folder / "inside" / "small.webp", lossless=True)
    noise(50, 60, 1).save(folder / "inside" / "gray.png")
    noise(50, 60, 2).save(folder / "inside" / "gray_alpha.png")
    noise(50, 60, 4).save(folder / "inside" / "deeper" / "alpha.png")
    noise(50, 60).convert("P").save(folder / "palette.png")
    noise(50, 60).convert("P").save(folder / "clear.png", transparency=3)
    noise(50, 60).convert("CMYK").save(folder / "print.jpg")
    noise(50, 60).convert("1").save(folder / "bits.tiff")
    sixteen = np.random.default_rng(0).integers(0, 65536, (40, 50), dtype=np.uint16)
    Image.fromarray(sixteen).save(folder / "deep.png")
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        noise(48, 80).save(folder / f"turned{orientation}.jpg", exif=exif)
    (folder / "notes.txt").write_text("no image")
    noise(40, 40).save(folder / ".hidden.png")
    return folder


@pytest.fixture
def both(photos: Path) -> Callable[..., tuple[Any, Any]]:
    """Encodes all photos in the two ways, for a data config: pixels by path."""

    def encode(**changed: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        preprocess, spec = ImagePreprocess(), ImageInputSpec.of({**CONFIG, **changed})
        dataset = AutoDataset(str(photos), Stage.PREDICT, preprocess, spec)
        settings = preprocess.stage_hooks(Stage.PREDICT, spec).portable().settings
        expected = {str(dataset.id_of(row)): dataset[row].numpy() for row in range(len(dataset))}
        found: dict[str, Any] = {}
        for ids, inputs in batches(str(photos), settings, Reader(), 3):
            assert 1 <= len(ids) <= 3
            found |= dict(zip(ids, inputs["input"], strict=True))
        return found, expected

    return encode


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"interpolation": "bilinear", "crop_pct": 1.0},
        {"interpolation": "nearest"},
        {"crop_mode": "squash", "crop_pct": 0.875},
        {"input_size": (3, 24, 40), "crop_mode": "squash"},
        {"input_size": (1, 32, 32), "mean": (0.5,), "std": (0.25,)},
    ],
)
def test_pixels_are_those_of_the_preprocess(both: Callable[..., tuple[Any, Any]], changed: dict[str, Any]) -> None:
    found, expected = both(**changed)
    assert list(found) == list(expected)
    assert len(found) == 20
    for name, pixels in expected.items():
        assert found[name].dtype == np.uint8
        np.testing.assert_array_equal(found[name], pixels, err_msg=name)


def test_uploads_have_the_pixels_of_their_files(photos: Path) -> None:
    settings = ImagePreprocess().stage_hooks(Stage.PREDICT, ImageInputSpec.of(CONFIG)).portable().settings
    for names, inputs in batches(str(photos), settings, Reader(), 4):
        uploaded = encode_samples([Path(name).read_bytes() for name in names], settings, None)
        np.testing.assert_array_equal(uploaded["input"], inputs["input"])
    with pytest.raises(BadImageError, match="Expected an image, but image 1 of the predict data is of no format"):
        encode_samples([(photos / "wide.png").read_bytes(), b"no image"], settings, None)


def test_a_detector_gets_each_image_in_its_size(photos: Path) -> None:
    settings = {"score_threshold": 0.25, "extensions": (".jpg", ".png"), "tables": (".csv",)}
    found = {ids[0]: inputs for ids, inputs in batches(str(photos), settings, Reader(), 4)}
    wide = found[str(photos / "wide.png")]
    assert wide["image"].shape == (1, 3, 60, 90)
    np.testing.assert_array_equal(wide["image"][0].transpose(1, 2, 0), np.asarray(Image.open(photos / "wide.png")))
    assert wide["score_threshold"].tolist() == [0.25]
    uploaded = encode_samples([(photos / "wide.png").read_bytes()], settings, None)
    assert uploaded.keys() == wide.keys()
    assert all(np.array_equal(uploaded[name], wide[name]) for name in wide)


def test_boxes_are_those_above_the_threshold_best_first() -> None:
    outputs = {
        "boxes": np.array([[0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 3, 3]], dtype=np.float32),
        "labels": np.array([1, 2, 1]),
        "scores": np.array([0.5, 0.75, 0.25], dtype=np.float32),
    }
    result = {"kind": "boxes", "labels": ["ant", "bee"], "threshold": 0.5}
    found = run({"model": lambda inputs: outputs}, {}, result)
    box = {"boxes": [[0, 0, 2, 2], [0, 0, 1, 1]], "labels": ["bee", "ant"], "scores": [0.75, 0.5]}
    assert results(found, result) == [box]
    assert results(found, {**result, "labels": None})[0]["labels"] == [1, 0]
    vectors = {"vectors": np.zeros((2, 3))}
    assert run({"model": lambda inputs: vectors}, {}, {"kind": "vectors"}) is vectors


def test_a_table_has_the_paths(photos: Path, tmp_path: Path) -> None:
    names = ["photos/wide.png", "photos/tall.jpg", "photos/inside/gray.png"] * 2
    (tmp_path / "train.csv").write_text("file,y\n" + "".join(f"{n},{'ab'[i % 2]}\n" for i, n in enumerate(names)))
    data = ImageClassificationData.from_csv("file", "y", train_file=tmp_path / "train.csv", image_size=16)
    preprocess: Any = data.preprocess
    spec = ImageInputSpec.of(CONFIG)
    settings = preprocess.stage_hooks(Stage.PREDICT, spec).portable().settings
    (tmp_path / "new.csv").write_text("file\nphotos/tall.jpg\nphotos/wide.png\n")
    ((_, inputs),) = batches(str(tmp_path / "new.csv"), settings, Reader(), 9)
    dataset = AutoDataset(str(tmp_path / "new.csv"), Stage.PREDICT, preprocess, spec)
    assert torch.equal(torch.from_numpy(inputs["input"]), torch.stack([dataset[0], dataset[1]]))
    (tmp_path / "other.csv").write_text("path\nphotos/tall.jpg\n")
    with pytest.raises(DataError, match=r"Expected a column 'file' of paths in .*other.csv, but it has 'path'."):
        next(batches(str(tmp_path / "other.csv"), settings, Reader(), 9))


def test_what_cannot_be_decoded_is_an_error_in_words(tmp_path: Path) -> None:
    settings = ImagePreprocess().stage_hooks(Stage.PREDICT, ImageInputSpec.of(CONFIG)).portable().settings
    with pytest.raises(DataError, match=r"Expected images in .*, but it holds none."):
        next(batches(str(tmp_path), settings, Reader(), 4))
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(BadImageError, match=r"bad.png is of no format that can be read"):
        next(batches(str(tmp_path / "bad.png"), settings, Reader(), 4))
    with pytest.raises(DataError, match="but there is no such file"):
        next(batches(str(tmp_path / "none.png"), settings, Reader(), 4))


def test_what_is_not_portable_says_why() -> None:
    spec = ImageInputSpec.of(CONFIG)
    border = ImageInputSpec.of({**CONFIG, "crop_mode": "border"})
    found = ImagePreprocess().stage_hooks(Stage.PREDICT, border).portable()
    assert found.reason == "images of (35, 35) pixels are cropped by timm (border)"
    assert found.inputs is not None
    own = ImagePreprocess(transform=torch.Tensor).stage_hooks(Stage.PREDICT, spec).portable()
    assert own.inputs is None
    assert own.reason.startswith("images are made by the transform")


@pytest.mark.parametrize("size", [(7, 5), (40, 33), (9, 100), (3, 2)])
@pytest.mark.parametrize("at_once", [1, 1 << 24])
def test_masks_of_scores_are_those_of_torch(
    size: tuple[int, int], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flash.image.encoder._VALUES_AT_ONCE", at_once)
    scores = torch.randn(4, 9, 7, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.interpolate(scores[None], size, mode="bilinear", align_corners=False)[0].argmax(0)
    np.testing.assert_array_equal(best_classes(scores.numpy(), size), expected.numpy())
