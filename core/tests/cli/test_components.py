from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from flash.plugins import CallbackSpec, DataSource, Exporter, Head, Optimizer, Output, Recipe, hookimpl
from flash.plugins.components import Component


class Zoo:
    """Something of several kinds."""

    @hookimpl
    def flash_components(self) -> Iterator[Component]:
        yield Optimizer("lion", "acme.zoo:Lion", summary="Sign momentum.")
        yield Output("top3", "acme.zoo:top3", "audio/*", "The three most probable classes.")
        yield Output("top3", "acme.zoo:top3", "text/*", "The three most probable classes of texts.")
        yield Head("cosine", "acme.zoo:Cosine", "audio/classification", "Cosine similarity.")

    @hookimpl
    def flash_data_sources(self) -> Iterator[DataSource]:
        yield DataSource("zip", data="audio/classification", factory="acme.zoo:zip", summary="A zip file.")

    @hookimpl
    def flash_recipes(self) -> Iterator[Recipe]:
        yield Recipe("tiny", "acme.zoo:tiny", "audio/*", "A small network.")

    @hookimpl
    def flash_exporters(self) -> Iterator[Exporter]:
        yield Exporter("coreml", "acme.zoo:coreml", summary="For phones.")

    @hookimpl
    def flash_callbacks(self) -> Iterator[CallbackSpec]:
        yield CallbackSpec("carbon", factory="acme.zoo:Carbon", summary="Counts.", automatic=True)


@pytest.fixture
def zoo(flash: Any) -> Any:
    return lambda *arguments: flash("components", *arguments, plugins=[("zoo", Zoo())])


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("optimizers", "lion * acme-zoo 1.2 Sign momentum."),
        ("optimizers", "AdamW * flash-core"),
        ("schedulers", "cosine * flash-core"),
        ("metrics", "f1 */classification flash-core"),
        ("losses", "cross_entropy */classification flash-core"),
        ("outputs", "top3 audio/* acme-zoo 1.2 The three most probable classes."),
        ("heads", "cosine audio/classification acme-zoo 1.2"),
        ("recipes", "tiny audio/* acme-zoo 1.2 A small network."),
        ("exporters", "coreml * acme-zoo 1.2 For phones."),
        ("sources", "zip audio/classification acme-zoo 1.2 A zip file."),
        ("callbacks", "carbon * acme-zoo 1.2 Counts."),
    ],
)
def test_each_kind_is_listed_with_scope_and_origin(zoo: Any, kind: str, row: str) -> None:
    result = zoo(kind)
    assert result.code == 0
    assert any(" ".join(line.split()).startswith(row) for line in result.out.splitlines())


def test_without_a_kind_all_are_listed(zoo: Any) -> None:
    out = zoo().out
    assert all(f"{kind} " in out for kind in ("OUTPUTS", "OPTIMIZERS", "SCHEDULERS", "METRICS", "LOSSES", "CALLBACKS"))


def test_a_task_selects_what_it_has(zoo: Any) -> None:
    out = zoo("outputs", "--task", "audio/classification").out
    assert "audio/*" in out
    assert "labels" in out
    assert "text/*" not in out
    assert "values" not in out


def test_a_pattern_selects_names(zoo: Any) -> None:
    out = zoo("optimizers", "--filter", "l*").out
    assert "lion" in out
    assert "AdamW" not in out


def test_json_has_kind_scope_and_provider(zoo: Any) -> None:
    (lion,) = json.loads(zoo("optimizers", "--filter", "lion", "--json").out)
    assert lion == {
        "kind": "optimizer",
        "name": "lion",
        "scope": "*",
        "summary": "Sign momentum.",
        "provider": {"plugin": "zoo", "dist": "acme-zoo", "version": "1.2"},
    }


def test_a_kind_without_anything_says_so(zoo: Any) -> None:
    assert zoo("augmentations").out == "There are no augmentations here.\n"


def test_an_unknown_kind_lists_the_kinds(zoo: Any) -> None:
    result = zoo("metric")
    assert result.code == 2
    assert "choose from" in result.err
