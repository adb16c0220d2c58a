"""What all descriptions have: checked names and targets."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from flash.errors import ConfigurationError
from flash.plugins import Backbone, BackboneCatalogue, CallbackSpec, Strategy, TaskSpec


@pytest.mark.parametrize("name", ["ResNet", "res net", "", "../up", "_x", "a/b", None, 3])
def test_a_name_that_is_not_plain_lower_case_is_refused(name: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Strategy\.name must be of lower-case letters"):
        Strategy(name, factory="acme:Thaw")


@pytest.mark.parametrize("target", ["acme", "acme.plugin", ":build", "acme:", "acme plugin:build", "acme:1x", None])
def test_a_target_that_is_not_module_and_attribute_is_refused(target: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Strategy\.factory must look like 'package\.module:attribute'"):
        Strategy("thaw", factory=target)


def test_the_error_names_the_field_that_is_wrong() -> None:
    with pytest.raises(ConfigurationError, match=r"BackboneCatalogue\.names .* but got 'acme'"):
        BackboneCatalogue("zoo", domain="audio", names="acme", factory="acme:build")


@pytest.mark.parametrize("kind", [Backbone, BackboneCatalogue])
def test_a_domain_is_checked_like_a_name(kind: Any) -> None:
    targets = dict.fromkeys(kind.target_fields, "acme:build")
    with pytest.raises(ConfigurationError, match=r"\.domain must be"):
        kind("wav_cnn", domain="Audio", **targets)


def test_descriptions_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        CallbackSpec("carbon", factory="acme:Carbon").name = "other"  # type: ignore[misc]


def test_targets_are_listed_by_field() -> None:
    task = TaskSpec("audio/classification", task="acme.task:Task", data="acme.data:Data")
    assert task.targets == {"task": "acme.task:Task", "data": "acme.data:Data"}
