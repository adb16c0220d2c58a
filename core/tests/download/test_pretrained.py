"""Models of a library of the Hub, which is a fake here: whole or not at all, without code, failures in words."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from flash.download.pretrained import (
    HubError,
    config_from_dict,
    config_to_dict,
    import_library,
    load_model,
    load_part,
    make_model,
    read_json,
    split_revision,
)
from flash.errors import CheckpointError, ConfigurationError, FlashError

CONFIG = SimpleNamespace(model_type="fake")


class FakeAuto:
    """Loads a network, without the weights that are named."""

    __module__ = "fakes.auto"

    def __init__(
        self, missing: tuple[str, ...] = (), error: Exception | None = None, mismatched: tuple[str, ...] = ()
    ) -> None:
        self.missing = missing
        self.mismatched = mismatched
        self.error = error
        self.calls: list[dict[str, Any]] = []

    def from_pretrained(self, source: str, **options: Any) -> Any:
        self.calls.append({"source": source, **options})
        if self.error is not None:
            raise self.error
        report = {
            "missing_keys": list(self.missing),
            "mismatched_keys": {(name, (1,), (2,)) for name in self.mismatched},
        }
        return nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)).half().eval(), report

    def from_config(self, config: Any, **options: Any) -> nn.Module:
        self.calls.append({"config": config, **options})
        if self.error is not None:
            raise self.error
        return nn.Sequential(nn.Linear(2, 2)).half().eval()


def raising(error: Exception) -> Callable[..., Any]:
    def load(*_: Any, **__: Any) -> Any:
        raise error

    return load


# ---------------------------------------------------------------------- models


def test_weights_are_loaded_as_weights_only_without_code_and_the_model_can_be_trained() -> None:
    auto = FakeAuto()
    model = load_model(auto, "owner/name@v2", CONFIG)
    (call,) = auto.calls
    assert (call["source"], call["revision"]) == ("owner/name", "v2")
    assert (call["weights_only"], call["trust_remote_code"], call["config"]) == (True, False, CONFIG)
    assert model.training
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_weights_that_are_missing_are_an_error_if_they_are_needed() -> None:
    auto = FakeAuto(missing=("1.weight", "1.bias", "of.no.part"))
    with pytest.raises(HubError, match="for all of a Sequential in 'owner/name', but 2 are missing, such as '1.bias'"):
        load_model(auto, "owner/name", CONFIG)
    assert len(load_model(auto, "owner/name", CONFIG, prepare=lambda model: model[:1])) == 1
    assert len(load_model(auto, "owner/name", CONFIG, is_optional=lambda name: name.startswith("1."))) == 2


def test_weights_of_another_shape_are_missing_too() -> None:
    auto = FakeAuto(missing=("1.weight",), mismatched=("1.bias",))
    with pytest.raises(HubError, match="but 2 are missing, such as '1.bias'"):
        load_model(auto, "owner/name", CONFIG, ignore_mismatched_sizes=True)


def test_random_weights_need_no_checkpoint_and_are_made_without_code() -> None:
    auto = FakeAuto()
    assert load_model(auto, "nowhere", CONFIG, pretrained=False).training
    assert auto.calls == [{"config": CONFIG, "trust_remote_code": False}]


def test_a_model_of_another_kind_says_what_was_wanted() -> None:
    auto = FakeAuto(error=ValueError("Unrecognized configuration class X for this kind of AutoModel.\nMore."))
    message = r"Expected the checkpoint of a detector, but got one of a 'fake' model \(Unrecognized .* AutoModel.\)"
    with pytest.raises(ConfigurationError, match=message):
        load_model(auto, "owner/name", CONFIG, wanted="a detector")
    with pytest.raises(ConfigurationError, match=message):
        make_model(auto, CONFIG, wanted="a detector")


def test_the_bar_and_the_warnings_of_the_library_are_as_before_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    logging = SimpleNamespace(
        is_progress_bar_enabled=lambda: True,
        get_verbosity=lambda: 30,
        disable_progress_bar=lambda: calls.append("no bar"),
        enable_progress_bar=lambda: calls.append("bar"),
        set_verbosity_error=lambda: calls.append("quiet"),
        set_verbosity=calls.append,
    )
    monkeypatch.setitem(sys.modules, "fakes.utils.logging", logging)
    load_model(FakeAuto(), "owner/name", CONFIG)
    assert calls == ["no bar", "quiet", 30, "bar"]


# ---------------------------------------------------------------------- names and refusals


def test_a_folder_is_no_name_with_a_revision(tmp_path: Path) -> None:
    folder = tmp_path / "a@b"
    folder.mkdir()
    assert split_revision(folder) == (str(folder), None)
    assert split_revision("owner/name@v1@2") == ("owner/name", "v1@2")


def test_a_file_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(HubError, match="is a file. Pass the folder of the file."):
        load_part(raising(OSError()), "a configuration", tmp_path / "config.json")


def test_a_name_that_is_not_found_says_how_to_download_its_revision() -> None:
    load = raising(OSError("no network\nat all"))
    with pytest.raises(
        HubError,
        match="Expected a tokenizer for 'o/n' at the revision 'v1', but .* downloaded: no network Where .* "
        "`hf download o/n --revision v1 --local-dir FOLDER`; .* Or sing.$",
    ) as caught:
        load_part(load, "a tokenizer", "o/n@v1", advice="Or sing.")
    assert isinstance(caught.value, FlashError)
    assert isinstance(caught.value, OSError)
    with pytest.raises(HubError, match="Expected a tokenizer for 'o/n', but .*`hf download o/n --local-dir"):
        load_part(load, "a tokenizer", "o/n")


def test_a_damaged_folder_says_to_copy_it_again(tmp_path: Path) -> None:
    with pytest.raises(HubError, match="Expected weights in the folder .* the error: KeyError Copy or download"):
        load_part(raising(KeyError()), "weights", tmp_path)


def test_code_of_a_checkpoint_is_never_run() -> None:
    with pytest.raises(ConfigurationError, match="but 'o/n' needs custom code, which is never run"):
        load_part(raising(ValueError("Please pass trust_remote_code=True")), "weights", "o/n")


def test_without_the_library_the_error_says_what_to_install_and_what_works_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib, "import_module", raising(ModuleNotFoundError("none", name="fakes")))
    with pytest.raises(ConfigurationError, match=r"Install it: pip install 'flash-x\[fakes\]'. Or sing.$"):
        import_library("fakes", "flash-x[fakes]", "Or sing.")
    monkeypatch.setattr(importlib, "import_module", raising(ModuleNotFoundError("none", name="tokenizers")))
    with pytest.raises(ModuleNotFoundError):
        import_library("fakes", "flash-x[fakes]")


# ---------------------------------------------------------------------- configurations and other files


class FakeConfig:
    """A configuration."""

    def __init__(self, **values: Any) -> None:
        self.values = values

    def to_json_string(self, use_diff: bool = True) -> str:
        return json.dumps({"all": not use_diff, "_name_or_path": "/home/me", **self.values})

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FakeConfig:
        return cls(**values)


def test_a_configuration_survives_without_its_path() -> None:
    library = SimpleNamespace(CONFIG_MAPPING={"fake": FakeConfig}, __name__="fakes")
    values = config_to_dict(FakeConfig(model_type="fake", size=3))
    assert values == {"all": True, "model_type": "fake", "size": 3}
    assert config_from_dict(library, values).values == values
    with pytest.raises(CheckpointError, match="knows, but got 'bert9000': pip install --upgrade fakes."):
        config_from_dict(library, {"model_type": "bert9000"})


def test_other_files_of_a_folder_are_optional_but_not_damaged(tmp_path: Path) -> None:
    assert read_json(tmp_path, "a.json") is None
    (tmp_path / "a.json").write_text('{"a": 1}')
    assert read_json(tmp_path, "a.json") == {"a": 1}
    (tmp_path / "a.json").write_text("[1]")
    assert read_json(tmp_path, "a.json") is None
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(HubError, match="Expected JSON in .* Copy or download the checkpoint again"):
        read_json(tmp_path, "a.json")


def test_other_files_of_the_hub_are_of_the_revision(hub: Any) -> None:
    old = hub.commit("me/net", {"a.json": b'{"a": 1}'})
    hub.commit("me/net", {"a.json": b'{"a": 2}'})
    assert read_json("me/net", "a.json") == {"a": 2}
    assert read_json(f"me/net@{old}", "a.json") == {"a": 1}
    assert read_json("me/net", "b.json") is None
    assert read_json("me/other", "a.json") is None
