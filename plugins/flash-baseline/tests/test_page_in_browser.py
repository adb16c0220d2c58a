"""The page in headless Chromium: nothing is asked for, nothing of the data runs, and it fits a phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from headless_chromium import Browser, launched

from flash.baseline.report import write_report
from flash.baseline.results import Results

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with launched(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(params=["classification", "multi-label", "regression", "images", "texts", "hostile", "many", "nothing"])
def page(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    make_results: Callable[..., Results],
    make_hostile: Callable[..., Results],
    nothing: Results,
) -> Path:
    """A page of each kind."""
    photo = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    made: dict[str, Callable[[], Results]] = {
        "images": lambda: make_results(shown=photo),
        "texts": lambda: make_results(shown="A text. " * 200),
        "hostile": make_hostile,
        "many": lambda: make_results(number=200, name="a-model-with-a-name-that-is-as-long-as-some-are-on-a-hub"),
        "nothing": lambda: nothing,
    }
    results = made.get(request.param, lambda: make_results(request.param))()
    write_report(tmp_path / "report.html", results)
    return tmp_path / "report.html"


@pytest.mark.parametrize("width", [1280, 375])
def test_a_page_asks_for_nothing_and_fits(browser: Browser, page: Path, width: int) -> None:
    browser.open(page, width)
    assert str(browser.evaluate("document.title")).startswith("Baseline: ")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.requests() == [page.as_uri()]
    assert browser.errors() == []


def test_the_policy_of_the_page_stops_what_would_be_added_to_it(
    browser: Browser, tmp_path: Path, nothing: Results
) -> None:
    path = tmp_path / "report.html"
    write_report(path, nothing)
    added = (
        "<script>document.title = 'ran'</script><img src='https://example.com/x.png' onerror=\"document.title='ran'\">"
    )
    path.write_text(path.read_text(encoding="utf-8").replace("<main>", f"<main>{added}"), encoding="utf-8")
    browser.open(path)
    assert str(browser.evaluate("document.title")).startswith("Baseline: ")
    assert len(browser.errors()) >= 2


def test_a_table_is_sorted_by_a_click(browser: Browser, tmp_path: Path, make_results: Callable[..., Results]) -> None:
    write_report(tmp_path / "report.html", make_results())
    browser.open(tmp_path / "report.html")
    script = """(() => {
        const table = document.querySelector("#importance table");
        const heads = [...table.querySelectorAll("thead button")];
        heads[1].click();
        const first = table.tBodies[0].rows[0].cells[0].textContent;
        heads[1].click();
        return [first, table.tBodies[0].rows[0].cells[0].textContent, heads[1].parentElement.getAttribute("aria-sort")];
    })()"""
    assert browser.evaluate(script) == ["city", "area", "descending"]


def test_commands_have_a_button_to_copy(browser: Browser, tmp_path: Path, make_results: Callable[..., Results]) -> None:
    write_report(tmp_path / "report.html", make_results())
    browser.open(tmp_path / "report.html")
    assert browser.evaluate("[...document.querySelectorAll('button.copy')].map(each => each.textContent)") == ["Copy"]
    browser.call("Browser.grantPermissions", session=None, permissions=["clipboardReadWrite"])
    browser.evaluate("document.querySelector('button.copy').click()")
    said = "new Promise(done => setTimeout(() => done(document.querySelector('button.copy').textContent), 200))"
    assert browser.evaluate(said) in ("Copied", "Selected")
