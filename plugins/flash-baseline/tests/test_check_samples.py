"""Checks of texts and images: what is planted is found, and what is not there is not."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread, imsave

from flash.baseline._images import shrink
from flash.baseline.checks import check_samples
from flash.baseline.results import Finding
from flash.data.tables import read_table
from flash.errors import DataError

WORDS = [
    "the",
    "a",
    "food",
    "room",
    "was",
    "very",
    "not",
    "too",
    "service",
    "place",
    "again",
    "would",
    "staff",
    "price",
]


def texts(number: int = 200, seed: int = 0, length: int = 12) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, length)) for _ in range(number)]


def labels(number: int = 200) -> list[str]:
    return [("neg", "pos")[place % 2] for place in range(number)]


def picture(seed: int, height: int = 60, width: int = 80) -> Any:
    """A smooth picture: a few random waves in three channels."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    channels = []
    for _ in range(3):
        waves = [np.sin(random.uniform(2, 12) * x + random.uniform(2, 12) * y + random.uniform(0, 6)) for _ in range(4)]
        channels.append(np.sum(waves, axis=0))
    pixels = np.stack(channels, axis=2)
    return (255 * (pixels - pixels.min()) / np.ptp(pixels)).astype(np.uint8)


def compressed(image: Any) -> Any:
    """The picture at two thirds of its size, as a JPEG of low quality."""
    small = np.rint(shrink(image, max(image.shape) * 2 // 3)).astype(np.uint8)
    file = io.BytesIO()
    imsave(file, small, format="jpg", pil_kwargs={"quality": 60})
    file.seek(0)
    return imread(file, format="jpg")


def check(samples: Any, classes: Any = None, **parts: Any) -> list[Finding]:
    return check_samples(
        {"train": samples, **{name: each for name, (each, _) in parts.items()}},
        {
            "train": labels(len(samples)) if classes is None else classes,
            **{name: of for name, (_, of) in parts.items()},
        },
    )


def only(findings: list[Finding], kind: str) -> Finding:
    assert [finding.kind for finding in findings] == [kind], [finding.sentence for finding in findings]
    return findings[0]


class TestTexts:
    @pytest.mark.parametrize("seed", range(3))
    def test_texts_without_defects_have_no_findings(self, seed: int) -> None:
        test = texts(60, seed=100 + seed)
        assert check(texts(seed=seed), test=(test, labels(60))) == []

    def test_real_texts(self, shared: Path) -> None:
        tables = {part: read_table(shared / "data" / "text" / f"imdb_{part}_5k.csv") for part in ("train", "test")}
        found = check_samples(
            {part: table["review"] for part, table in tables.items()},
            {part: table["sentiment"] for part, table in tables.items()},
        )
        # The reviews of this collection have a few copies.
        assert [(each.kind, each.level) for each in found] == [
            ("duplicates", "info"),
            ("duplicates", "info"),
            ("duplicates between parts", "info"),
        ]

    def test_duplicates(self) -> None:
        samples = texts()
        samples[190:] = samples[:10]
        finding = only(check(samples), "duplicates")
        assert finding.level == "warning"
        assert list(finding.rows) == [f"row {row}" for row in range(190, 200)]
        assert "10 of 200 train samples, such as row 190, which is like row 0" in finding.sentence

    def test_near_duplicates(self) -> None:
        samples = texts()
        samples[190:] = [f"{each.upper().replace(' ', '  ')}!!" for each in samples[:10]]
        finding = only(check(samples), "near duplicates")
        assert list(finding.rows) == [f"row {row}" for row in range(190, 200)]

    def test_duplicates_between_parts(self) -> None:
        samples = texts()
        finding = only(check(samples, test=(samples[:40], labels(40))), "duplicates between parts")
        assert "40 of 40" in finding.sentence

    def test_long_texts_that_begin_alike_are_no_duplicates(self) -> None:
        samples = texts(length=8)
        start = " ".join(WORDS * 60)
        samples[0], samples[1] = f"{start} {'x ' * 5}", f"{start} {'yy ' * 7}"
        assert check(samples) == []

    def test_contradictions(self) -> None:
        samples = texts()
        samples[1] = samples[0]
        findings = check(samples)
        assert [each.kind for each in findings] == ["contradictions", "duplicates"]
        assert "such as row 0 with 'neg', 'pos'" in findings[0].sentence

    def test_empty_texts(self) -> None:
        samples = texts()
        samples[3], samples[4], samples[5] = "", "  \n", "\t"
        finding = only(check(samples), "empty texts")
        assert list(finding.rows) == ["row 3", "row 4", "row 5"]

    def test_a_word_that_gives_the_class_away(self) -> None:
        marked = [f"{text} label: {label}" for text, label in zip(texts(), labels(), strict=True)]
        findings = check(marked)
        assert [each.kind for each in findings] == ["leak", "leak"]
        assert "'neg' is in nearly all texts of the class 'neg'" in findings[0].sentence

    def test_a_mark_of_punctuation_gives_it_away_too(self) -> None:
        marked = [f"{text} {'##' if label == 'pos' else ''}" for text, label in zip(texts(), labels(), strict=True)]
        assert "'##' is in nearly all texts of the class 'pos'" in only(check(marked), "leak").sentence

    def test_lengths_that_differ_by_class(self) -> None:
        samples = texts()
        samples[::2] = texts(100, seed=1, length=30)
        assert "Expected the length of a text to say little" in only(check(samples), "leak").sentence

    def test_rare_classes(self) -> None:
        classes = labels()
        classes[0] = "odd"
        assert "such as 'odd' with 1" in only(check(texts(), classes), "rare classes").sentence

    def test_one_class(self) -> None:
        finding = check(texts(), ["pos"] * 200)[0]
        assert (finding.kind, finding.level) == ("one class", "error")

    def test_few_samples(self) -> None:
        assert only(check(texts(20)), "few samples").level == "info"

    def test_numbers_and_several_labels_as_targets(self) -> None:
        assert check(texts(), np.random.default_rng(0).random(200)) == []
        assert check(texts(), [["a", "b"] if place % 2 else ["a"] for place in range(200)]) == []

    def test_many_texts_are_checked_in_seconds(self) -> None:
        samples = texts(50_000, length=100)
        start = time.process_time()
        assert check(samples) == []
        assert time.process_time() - start < 20  # 2 s; the limit is for slow machines


class TestImages:
    def pictures(self, number: int = 60, start: int = 0) -> list[Any]:
        return [picture(start + seed) for seed in range(number)]

    def test_images_without_defects_have_no_findings(self) -> None:
        assert check(self.pictures(), test=(self.pictures(40, 100), labels(40))) == []

    def test_duplicates(self) -> None:
        images = self.pictures()
        images[50:] = [image.copy() for image in images[:10]]
        assert list(only(check(images), "duplicates").rows) == [f"row {row}" for row in range(50, 60)]

    def test_pictures_that_are_smaller_and_compressed(self) -> None:
        images = self.pictures()
        finding = only(
            check(images, test=([compressed(each) for each in images], labels(60))), "near duplicates between parts"
        )
        found = re.search(r"(\d+) of 60", finding.sentence)
        assert found
        assert int(found[1]) >= 50

    def test_pictures_of_one_color_are_not_alike(self) -> None:
        images = [np.full((32, 32, 3), place, np.uint8) for place in range(60)]
        assert check(images) == []

    def test_sizes_that_differ_by_class(self) -> None:
        images = [picture(seed, width=80 if seed % 2 else 96) for seed in range(60)]
        finding = only(check(images), "leak")
        assert finding.level == "warning"
        assert "Expected the size of an image to say little about its class" in finding.sentence
        (finding,) = check_samples({"train": images}, {"train": labels(60)}, noun="recording")
        assert "Expected the size of the picture of a recording to say little" in finding.sentence

    def test_gray_pictures_of_one_class(self) -> None:
        images = [each if place % 2 else each[..., :1] for place, each in enumerate(self.pictures())]
        assert "whether an image is gray" in only(check(images), "leak").sentence

    def test_names_of_samples(self) -> None:
        images = self.pictures(40)
        images[39] = images[0]
        names = {"train": [f"{place}.jpg" for place in range(40)]}
        found = check_samples({"train": images}, {"train": labels(40)}, names=names)
        assert "such as '39.jpg', which is like '0.jpg'" in found[0].sentence


class TestFiles:
    @pytest.fixture
    def write(self, tmp_path: Path) -> Callable[..., list[Path]]:
        def write(number: int, same: int = 0, suffix: Callable[[int], str] = lambda _: ".bin") -> list[Path]:
            paths = []
            for place in range(number):
                path = tmp_path / f"{place}{suffix(place)}"
                path.write_bytes(np.random.default_rng(place if place >= same else 0).bytes(1000))
                paths.append(path)
            return paths

        return write

    def test_contents_are_compared(self, write: Callable[..., list[Path]]) -> None:
        paths = write(60, same=3)
        findings = check(paths, ["neg", "neg", "neg", *labels(57)])
        finding = only(findings, "duplicates")
        assert list(finding.rows) == [str(paths[1]), str(paths[2])]

    def test_formats_that_differ_by_class(self, write: Callable[..., list[Path]]) -> None:
        paths = write(60, suffix=lambda place: ".png" if place % 2 else ".jpg")
        assert "the extension of a file" in only(check(paths), "leak").sentence

    def test_missing_files_are_left_to_who_reads_them(self, tmp_path: Path) -> None:
        assert check([tmp_path / f"{place}.jpg" for place in range(60)]) == []


class TestErrors:
    def test_targets_of_other_samples(self) -> None:
        with pytest.raises(DataError, match="Expected one target per sample of train, but got 3 samples and 2 targets"):
            check(texts(3), ["a", "b"])

    def test_no_samples(self) -> None:
        with pytest.raises(DataError, match="Expected at least one sample, but got none"):
            check_samples({"train": []}, {"train": []})


def test_samples_without_a_label_are_checked_but_for_labels() -> None:
    texts = {"train": ["a red fox", "a red fox", *(f"text {row} of many" for row in range(40))]}
    found = check_samples(texts, {"train": [None] * 42})
    assert {each.kind for each in found} == {"duplicates"}
