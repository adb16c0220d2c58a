"""Names as users and checkpoints say them: with and without their distribution."""

from __future__ import annotations

import collections
from typing import Any

import pytest

from flash.errors import (
    ConfigurationError,
    FlashError,
    PluginConflictError,
    UnknownNameError,
)
from flash.plugins import (
    Provider,
)
from flash.plugins.registry import Registry, strategy_registry

ACME = Provider("acme", "flash-acme", "1.2")


BEST = Provider("best", "flash-best", "2.0")


class TestLookUp:
    def test_what_a_plugin_gives_is_imported_when_it_is_asked_for(self, backbone: Any, registry: Any) -> None:
        assert registry(backbone("wav_cnn")).get("wav_cnn") is collections.Counter

    def test_a_description_has_metadata_and_provider(self, backbone: Any, registry: Any) -> None:
        entry = registry(backbone("wav_cnn")).describe("wav_cnn")
        assert entry.summary == "A backbone."
        assert entry.provider == ACME
        assert entry.metadata["pretrained"] is True
        assert entry.metadata["source"] == "https://acme.org"

    def test_case_does_not_matter_where_one_name_matches(self, backbone: Any, registry: Any) -> None:
        assert registry(backbone("wav_cnn")).describe("Wav_CNN").name == "wav_cnn"

    def test_case_matters_where_two_names_match(self) -> None:
        things = Registry("things")
        things.register("thing", dict)
        things.register("Thing", list)
        assert things.get("Thing") is list
        with pytest.raises(UnknownNameError):
            things.get("THING")

    @pytest.mark.parametrize("name", [None, 3, ["a"]])
    def test_what_is_no_string_is_refused(self, name: Any) -> None:
        with pytest.raises(ConfigurationError, match="the things are selected by a string, but got .*"):
            Registry("things").get(name)

    def test_a_miss_says_what_is_close(self, backbone: Any, registry: Any) -> None:
        with pytest.raises(
            UnknownNameError, match=r"'wavcnn' is not among the audio backbones\. Did you mean 'wav_cnn'"
        ):
            registry(backbone("wav_cnn"), backbone("unlike")).get("wavcnn")

    def test_a_miss_lists_what_exists_but_not_all_of_many(self, backbone: Any, registry: Any) -> None:
        many = registry(*(backbone(f"net{number}") for number in range(200)))
        with pytest.raises(UnknownNameError, match=r"There are: net0, net1, .*, net9, \.\.\. \(200 in all\)\.$"):
            many.get("zzz")

    def test_a_miss_in_an_empty_registry_says_so(self) -> None:
        with pytest.raises(UnknownNameError, match=r"'x' is not among the things\. There are none yet\.$"):
            Registry("things").get("x")

    def test_a_miss_is_explained(self) -> None:
        things = Registry("things", explain=lambda name: f"Install {name}.")
        with pytest.raises(UnknownNameError, match=r"Install x\.$"):
            things.get("x")

    @pytest.mark.parametrize("parent", [FlashError, KeyError])
    def test_a_miss_can_be_caught_as(self, parent: type[Exception]) -> None:
        with pytest.raises(parent):
            Registry("things").get("x")

    def test_a_name_of_two_plugins_belongs_to_neither(self, backbone: Any, registry: Any) -> None:
        disputed = registry(backbone("wav_cnn"), backbone("wav_cnn", "collections:deque", BEST))
        with pytest.raises(PluginConflictError, match=r"claimed by flash-acme 1\.2 and by flash-best 2\.0"):
            disputed.get("wav_cnn")
        assert "wav_cnn" not in disputed
        assert disputed.list() == ["flash-acme/wav_cnn", "flash-best/wav_cnn"]
        assert disputed.get("flash-best/wav_cnn") is collections.deque

    @pytest.mark.parametrize("pattern", ["wav_cnn", "WAV*", "*/wav_cnn"])
    def test_a_pattern_finds_a_name_of_two_plugins_with_and_without_them(
        self, pattern: str, backbone: Any, registry: Any
    ) -> None:
        disputed = registry(backbone("wav_cnn"), backbone("wav_cnn", provider=BEST), backbone("other"))
        assert disputed.list(pattern) == ["flash-acme/wav_cnn", "flash-best/wav_cnn"]


class TestQualifiedNames:
    """Two plugins give wav_cnn; whoever did not type the name gets the one that was meant."""

    @pytest.fixture
    def disputed(self, backbone: Any, registry: Any) -> Registry:
        return registry(backbone("wav_cnn"), backbone("wav_cnn", "collections:deque", BEST), backbone("alone"))

    @pytest.mark.parametrize("prefer", ["flash-best", "Flash_Best", "best"])
    def test_the_preferred_distribution_wins(self, disputed: Registry, prefer: str) -> None:
        assert disputed.get("wav_cnn", prefer=prefer) is collections.deque
        assert disputed.describe("wav_cnn", prefer=prefer).provider == BEST

    def test_a_preference_for_a_distribution_that_lacks_the_name_changes_nothing(self, disputed: Registry) -> None:
        assert disputed.get("alone", prefer="flash-best") is collections.Counter
        with pytest.raises(PluginConflictError, match="Write 'flash-acme/wav_cnn' or 'flash-best/wav_cnn'"):
            disputed.get("wav_cnn", prefer="flash-third")

    def test_a_qualified_name_is_what_to_store(self, disputed: Registry) -> None:
        assert disputed.qualified("alone") == "flash-acme/alone"
        assert disputed.qualified("wav_cnn", prefer="flash-best") == "flash-best/wav_cnn"
        assert disputed.qualified("Flash.Best/wav_cnn") == "flash-best/wav_cnn"
        assert disputed.get(disputed.qualified("wav_cnn", "flash-acme")) is collections.Counter

    def test_a_name_typed_by_a_user_has_no_qualified_one_while_it_is_disputed(self, disputed: Registry) -> None:
        with pytest.raises(PluginConflictError):
            disputed.qualified("wav_cnn")

    def test_a_name_registered_in_this_process_stays_as_it_is(self, disputed: Registry) -> None:
        disputed.register("wav_cnn", dict, override=True)
        assert disputed.qualified("wav_cnn", prefer="flash-best") == "wav_cnn"

    def test_a_built_in_name_stays_as_it_is(self) -> None:
        assert strategy_registry().qualified("freeze") == "freeze"

    def test_a_member_of_a_catalogue_is_qualified_by_its_distribution(
        self, backbone: Any, catalogue: Any, registry: Any
    ) -> None:
        backbones = registry(catalogue(), backbone("resnet18"))
        assert backbones.qualified("resnet18", prefer="flash-best") == "flash-best/resnet18"
        assert backbones.get("flash-best/resnet18")() == ("resnet18", {})
        with pytest.raises(PluginConflictError, match="Write 'flash-acme/resnet18' or 'flash-best/resnet18'"):
            backbones.get("resnet18")

    def test_an_unlisted_name_of_an_open_catalogue_is_qualified_too(self, catalogue: Any, registry: Any) -> None:
        backbones = registry(catalogue(open=True))
        assert backbones.qualified("some/model") == "flash-best/some/model"
