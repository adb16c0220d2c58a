"""The page: its numbers, what it says, and what data cannot do to it."""

from __future__ import annotations

import base64
import dataclasses
import itertools
import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from flash.baseline.leaderboard import write_leaderboard
from flash.baseline.report import write_report
from flash.baseline.results import Comparison, Entry, Results, Sample
from flash.errors import CheckpointError

VOID = {"meta", "img", "line", "circle", "rect", "polyline", "br"}


class Page(HTMLParser):
    """The elements of a page with their attributes and their text; fails on tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[int] = []
        self.feed(html)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        place = self._open.pop()
        assert self.elements[place][0] == tag, (self.elements[place], tag)

    def handle_data(self, data: str) -> None:
        for place in self._open:
            self.elements[place][2].append(data)

    def all(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [(attributes, "".join(text)) for name, attributes, text in self.elements if name == tag]

    def section(self, anchor: str) -> str:
        (text,) = [text for attributes, text in self.all("section") if attributes.get("id") == anchor]
        return re.sub(r"\s+", " ", text)

    def numbers(self) -> list[float]:
        return [float(str(attributes["value"])) for attributes, _ in self.all("data")]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Results], Page]:
    """Writes the page of results, and parses it."""

    def write(results: Results) -> Page:
        write_report(tmp_path / "report.html", results)
        return Page((tmp_path / "report.html").read_text(encoding="utf-8"))

    return write


def numbers_in(value: Any) -> Iterator[float]:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from numbers_in(each)
    elif isinstance(value, int | float):
        yield float(value)


KINDS = ["classification", "multi-label", "regression"]


class TestNumbers:
    @pytest.mark.parametrize("kind", KINDS)
    def test_all_are_those_of_results_json(
        self, kind: str, tmp_path: Path, make_results: Callable[..., Results], write: Callable[[Results], Page]
    ) -> None:
        results = make_results(kind)
        write_leaderboard(tmp_path, results)
        known = json.loads((tmp_path / "results.json").read_text())
        shown = write(results).numbers()
        # Besides those of the file, the page says how many classes there are.
        assert set(shown) <= {*numbers_in(known), float(len(results.labels))}
        for entry in results.entries:
            wanted = [*entry.scores.values(), *(entry.interval or ()), *(entry.test_interval or ())]
            assert set(wanted) <= set(shown)
        assert len(shown) > 40

    def test_numbers_that_are_rounded_say_the_same(
        self, make_results: Callable[..., Results], write: Callable[[Results], Page]
    ) -> None:
        for attributes, text in write(make_results()).all("data"):
            if re.fullmatch(r"-?[\d,.]+", text):
                digits = len(text.partition(".")[2])
                assert float(text.replace(",", "")) == pytest.approx(
                    float(str(attributes["value"])), abs=0.51 * 10**-digits
                )

    def test_details_are_those_of_scikit_learn(self, tmp_path: Path, make_results: Callable[..., Results]) -> None:
        results = make_results(number=4)
        write_leaderboard(tmp_path, results)
        found = json.loads((tmp_path / "results.json").read_text())["evaluation"]
        predicted = results.outputs.argmax(1)
        assert found["confusion"]["counts"] == confusion_matrix(results.targets, predicted).tolist()
        precision, recall, f1, count = precision_recall_fscore_support(results.targets, predicted)
        for place, row in enumerate(found["per_class"]):
            assert row["label"] == f"class {place}"
            assert [row["precision"], row["recall"], row["f1"], row["count"]] == pytest.approx(
                [precision[place], recall[place], f1[place], count[place]]
            )

    def test_calibration(self, tmp_path: Path, make_results: Callable[..., Results]) -> None:
        # Eight predictions of 0.75, six of them right; two of 0.95, one of them right.
        outputs = np.array([[0.75, 0.25]] * 8 + [[0.05, 0.95]] * 2)
        targets = np.array([0] * 6 + [1] * 2 + [1, 0])
        write_leaderboard(tmp_path, make_results(number=2, targets=targets, outputs=outputs))
        found = json.loads((tmp_path / "results.json").read_text())["evaluation"]["calibration"]
        assert [(each["count"], each["accuracy"]) for each in found["bins"]] == [(8, 0.75), (2, 0.5)]
        assert found["ece"] == pytest.approx(0.8 * 0 + 0.2 * 0.45)

    def test_residuals(self, tmp_path: Path, make_results: Callable[..., Results]) -> None:
        targets, outputs = np.zeros(101), np.arange(101.0)
        write_leaderboard(tmp_path, make_results("regression", targets=targets, outputs=outputs))
        (found,) = json.loads((tmp_path / "results.json").read_text())["evaluation"]["residuals"]
        assert found["target"] == "price"
        assert (found["mean"], found["largest"], found["quantiles"]["0.05"]) == (50, 100, 5)


class TestVerdict:
    def test_says_how_good_the_best_is_and_beside_what(
        self, make_results: Callable[..., Results], write: Callable[[Results], Page]
    ) -> None:
        results = make_results()
        said = write(results).section("verdict")
        value = results.entries[0].test_scores["accuracy"]
        assert f"The best model is the network “tabm”: accuracy {value:.3f} (95% interval " in said
        assert "on 60 test samples." in said
        assert "It is better than the trivial model “most frequent” by" in said
        assert "more than noise" in said
        assert "Look at this first: Expected no leak, but there is. Remove it." in said

    def test_says_what_is_within_noise(
        self, make_results: Callable[..., Results], write: Callable[[Results], Page]
    ) -> None:
        (comparison,) = make_results().comparisons

        def said(**changes: Any) -> str:
            return write(make_results(comparisons=[dataclasses.replace(comparison, **changes)])).section("verdict")

        assert (
            "It is ahead of the trivial model “most frequent” by 0.010 (95% interval -0.020 to 0.040), within noise."
            in said(difference=0.01, interval=(-0.02, 0.04))
        )
        assert (
            "It is behind the trivial model “most frequent” by 0.010 (95% interval -0.020 to 0.040), within noise."
            in said(difference=-0.01, interval=(-0.04, 0.02))
        )
        assert "It is worse than the trivial model “most frequent” by 0.100 (95% interval 0.050 to 0.150)" in said(
            difference=-0.1, interval=(-0.15, -0.05)
        )
        assert "There are too few samples to tell it from" in said(interval=None)
        assert (
            "It is level with the trivial model “most frequent” (95% interval of the difference -0.100 to 0.000)."
            in said(difference=0.0, interval=(-0.1, 1e-17))
        )

    def test_says_which_model_the_checkpoint_is_and_how_far_it_is_from_the_best(
        self, tmp_path: Path, make_results: Callable[..., Results], write: Callable[[Results], Page]
    ) -> None:
        results = make_results()
        assert "It is in best.ckpt." in write(results).section("verdict")
        first, other, failed = results.entries
        boosting = dataclasses.replace(first, name="boosting", kind="classical", history=())
        network = dataclasses.replace(other, name="tabm", kind="network", test_scores={"accuracy": 0.5})
        behind = Comparison("boosting", "tabm", "accuracy", 0.25, (-0.125, 0.5))
        results = dataclasses.replace(
            results, entries=[boosting, network, failed], best="boosting", comparisons=[behind]
        )
        page = write(results)
        said = page.section("verdict")
        assert "The best model is the classical model “boosting”: accuracy" in said
        low, high = network.test_interval or (0.0, 0.0)
        assert (
            "best.ckpt holds the network “tabm”, the best one that a checkpoint can hold: accuracy 0.500 (95% interval "
            f"{low:.3f} to {high:.3f}) on 60 test samples. It is behind the classical model “boosting” by 0.250 (95% "
            "interval -0.125 to 0.500), within noise."
        ) in said
        assert "It was compared with no other model." not in said
        write_leaderboard(tmp_path, results)
        assert json.loads((tmp_path / "results.json").read_text())["checkpoint"] == {
            "name": "tabm",
            "file": "best.ckpt",
            "metric": "accuracy",
            "part": "test",
            "score": 0.5,
            "interval": [low, high],
            "behind": 0.25,
            "behind_interval": [-0.125, 0.5],
        }
        (row,) = [text for attributes, text in page.all("tr") if attributes.get("class") == "best"]
        assert row.startswith("boosting")
        (row,) = [text for _, text in page.all("tr") if "best.ckpt" in text]
        assert row.startswith("tabm")
        # The curves of the loss are those of the network, and the errors are those of the best.
        assert "boosting on the test samples." in page.section("errors")

    @pytest.mark.parametrize(
        ("changes", "worry"),
        [
            ({"findings": []}, "60 test samples are few"),
            (
                {"counts": {"test": 500}, "outputs": np.array([[0.99, 0.01]] * 4), "targets": np.array([0, 0, 1, 1])},
                "its probabilities are too high, 0.99 on average where 0.50 of the predictions are right",
            ),
            (
                {
                    "counts": {"test": 500},
                    "outputs": np.array([[0.8, 0.2]] * 8 + [[0.2, 0.8]] * 2),
                    "targets": np.array([0] * 6 + [1] * 4),
                },
                "of the class “class 1”, it finds 50% only",
            ),
            (
                {"counts": {"test": 500}, "outputs": np.array([[0.8, 0.2]] * 8), "targets": np.array([0] * 8)},
                "The checks found nothing that makes these scores wrong.",
            ),
        ],
    )
    def test_says_what_to_look_at_first(
        self,
        changes: dict[str, Any],
        worry: str,
        make_results: Callable[..., Results],
        write: Callable[[Results], Page],
    ) -> None:
        assert worry in write(make_results(number=2, **{"findings": [], **changes})).section("verdict")


class TestMissingParts:
    def test_nothing_at_all(self, nothing: Results, write: Callable[[Results], Page]) -> None:
        page = write(nothing)
        assert "No model was evaluated." in page.section("verdict")
        assert "Nothing: no duplicates" in page.section("findings")
        assert "No model was trained, so there is nothing to compare." in page.section("leaderboard")
        assert "No model trained for more than one epoch." in page.section("curves")
        assert "No model was evaluated" in page.section("errors")
        assert "No model was evaluated" in page.section("mistakes")
        assert "There is no command" in page.section("commands")

    def test_only_failures(self, nothing: Results, write: Callable[[Results], Page]) -> None:
        failed = Entry("tabm", "A network.", "network", "failed", reason="Out of memory.")
        page = write(dataclasses.replace(nothing, entries=[failed]))
        assert "No model was evaluated. 1 of 1 models failed" in page.section("verdict")
        assert "Out of memory." in page.section("leaderboard")

    def test_no_network(self, make_results: Callable[..., Results], write: Callable[[Results], Page]) -> None:
        results = make_results()
        done = [dataclasses.replace(results.entries[0], kind="classical")]
        page = write(dataclasses.replace(results, entries=done, checkpoint=None))
        assert "The best model is the classical model “tabm”: accuracy" in page.section("verdict")
        assert "No network was evaluated, so there is no checkpoint." in page.section("verdict")
        assert "Confusion matrix" in page.section("errors")
        assert "best.ckpt" not in page.section("leaderboard")

    def test_curves_of_one_epoch_are_none(
        self, make_results: Callable[..., Results], write: Callable[[Results], Page]
    ) -> None:
        results = make_results()
        short = dataclasses.replace(results.entries[0], history=results.entries[0].history[:1])
        page = write(dataclasses.replace(results, entries=[short]))
        assert "No model trained for more than one epoch." in page.section("curves")

    def test_an_ensemble_is_called_one(
        self, make_results: Callable[..., Results], write: Callable[[Results], Page]
    ) -> None:
        results = make_results()
        page = write(dataclasses.replace(results, entries=[dataclasses.replace(results.entries[0], kind="ensemble")]))
        assert "The best model is the ensemble: accuracy" in page.section("verdict")

    def test_no_mistakes(self, make_results: Callable[..., Results], write: Callable[[Results], Page]) -> None:
        page = write(make_results(mistakes=[], suspicious=[]))
        assert "There are no mistakes to show." in page.section("mistakes")
        assert "No label stands out as wrong." in page.section("suspicious")

    def test_no_test_part(self, make_results: Callable[..., Results], write: Callable[[Results], Page]) -> None:
        results = make_results(part="val")
        entries = [dataclasses.replace(each, test_scores={}, test_interval=None) for each in results.entries]
        page = write(dataclasses.replace(results, entries=entries))
        assert "on 60 validation samples" in page.section("verdict")
        assert "accuracy, test" not in page.section("leaderboard")

    def test_one_class(self, make_results: Callable[..., Results], write: Callable[[Results], Page]) -> None:
        page = write(make_results(number=2, targets=np.zeros(9, int), outputs=np.full((9, 2), 0.5)))
        assert "Confusion matrix" in page.section("errors")

    def test_two_hundred_classes(self, make_results: Callable[..., Results], write: Callable[[Results], Page]) -> None:
        page = write(make_results(number=200))
        assert "The most frequent confusions of 200 classes" in page.section("errors")
        assert "180 more classes" in page.section("errors")
        assert "188 more classes" in page.section("data")

    def test_two_hundred_classes_without_errors(
        self, make_results: Callable[..., Results], write: Callable[[Results], Page]
    ) -> None:
        targets = np.arange(200)
        page = write(make_results(number=200, targets=targets, outputs=np.eye(200)))
        assert "No class is taken for another." in page.section("errors")

    def test_several_numbers(self, make_results: Callable[..., Results], write: Callable[[Results], Page]) -> None:
        targets = np.random.default_rng(0).normal(size=(30, 2))
        page = write(make_results("regression", targets=targets, outputs=targets + 1, labels=["price", "rent"]))
        assert "Predicted and true of price" in page.section("errors")
        assert "Residuals of rent" in page.section("errors")

    def test_numbers_that_are_all_one(
        self, make_results: Callable[..., Results], write: Callable[[Results], Page]
    ) -> None:
        page = write(make_results("regression", targets=np.ones(9), outputs=np.ones(9)))
        assert "Predicted and true" in page.section("errors")

    def test_scores_that_are_not_finite(
        self, make_results: Callable[..., Results], write: Callable[[Results], Page]
    ) -> None:
        results = make_results()
        bad = dataclasses.replace(
            results.entries[0],
            scores={"accuracy": float("nan")},
            interval=(float("nan"), float("inf")),
            history=[{"epoch": 0, "val_loss": float("nan")}],
        )
        assert write(dataclasses.replace(results, entries=[bad, *results.entries[1:]])).section("leaderboard")


class TestSamples:
    def test_rows_show_the_most_important_columns(
        self, make_results: Callable[..., Results], write: Callable[[Results], Page]
    ) -> None:
        row = {**{f"c{place}": place for place in range(20)}, "area": 50.5, "city": "Oslo"}
        said = write(make_results(shown=row)).section("mistakes")
        assert "8 of 22 columns, the most important ones" in said
        assert "area" in said
        assert "c19" not in said

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (38.0, "38"),
            (2024.0, "2024"),
            (500001.0, "500,001"),
            (31.3875, "31.39"),
            (0.00001234, "1.234e-05"),
            (True, "True"),
        ],
    )
    def test_numbers_of_rows(
        self, value: Any, shown: str, make_results: Callable[..., Results], write: Callable[[Results], Page]
    ) -> None:
        cells = [text for _, text in write(make_results(shown={"area": value})).all("td")]
        assert shown in cells

    def test_texts(self, make_results: Callable[..., Results], write: Callable[[Results], Page]) -> None:
        page = write(make_results(shown="It was  a\nfine <b>day</b>."))
        assert [text for _, text in page.all("blockquote")] == ["It was  a\nfine <b>day</b>."] * 2

    @pytest.mark.parametrize(
        "image",
        [
            np.zeros((300, 500, 3), np.uint8),
            np.zeros((8, 8), np.uint8),
            np.zeros((20, 20, 4), np.uint8),
            np.zeros((20, 20, 1), np.uint8),
            np.linspace(-3, 3, 400).reshape(20, 20),
            np.zeros((1, 900, 3), np.uint8),
        ],
    )
    def test_images_are_in_the_page(
        self, image: Any, make_results: Callable[..., Results], write: Callable[[Results], Page]
    ) -> None:
        images = [attributes for attributes, _ in write(make_results(shown=image)).all("img")]
        assert len(images) == 2
        kind, _, content = str(images[0]["src"]).partition(",")
        assert kind == "data:image/jpeg;base64"
        assert base64.b64decode(content).startswith(b"\xff\xd8")
        assert images[0]["alt"] == "Sample 17, labeled class 0"

    def test_many_photos_make_no_huge_page(self, tmp_path: Path, make_results: Callable[..., Results]) -> None:
        photo = np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)
        samples = [Sample(place, photo, "a", "b", 1.0, 0.5) for place in range(24)]
        write_report(tmp_path / "report.html", make_results(mistakes=samples))
        assert (tmp_path / "report.html").stat().st_size < 1_500_000


class TestSafety:
    @pytest.mark.parametrize("kind", KINDS)
    def test_hostile_data_makes_no_element(
        self, kind: str, make_hostile: Callable[..., Results], write: Callable[[Results], Page]
    ) -> None:
        page = write(make_hostile(kind))
        assert len(page.all("script")) == 1
        assert len(page.all("style")) == 1
        assert not page.all("img")
        assert not [name for _, attributes, _ in page.elements for name in attributes if name.startswith("on")]
        links = {str(attributes["href"])[0] for attributes, _ in page.all("a")}
        assert links == {"#"}

    def test_nothing_is_asked_for(self, make_results: Callable[..., Results], write: Callable[[Results], Page]) -> None:
        page = write(make_results(shown=np.zeros((8, 8, 3), np.uint8)))
        sources = [
            value for _, attributes, _ in page.elements for name, value in attributes.items() if name in ("src", "href")
        ]
        assert all(str(value).startswith(("#", "data:")) for value in sources)
        assert "@import" not in page.html
        assert "url(" not in page.html
        (policy,) = [each["content"] for each, _ in page.all("meta") if each.get("http-equiv")]
        assert str(policy).startswith(
            "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-"
        )

    def test_long_texts_are_cut(self, make_results: Callable[..., Results], write: Callable[[Results], Page]) -> None:
        page = write(make_results(shown="a" * 10_000))
        assert "… (9,500 more characters)" in page.section("mistakes")
        assert "a" * 600 not in page.html

    def test_characters_that_turn_the_direction_are_not_in_it(
        self, make_hostile: Callable[..., Results], write: Callable[[Results], Page]
    ) -> None:
        page = write(make_hostile())
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", page.html)
        assert "עברית عربى" in page.section("data")


class TestAccessibility:
    @pytest.mark.parametrize("kind", KINDS)
    def test_names_headings_and_scopes(
        self, kind: str, make_results: Callable[..., Results], write: Callable[[Results], Page]
    ) -> None:
        page = write(make_results(kind))
        assert page.all("html")[0][0]["lang"] == "en"
        assert len(page.all("h1")) == 1
        levels = [int(tag[1]) for tag, _, _ in page.elements if re.fullmatch("h[1-6]", tag)]
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
        assert all(attributes.get("scope") in ("col", "row") for attributes, _ in page.all("th"))
        charts = [attributes for attributes, _ in page.all("svg")]
        assert charts
        assert all(each["role"] == "img" and each["aria-label"] for each in charts)
        anchors = {attributes["id"] for attributes, _ in page.all("section")}
        assert {str(attributes["href"])[1:] for attributes, _ in page.all("a")} <= anchors

    def test_text_is_readable_on_its_background(self, nothing: Results, write: Callable[[Results], Page]) -> None:
        style = write(nothing).all("style")[0][1]
        for scheme in re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]:
            color = dict(re.findall(r"--([\w-]+): (#\w+)", scheme))

            def light(name: str, color: dict[str, str] = color) -> float:
                parts = [int(color[name][place : place + 2], 16) / 255 for place in (1, 3, 5)]
                linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
                return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

            for text, ground in (
                *(("ink", "card"), ("soft", "card"), ("soft", "paper"), ("soft", "faint"), ("brand", "card")),
                *(
                    ("good", "good-soft"),
                    ("warn", "warn-soft"),
                    ("bad", "bad-soft"),
                    ("bad", "faint"),
                    ("good", "faint"),
                ),
            ):
                dark, bright = sorted([light(text), light(ground)])
                assert (bright + 0.05) / (dark + 0.05) >= 4.5, (text, ground)  # WCAG 2.1, level AA


def test_a_folder_that_is_a_file(tmp_path: Path, nothing: Results) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="The report .* could not be written: .* -o FOLDER"):
        write_report(tmp_path / "file" / "report.html", nothing)
