"""``flash backbones``: counted by domain, listed, filtered and described."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from flash.plugins import Backbone, BackboneCatalogue, hookimpl


def test_backbones_without_domain_are_counted_by_domain(flash: Any) -> None:
    lines = flash("backbones").out.splitlines()
    assert lines[0].split() == ["DOMAIN", "BACKBONES", "FROM", "SUCH", "AS"]
    assert lines[1].split()[:4] == ["audio", "11", "acme-audio", "1.2"]
    assert lines[2].split(maxsplit=4) == ["birds", "0", "acme-audio", "1.2", "any other name"]


def test_backbones_of_a_domain_are_a_table_and_the_catalogues(flash: Any) -> None:
    out = flash("backbones", "audio").out
    assert "AUDIO BACKBONE  PRETRAINED  FROM            SUMMARY\nwav_cnn         yes " in out
    assert "AUDIO CATALOGUE zoo, from acme-audio 1.2: 10 names.\nBig.\n" in out
    assert out.endswith("  0  1  2  3  4  5  6  7  8  9\n")


def test_an_open_catalogue_says_so(flash: Any) -> None:
    result = flash("backbones", "birds")
    assert result.code == 0
    assert result.out == (
        "BIRDS CATALOGUE hub, from acme-audio 1.2: 0 names, and it accepts names that it does not list.\n"
    )


def test_backbones_are_filtered_in_all_domains(flash: Any) -> None:
    out = flash("backbones", "--filter", "WAV*").out
    assert [line.split()[0] for line in out.splitlines()] == ["AUDIO", "wav_cnn"]


def test_backbones_as_json_are_one_list(flash: Any) -> None:
    backbones = json.loads(flash("backbones", "audio", "--json", "--filter", "*cnn").out)
    assert backbones == [
        {
            "name": "wav_cnn",
            "summary": "A small CNN.",
            "domain": "audio",
            "pretrained": True,
            "source": None,
            "license": None,
            "sha256": None,
            "provider": {"plugin": "audio", "dist": "acme-audio", "version": "1.2"},
        }
    ]


def test_a_backbone_is_described(flash: Any) -> None:
    assert flash("backbones", "--describe", "wav_cnn").out.splitlines() == [
        "name        wav_cnn",
        "summary     A small CNN.",
        "from        acme-audio 1.2",
        "domain      audio",
        "pretrained  yes",
    ]


def test_a_backbone_is_described_with_source_license_and_checksum_of_its_weights(flash: Any) -> None:
    facts = {"source": "https://acme.example", "license": "MIT", "sha256": "ab" * 32}

    class Plugin:
        @hookimpl
        def flash_backbones(self) -> Iterator[Backbone | BackboneCatalogue]:
            # It would take any name as well.
            yield BackboneCatalogue("hub", "birds", "builtins:list", "collections:Counter", open=True)
            yield Backbone("Wav-CNN.v2", "audio", "collections:Counter", pretrained=True, **facts)

    def described(*options: str) -> str:
        out: str = flash("backbones", "--describe", "wav-cnn.v2", *options, plugins=(("audio", Plugin()),)).out
        return out

    assert described().splitlines()[-3:] == [
        "source      https://acme.example",
        "license     MIT",
        f"sha256      {'ab' * 32}",
    ]
    (found,) = json.loads(described("--json"))
    assert found["name"] == "Wav-CNN.v2"
    assert {name: found[name] for name in facts} == facts


def test_a_backbone_that_only_an_open_catalogue_may_have_is_described_from_there(flash: Any) -> None:
    assert "catalogue  hub" in flash("backbones", "--describe", "org/sparrow").out


def test_a_domain_without_plugin_says_what_to_install(flash: Any) -> None:
    result = flash("backbones", "image")
    assert result.code == 1
    assert result.err == (
        "No plugin provides backbones for 'image'. There are some for: audio, birds. "
        "flash.image is provided by a plugin that is not installed: pip install flash-image.\n"
    )


def test_a_domain_that_nobody_knows_lists_what_can_be_installed(flash: Any) -> None:
    result = flash("backbones", "smell", plugins=())
    assert result.code == 1
    assert "No plugin provides backbones for 'smell'. Install one with pip: flash-audio, flash-image" in result.err


def test_a_pattern_that_matches_nothing_is_an_error(flash: Any) -> None:
    result = flash("backbones", "audio", "--filter", "x*")
    assert result.code == 1
    assert result.err == "No backbone matches 'x*'.\n"


def test_no_backbones_at_all_is_no_error(flash: Any) -> None:
    result = flash("backbones", plugins=())
    assert result.code == 0
    assert "Install one with pip" in result.err
