from __future__ import annotations

from typing import Any

import pytest

from flash.errors import ConfigurationError
from flash.plugins import Backbone, BackboneCatalogue, DataSource, TaskSpec


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


def test_a_task_name_has_a_domain_and_a_task() -> None:
    with pytest.raises(ConfigurationError, match="such as 'image/classification', but got 'classification'"):
        TaskSpec("classification", task="acme:Task", data="acme:Data")


def test_a_data_source_is_for_one_task_or_for_all() -> None:
    assert DataSource("lmdb", data="*", factory="acme:load").scope == "*"
    assert DataSource("lmdb", data="image/classification", factory="acme:load").scope == "image/classification"
    with pytest.raises(ConfigurationError, match=r"DataSource\.data must be"):
        DataSource("lmdb", data="image", factory="acme:load")
