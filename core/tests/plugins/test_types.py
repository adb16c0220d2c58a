from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from flash.errors import ConfigurationError
from flash.plugins import Backbone, BackboneCatalogue, CallbackSpec, DataSource, Strategy, TaskSpec


@pytest.mark.parametrize("name", ["ResNet", "res net", "", "../up", "_x", "a/b", None, 3])
def test_a_name_that_is_not_plain_lower_case_is_refused(name: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Strategy\.name must be of lower-case letters"):
        Strategy(name, factory="acme:Thaw")


@pytest.mark.parametrize("name", ["resnet18", "vit_base.augreg2_in21k", "tf-efficientnet+b0", "2d"])
def test_names_of_existing_model_zoos_are_accepted(name: str) -> None:
    assert Backbone(name, domain="image", factory="acme:build").name == name


def test_a_backbone_alone_may_keep_the_capital_letters_of_a_published_name() -> None:
    assert Backbone("all-MiniLM-L6-v2.offline", domain="text", factory="acme:build").name == "all-MiniLM-L6-v2.offline"
    with pytest.raises(ConfigurationError, match=r"Backbone\.name must be of letters, digits .* but got 'a/B'"):
        Backbone("a/B", domain="text", factory="acme:build")
    with pytest.raises(ConfigurationError, match=r"BackboneCatalogue\.name must be of lower-case letters"):
        BackboneCatalogue("Zoo", domain="text", names="acme:names", factory="acme:build")


@pytest.mark.parametrize("checksum", ["", "abc", "A" * 64, "0" * 63, "0" * 65, 5])
def test_a_checksum_that_is_none_is_refused(checksum: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Backbone\.sha256 must be 64 lower-case hexadecimal digits"):
        Backbone("wav_cnn", domain="audio", factory="acme:build", sha256=checksum)


@pytest.mark.parametrize("target", ["acme", "acme.plugin", ":build", "acme:", "acme plugin:build", "acme:1x", None])
def test_a_target_that_is_not_module_and_attribute_is_refused(target: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Strategy\.factory must look like 'package\.module:attribute'"):
        Strategy("thaw", factory=target)


def test_the_error_names_the_field_that_is_wrong() -> None:
    with pytest.raises(ConfigurationError, match=r"BackboneCatalogue\.names .* but got 'acme'"):
        BackboneCatalogue("zoo", domain="audio", names="acme", factory="acme:build")


def test_a_task_name_has_a_domain_and_a_task() -> None:
    with pytest.raises(ConfigurationError, match="such as 'image/classification', but got 'classification'"):
        TaskSpec("classification", task="acme:Task", data="acme:Data")


@pytest.mark.parametrize("kind", [Backbone, BackboneCatalogue])
def test_a_domain_is_checked_like_a_name(kind: Any) -> None:
    targets = dict.fromkeys(kind.target_fields, "acme:build")
    with pytest.raises(ConfigurationError, match=r"\.domain must be"):
        kind("wav_cnn", domain="Audio", **targets)


def test_a_data_source_is_for_one_task_or_for_all() -> None:
    assert DataSource("lmdb", data="*", factory="acme:load").scope == "*"
    assert DataSource("lmdb", data="image/classification", factory="acme:load").scope == "image/classification"
    with pytest.raises(ConfigurationError, match=r"DataSource\.data must be"):
        DataSource("lmdb", data="image", factory="acme:load")


def test_descriptions_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        CallbackSpec("carbon", factory="acme:Carbon").name = "other"  # type: ignore[misc]


def test_targets_are_listed_by_field() -> None:
    task = TaskSpec("audio/classification", task="acme.task:Task", data="acme.data:Data")
    assert task.targets == {"task": "acme.task:Task", "data": "acme.data:Data"}
