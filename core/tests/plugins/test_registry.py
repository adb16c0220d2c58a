from __future__ import annotations

import collections
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from flash.errors import (
    ConfigurationError,
    DuplicateNameError,
    PluginConflictError,
    PluginError,
    UnknownNameError,
)
from flash.plugins import (
    Backbone,
    Contribution,
    PluginWarning,
    Provider,
    hookimpl,
    isolated_plugins,
)
from flash.plugins._registry_item import Item
from flash.plugins.registry import Registry, RegistryEntry, backbone_registry, strategy_registry
from flash.plugins.types import Spec

ACME = Provider("acme", "flash-acme", "1.2")


BEST = Provider("best", "flash-best", "2.0")


class TestRegistration:
    def test_a_decorated_function_is_found_by_its_name(self) -> None:
        optimizers = Registry("optimizers")

        @optimizers()
        def standstill() -> None: ...

        assert optimizers.get("standstill") is standstill
        assert optimizers["standstill"] is standstill

    def test_a_name_a_summary_and_metadata_can_be_given(self) -> None:
        optimizers = Registry("optimizers")

        @optimizers("still", summary="Goes nowhere.", paper="none")
        def standstill() -> None: ...

        assert optimizers.describe("still") == RegistryEntry("still", "Goes nowhere.", {"paper": "none"}, None)

    def test_parentheses_may_be_left_out(self) -> None:
        optimizers = Registry("optimizers")

        @optimizers
        def standstill() -> None: ...

        assert optimizers.get("standstill") is standstill

    def test_a_factory_can_be_registered_by_a_call(self) -> None:
        optimizers = Registry("optimizers")
        assert optimizers(dict, name="mapping", summary="A mapping.") is dict
        assert optimizers.describe("mapping").summary == "A mapping."

    def test_a_string_is_imported_on_first_use(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "module_of_registry_test.py").write_text("thing = dict")
        monkeypatch.syspath_prepend(tmp_path)
        things = Registry("things")
        things.register("thing", "module_of_registry_test:thing")
        assert "thing" in things
        assert "module_of_registry_test" not in sys.modules
        assert things.get("thing") is dict

    def test_a_string_that_cannot_be_imported_is_an_error(self) -> None:
        things = Registry("things")
        things.register("thing", "nowhere:thing")
        with pytest.raises(PluginError, match="cannot import nowhere:thing: ModuleNotFoundError"):
            things.get("thing")

    @pytest.mark.parametrize("factory", ["nowhere", "nowhere:", 5, None])
    def test_what_is_no_factory_is_refused(self, factory: Any) -> None:
        with pytest.raises(ConfigurationError, match="the factory of 'thing' must"):
            Registry("things").register("thing", factory)

    def test_a_duplicate_is_refused(self) -> None:
        things = Registry("things")
        things.register("thing", dict)
        with pytest.raises(DuplicateNameError, match="'thing' is among the things already, from this process"):
            things.register("thing", list)
        assert things.get("thing") is dict

    def test_a_duplicate_of_what_a_plugin_gives_is_refused(self, backbone: Any, registry: Any) -> None:
        with pytest.raises(DuplicateNameError, match=r"from flash-acme 1\.2; .* pass override=True"):
            registry(backbone("wav_cnn")).register("wav_cnn", dict)

    def test_a_duplicate_can_override(self, backbone: Any, registry: Any) -> None:
        backbones = registry(backbone("wav_cnn"))
        backbones.register("wav_cnn", dict, override=True)
        backbones.register("wav_cnn", list, override=True)
        assert backbones.get("wav_cnn") is list
        assert backbones.list() == ["wav_cnn"]

    def test_what_was_overridden_is_there_again_after_removal(self, backbone: Any, registry: Any) -> None:
        backbones = registry(backbone("wav_cnn"))
        backbones.register("wav_cnn", dict, override=True)
        backbones.remove("wav_cnn")
        assert backbones.get("wav_cnn") is collections.Counter

    def test_what_a_plugin_gives_cannot_be_removed(self, backbone: Any, registry: Any) -> None:
        with pytest.raises(UnknownNameError, match=r"not registered in this process but comes from flash-acme 1\.2"):
            registry(backbone("wav_cnn")).remove("wav_cnn")

    def test_what_is_not_there_cannot_be_removed(self) -> None:
        with pytest.raises(UnknownNameError, match="'thing' is not among the things"):
            Registry("things").remove("thing")

    def test_metadata_cannot_be_changed_afterwards(self) -> None:
        things = Registry("things")
        things.register("thing", dict, year=2021)
        with pytest.raises(TypeError):
            things.describe("thing").metadata["year"] = 2022


class TestListing:
    def test_order_is_natural(self, backbone: Any, registry: Any) -> None:
        backbones = registry(*(backbone(name) for name in ("resnet101", "resnet18", "alexnet", "resnet9")))
        assert backbones.list() == ["alexnet", "resnet9", "resnet18", "resnet101"]

    @pytest.mark.parametrize("pattern", ["res*", "RES*", "*et?", "[r]*"])
    def test_a_pattern_filters_whatever_the_case(self, pattern: str, backbone: Any, registry: Any) -> None:
        backbones = registry(backbone("resnet9"), backbone("alexnet2d"))
        assert backbones.list(pattern) == ["resnet9"]

    def test_length_iteration_and_membership_agree(self, backbone: Any, catalogue: Any, registry: Any) -> None:
        backbones = registry(backbone("wav_cnn"), catalogue(ACME))
        assert len(backbones) == len(list(backbones)) == 4
        assert all(name in backbones for name in backbones)
        assert 3 not in backbones

    def test_plugins_are_asked_only_when_something_is_looked_up(self) -> None:
        def plugins() -> Iterable[Contribution[Spec]]:
            raise AssertionError

        backbones = Registry("audio backbones", plugins=plugins)
        assert repr(backbones) == "Registry('audio backbones')"
        backbones.register("mine", dict, override=True)
        assert backbones.get("mine") is dict

    def test_entries_come_in_the_same_order(self, backbone: Any, registry: Any) -> None:
        entries = registry(backbone("b"), backbone("a")).entries()
        assert [*entries] == ["a", "b"]
        assert entries["a"].provider == ACME


class TestCatalogues:
    def test_names_are_listed_among_the_others(self, backbone: Any, catalogue: Any, registry: Any) -> None:
        names = registry(backbone("alone"), catalogue()).list()
        assert names == ["alone", "resnet9", "resnet18", "ViT_base", "wav_cnn"]

    def test_a_name_is_handed_to_the_factory(self, catalogue: Any, registry: Any) -> None:
        assert registry(catalogue()).get("resnet18")(pretrained=True) == ("resnet18", {"pretrained": True})

    def test_a_name_is_handed_over_as_it_is_listed(self, catalogue: Any, registry: Any) -> None:
        assert registry(catalogue()).get("vit_BASE")() == ("ViT_base", {})

    def test_a_description_names_the_catalogue(self, catalogue: Any, registry: Any) -> None:
        entry = registry(catalogue()).describe("resnet18")
        assert entry.metadata == {"domain": "audio", "catalogue": "zoo"}
        assert entry.summary == "All."

    def test_a_closed_one_refuses_what_it_does_not_list(self, catalogue: Any, registry: Any) -> None:
        with pytest.raises(UnknownNameError, match="Did you mean 'resnet18'"):
            registry(catalogue()).get("resnet81")

    def test_an_open_one_accepts_what_it_does_not_list(self, catalogue: Any, registry: Any) -> None:
        backbones = registry(catalogue(open=True))
        assert backbones.get("some/Model-on-a-hub")() == ("some/Model-on-a-hub", {})
        assert "some/Model-on-a-hub" not in backbones.list()

    def test_two_open_ones_leave_an_unlisted_name_to_neither(self, catalogue: Any, registry: Any) -> None:
        backbones = registry(catalogue(ACME, open=True), catalogue(BEST, open=True))
        with pytest.raises(PluginConflictError, match="Write 'flash-acme/some/model' or 'flash-best/some/model'"):
            backbones.get("some/model")
        assert backbones.get("flash-best/some/model")() == ("some/model", {})

    def test_a_name_given_singly_by_the_same_plugin_comes_first(
        self, backbone: Any, catalogue: Any, registry: Any
    ) -> None:
        assert registry(catalogue(ACME), backbone("wav_cnn")).get("wav_cnn") is collections.Counter

    def test_a_name_given_singly_by_another_plugin_is_disputed(
        self, backbone: Any, catalogue: Any, registry: Any
    ) -> None:
        with pytest.raises(PluginConflictError):
            registry(catalogue(BEST), backbone("wav_cnn")).get("wav_cnn")

    def test_one_that_cannot_list_leaves_the_others_alone(self, backbone: Any, catalogue: Any, registry: Any) -> None:
        backbones = registry(backbone("wav_cnn"), catalogue(names="zoo_fails"))
        with pytest.warns(PluginWarning, match=r"flash-best 2\.0 cannot list its names: OSError: the list is lost"):
            assert backbones.list() == ["wav_cnn"]


def made_items(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the items that are made from now on."""
    made: list[str] = []
    real = Item.from_catalogue.__func__  # type: ignore[attr-defined]

    def counting(cls: type[Item], given: Any, name: str) -> Item:
        made.append(name)
        return real(cls, given, name)

    monkeypatch.setattr(Item, "from_catalogue", classmethod(counting))
    return made


@pytest.mark.parametrize(
    "look_up",
    [lambda it: it.get("resnet9"), lambda it: "resnet9" in it, lambda it: it.describe("flash-best/resnet9")],
    ids=["get", "in", "describe"],
)
def test_a_look_up_makes_no_item_for_the_other_names_of_a_catalogue(
    look_up: Any, monkeypatch: pytest.MonkeyPatch, backbone: Any, catalogue: Any, registry: Any
) -> None:
    made = made_items(monkeypatch)
    look_up(registry(catalogue(), backbone("wav_cnn")))
    assert made == ["resnet9"]


class Plugin:
    @hookimpl
    def flash_backbones(self) -> list[Backbone]:
        return [Backbone("wav_cnn", domain="audio", factory="collections:Counter")]


def test_the_backbones_of_a_domain_are_those_of_the_installed_plugins() -> None:
    backbones = backbone_registry("audio")
    with isolated_plugins(Plugin()):
        assert backbones.list() == ["wav_cnn"]
    with isolated_plugins():
        assert backbones.list() == []


def test_a_backbone_of_a_domain_without_plugin_says_what_to_install() -> None:
    with isolated_plugins(), pytest.raises(UnknownNameError, match="pip install flash-image"):
        backbone_registry("image").get("resnet18")


def test_the_strategies_are_built_in_and_can_be_added_to() -> None:
    strategies = strategy_registry()
    strategies.register("mine", dict)
    with isolated_plugins():
        assert strategies.list() == ["freeze", "freeze_unfreeze", "mine", "no_freeze", "unfreeze_milestones"]
