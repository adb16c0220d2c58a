"""The page in headless Chromium: a form from what the task learned, a real click, and the answer of the service."""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from headless_chromium import Browser, launched
from small_domains import Recordings, Rows, Words, on_loopback, task_of

import flash
from flash.data.requests import RequestField, RequestFields
from flash.serve import make_app

pytestmark = pytest.mark.process

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8ffff3f0005fe02fe0def46b8"
    "0000000049454e44ae426082"
)


class Photos(flash.Preprocess):
    """A domain of images, whose network finds an object in each."""

    def request_fields(self) -> RequestFields:
        return RequestFields("image", extensions=(".png",))

    def load_sample(self, sample: Any, dataset: Any) -> Any:
        return torch.tensor([float(len(sample)), 0.0])


class Sounds(flash.Preprocess):
    """A domain of recordings, whose network gets the number of their bytes."""

    def request_fields(self) -> RequestFields:
        return RequestFields("audio", extensions=(".wav",))

    def load_sample(self, sample: Any, dataset: Any) -> Any:
        return torch.tensor([float(len(sample)), 0.0])


class Boxes(flash.Postprocess):
    def uncollate(self, batch: Any) -> list[Any]:
        return [{"boxes": [[0.1, 0.2, 0.8, 0.9]], "labels": ["<b>cat</b>"], "scores": [0.75]} for _ in batch]


class Shapes(flash.Postprocess):
    def uncollate(self, batch: Any) -> list[Any]:
        # The mask has ones in its second column of two rows.
        mask = {"size": [2, 2], "counts": "22"}
        found = {"boxes": [[0, 0, 1, 1]], "labels": ["cat"], "scores": [0.75]}
        return [{**found, "masks": [mask], "keypoints": [[[0.25, 0.5], [0.75, 0.1]]]} for _ in batch]


class Map(flash.Postprocess):
    def uncollate(self, batch: Any) -> list[Any]:
        return [np.array([[2, 0, 0], [0, 0, 1]], np.uint8) for _ in batch]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with launched(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


Open = Callable[..., str]


@pytest.fixture
def show(browser: Browser) -> Iterator[Open]:
    """Opens the page of the service of a task, and returns its address."""
    opened = []

    def show_one(task: flash.Task, width: int = 1280) -> str:
        opened.append(on_loopback(make_app(task)))
        address = f"http://127.0.0.1:{opened[-1].__enter__()}/"
        browser.open(address, width)
        browser.await_true("document.body.dataset.ready === 'yes'")
        return address

    yield show_one
    for each in opened:
        each.__exit__(None, None, None)


def submit(browser: Browser) -> None:
    browser.click("#submit")
    browser.await_true("!document.querySelector('#result').hidden || !document.querySelector('#error').hidden")


def text(browser: Browser, selector: str) -> str:
    return str(browser.evaluate(f"document.querySelector({selector!r}).innerText"))


@pytest.mark.parametrize("width", [1280, 375])
def test_a_row_is_filled_in_and_predicted(browser: Browser, show: Open, rows: flash.Task, width: int) -> None:
    address = show(rows, width)
    assert text(browser, "h1") == "ClassificationTask"
    assert browser.evaluate("[...document.querySelector('select').options].map(each => each.text)") == [
        "Oslo",
        "Rome",
        "(not known)",
    ]
    assert browser.evaluate("document.querySelector('input[name=age]').value") == "40"
    assert "wait in seconds, may be empty" in text(browser, "#fields")
    browser.evaluate("document.querySelector('input[name=wait]').value = '90.5'")
    submit(browser)
    expected = rows.predict([{"age": 40, "city": "Oslo"}], "probabilities")[0]
    assert text(browser, "#prediction") == "long"
    assert text(browser, "#probabilities").split() == ["long", f"{100 * expected[0]:.1f}", "%", "old", "0.0", "%"]
    shares = browser.evaluate("[...document.querySelectorAll('progress')].map(each => each.value)")
    assert shares == pytest.approx(expected)
    assert "-H 'Content-Type: application/json'" in text(browser, "#curl")
    assert '{"rows":[{"age":40,"city":"Oslo","day":null,"note":null,"wait":90.5}]}' in text(browser, "#curl")
    assert '"day": None' in text(browser, "#python")
    compile(text(browser, "#python"), "the page", "exec")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert {each.removeprefix(address) for each in browser.requests()} == {"", "v1/task", "v1/predict"}
    assert browser.errors() == []


class OddRows(Rows):
    """A domain of rows with a column without a name, and with categories that are empty."""

    def request_fields(self) -> RequestFields:
        fields = [RequestField("", "number", typical=2), RequestField("__proto__", "category", ("", " ", "k"))]
        return RequestFields("table", [*Rows.request_fields(self).fields, *fields])

    def load_sample(self, sample: Any, dataset: Any) -> Any:
        return torch.tensor([float(sample[""]), -1.0 if sample["__proto__"] is None else len(sample["__proto__"])])


def test_columns_without_a_name_and_empty_categories_are_sent(browser: Browser, show: Open) -> None:
    show(task_of(OddRows()))
    assert "(no name)" in text(browser, "#fields")
    found = []
    for place in range(4):
        browser.evaluate(f"document.querySelector('select[name=__proto__]').selectedIndex = {place}")
        submit(browser)
        browser.await_true("!document.querySelector('#submit').disabled")
        found.append(text(browser, "#prediction") or text(browser, "#error"))
    assert found == ["2, 0", "2, 1", "2, 1", "2, -1"]


def test_what_is_wrong_is_said_on_the_page(browser: Browser, show: Open) -> None:
    show(task_of(Rows(), ["<img src=x>", "b"]))
    browser.evaluate("document.querySelector('input[name=day]').value = '<img src=x onerror=\"document.title=1\">'")
    submit(browser)
    assert text(browser, "#error").startswith("rows[0].day: Expected a date such as 2024-12-31")
    assert browser.evaluate("document.querySelector('#result').hidden")
    browser.evaluate("document.querySelector('input[name=day]').value = ''")
    submit(browser)
    assert text(browser, "#prediction") == "<img src=x>"
    assert browser.evaluate("document.querySelectorAll('#result table img, #prediction img').length") == 0
    assert browser.evaluate("document.title") == "ClassificationTask"


def test_a_text_is_typed_and_predicted(browser: Browser, show: Open) -> None:
    show(task_of(Words()))
    browser.click("textarea")
    browser.call("Input.insertText", text="It's /etc/passwd")
    submit(browser)
    assert text(browser, "#prediction") == "16, 1"
    assert "'\\''s /etc/passwd" in text(browser, "#curl")


def send_file(browser: Browser, path: Path) -> None:
    root = browser.call("DOM.getDocument")["root"]["nodeId"]
    node = browser.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    browser.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])
    browser.await_true("!document.querySelector('#submit').disabled")
    submit(browser)


def send_photo(
    browser: Browser, show: Open, folder: Path, postprocess: flash.Postprocess, drawn: str, width: int = 1280
) -> None:
    """Send a photo to a task whose results a postprocess makes, and wait until a shape of a kind is drawn."""
    task = task_of(Photos())
    task.postprocess = postprocess
    show(task, width)
    (folder / "cat.png").write_bytes(PNG)
    send_file(browser, folder / "cat.png")
    browser.await_true(f"document.querySelector('#boxes {drawn}')")


@pytest.mark.parametrize("width", [1280, 375])
def test_boxes_are_drawn_on_a_photo(browser: Browser, show: Open, tmp_path: Path, width: int) -> None:
    send_photo(browser, show, tmp_path, Boxes(), "rect", width)
    assert text(browser, "#prediction") == "1 object"
    assert text(browser, "#probabilities").split("\t")[0].strip() == "<b>cat</b>"
    box = "['x', 'y', 'width', 'height'].map(name => Number(document.querySelector('#boxes rect').getAttribute(name)))"
    assert browser.evaluate(box) == pytest.approx([0.1, 0.2, 0.7, 0.7])
    assert browser.evaluate("document.querySelector('#boxes').getAttribute('viewBox')") == "0 0 1 1"
    assert "-F 'images=@cat.png'" in text(browser, "#curl")
    compile(text(browser, "#python"), "the page", "exec")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.errors() == []


def test_masks_and_points_are_drawn_on_a_photo(browser: Browser, show: Open, tmp_path: Path) -> None:
    send_photo(browser, show, tmp_path, Shapes(), "circle")
    assert browser.evaluate("[...document.querySelector('#boxes').children].map(each => each.tagName)") == [
        *("path", "rect", "text", "circle", "circle")
    ]
    assert browser.evaluate("document.querySelector('#boxes path').getAttribute('d')") == "M1 0h1v2h-1z"
    middles = (
        "[...document.querySelectorAll('#boxes circle')].map(each => [each.cx, each.cy].map(at => at.baseVal.value))"
    )
    assert np.array(browser.evaluate(middles)) == pytest.approx(np.array([[0.25, 0.5], [0.75, 0.1]]))
    # An ellipse and a part of a bar in 60 x 9 pixels, as pycocotools writes them.
    lengths = [51, 9, 13, 35, 3, 9, 6, 49, 8, 55, 4, 57, 4, 55, 8, 49, 18, 35, 72]
    assert browser.evaluate("runLengths('c19=j0FVO3X126L20N4J:Bf1')") == lengths
    # The second run begins in the last row of the first column.
    assert browser.evaluate("pathOf({size: [2, 2], counts: '12'})") == "M0 1h1v1h-1zM1 0h1v1h-1z"
    assert browser.errors() == []


def test_a_class_for_each_pixel_is_drawn_on_a_photo(browser: Browser, show: Open, tmp_path: Path) -> None:
    send_photo(browser, show, tmp_path, Map(), "path")
    paths = "[...document.querySelectorAll('#boxes path')].map(each => [each.dataset.class, each.getAttribute('d')])"
    assert dict(browser.evaluate(paths)) == {
        "2": "M0 0h1v1h-1z",
        "0": "M1 0h2v1h-2zM0 1h2v1h-2z",
        "1": "M2 1h1v1h-1z",
    }
    fills = "[...document.querySelectorAll('#boxes path')].map(each => getComputedStyle(each).fill)"
    assert len(set(browser.evaluate(fills))) == 3
    assert text(browser, "#prediction") == "0, 2, 1"
    assert "66.7 %" in text(browser, "#probabilities")
    assert browser.errors() == []


def test_a_file_is_sent(browser: Browser, show: Open, tmp_path: Path) -> None:
    show(task_of(Recordings()))
    (tmp_path / "a.wav").write_bytes(b"12345")
    send_file(browser, tmp_path / "a.wav")
    assert text(browser, "#prediction") == "5, 4"


def test_a_recording_is_dropped_played_and_predicted(browser: Browser, show: Open, tmp_path: Path) -> None:
    show(task_of(Sounds()))
    assert text(browser, "#chosen") == "Drop a recording here, or choose one."
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 4000, "NONE", ""))
        file.writeframes(bytes(8000))
    for _ in range(2):
        send_file(browser, tmp_path / "a.wav")
        assert text(browser, "#prediction") == "8044, 0"
    browser.await_true("document.querySelector('#drop audio').readyState > 0")
    assert browser.evaluate("document.querySelector('#drop audio').duration") == pytest.approx(0.5)
    assert browser.evaluate("document.querySelectorAll('#drop audio').length") == 1
    assert "-F 'recordings=@a.wav'" in text(browser, "#curl")
    assert browser.errors() == []


def test_numbers_are_typed(browser: Browser, show: Open) -> None:
    show(task_of(None))
    browser.click("textarea")
    browser.call("Input.insertText", text="[1, ")
    submit(browser)
    assert text(browser, "#error") == "Expected numbers as JSON, such as [0.5, 1, 2]."
    browser.call("Input.insertText", text="2.5]")
    browser.evaluate("document.querySelector('#error').hidden = true")
    submit(browser)
    assert text(browser, "#prediction") == "1, 2.5"


def test_the_policy_of_the_page_stops_what_would_be_added_to_it(browser: Browser, show: Open, rows: flash.Task) -> None:
    show(rows)
    browser.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=\"https://example.com/x.png\" onerror=\"document.title"
        ' = 1"><p style="color: red">x</p>\')'
    )
    browser.await_true("document.querySelector('img[src^=https]').complete")
    assert browser.evaluate("document.title") == "ClassificationTask"
    refused = [str(each) for each in browser.errors() if "Content Security Policy" in str(each)]
    assert len([each for each in refused if "example.com" in each]) == 1
    assert len(refused) >= 3


def test_copying_says_so(browser: Browser, show: Open, rows: flash.Task) -> None:
    show(rows)
    submit(browser)
    browser.call("Browser.grantPermissions", session=None, permissions=["clipboardReadWrite"])
    browser.click("[data-copy=curl]")
    browser.await_true("['Copied', 'Selected'].includes(document.querySelector('[data-copy=curl]').textContent)")
