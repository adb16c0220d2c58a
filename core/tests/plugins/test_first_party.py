"""Which packages and modules are those of Flash."""

from __future__ import annotations

import pytest

from flash.plugins.first_party import DOMAINS, dists, is_first_party, published_owner


@pytest.mark.parametrize(
    ("module", "dist"),
    [
        ("flash", "flash-core"),
        ("flash.core.model", "flash-core"),
        ("flash.image", "flash-image"),
        ("flash.vision.anything", "flash-image"),
        ("flash.textual", "flash-core"),
        ("flashy", None),
        ("acme.flash.image", None),
        ("", None),
    ],
)
def test_a_module_belongs_to_the_package_of_its_domain(module: str, dist: str | None) -> None:
    assert published_owner(module) == dist


def test_a_package_is_listed_once_however_many_domains_it_has() -> None:
    assert set(dists()) < set(DOMAINS.values())
    assert dists().count("flash-image") == 1


@pytest.mark.parametrize("name", ["flash-core", "Flash.Image", "flash_offline", "FLASH--TEXT"])
def test_a_package_of_flash_is_known_in_any_spelling(name: str) -> None:
    assert is_first_party(name)


@pytest.mark.parametrize("name", ["flash", "flash-video", "acme-flash-image", ""])
def test_any_other_package_is_none(name: str) -> None:
    assert not is_first_party(name)
