"""Items of a registry: of this process, of plugins and of their catalogues."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from flash.errors import ConfigurationError, PluginError
from flash.plugins import Backbone, BackboneCatalogue, Provider
from flash.plugins._registry_item import Item, RegistryEntry
from flash.plugins.info import Contribution

ACME = Provider("audio", "acme-audio", "1.2")


def test_a_factory_of_this_process_is_the_one_that_was_registered() -> None:
    item = Item.local(RegistryEntry("count"), Counter)
    assert item.load() is Counter
    assert (item.name, item.provider) == ("count", None)


def test_a_factory_by_its_name_is_imported_when_it_is_asked_for() -> None:
    assert Item.local(RegistryEntry("count"), "collections:Counter").load() is Counter
    missing = Item.local(RegistryEntry("count"), "collections:Cuonter")
    with pytest.raises(PluginError, match="Counter"):
        missing.load()


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        (3, "the factory of 'count' must be a callable or a string, but got 3"),
        ("collections", "the factory of 'count' must look like 'package.module:attribute'"),
    ],
)
def test_what_is_no_factory_is_refused(factory: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Item.local(RegistryEntry("count"), factory)


def test_what_a_plugin_describes_is_metadata_that_cannot_be_changed() -> None:
    spec = Backbone("cnn", "audio", "collections:Counter", pretrained=True, summary="Small.")
    item = Item.from_plugin(Contribution(spec, ACME))
    assert (item.name, item.provider, item.entry.summary) == ("cnn", ACME, "Small.")
    assert item.entry.metadata["pretrained"] is True
    assert item.entry.metadata["domain"] == "audio"
    assert not {"name", "summary", "factory"} & item.entry.metadata.keys()
    with pytest.raises(TypeError):
        item.entry.metadata["pretrained"] = False
    assert item.load() is Counter


def test_a_name_of_a_catalogue_is_handed_to_its_factory() -> None:
    catalogue = BackboneCatalogue("zoo", "audio", "string:digits.__iter__", "builtins:str", summary="Big.")
    item = Item.from_catalogue(Contribution(catalogue, ACME), "net7")
    assert dict(item.entry.metadata) == {"domain": "audio", "catalogue": "zoo"}
    assert item.entry.summary == "Big."
    assert item.load()() == "net7"
