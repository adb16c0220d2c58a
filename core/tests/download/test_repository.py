"""Files of a repository: the newest, from the cache where there is no network, and each refusal in words."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from flash.download import explaining_hub_errors, fetch_repository, hub_library
from flash.errors import CheckpointError, ConfigurationError, DownloadError, UnreachableError
from flash.testing._hub_server import HubServer

FILES = ["flash.json", "model.safetensors"]


def push(hub: Any, text: str, **files: bytes) -> str:
    content = {"flash.json": text.encode(), "model.safetensors": b"weights"}
    commit: str = hub.commit("me/net", {**content, "huge.bin": b"not asked for", **files})
    return commit


def fetch(**options: Any) -> str:
    return (fetch_repository("me/net", FILES, **options) / "flash.json").read_text()


def test_only_the_files_that_are_asked_for_are_downloaded(hub: Any) -> None:
    push(hub, "one")
    folder = fetch_repository("me/net", FILES)
    assert sorted(file.name for file in folder.iterdir()) == FILES
    assert not any("huge" in request for request in hub.requests)


def test_the_newest_commit_is_downloaded_and_any_other_by_its_revision(hub: Any) -> None:
    old = push(hub, "one")
    assert fetch() == "one"
    push(hub, "two")
    assert fetch() == "two"
    assert fetch(revision=old) == "one"


def test_the_cache_is_where_it_was_asked_for(hub: Any, tmp_path: Path) -> None:
    push(hub, "one")
    assert tmp_path / "mine" in fetch_repository("me/net", FILES, cache_dir=tmp_path / "mine").parents
    assert fetch(cache_dir=tmp_path / "mine", local_files_only=True) == "one"


def test_with_local_files_only_the_hub_is_not_asked(hub: Any) -> None:
    push(hub, "one")
    with pytest.raises(
        DownloadError, match="Expected me/net in the cache of the Hub, since connections are turned off"
    ):
        fetch(local_files_only=True)
    assert hub.requests == []
    fetch()
    push(hub, "two")
    before = list(hub.requests)
    assert fetch(local_files_only=True) == "one"
    assert hub.requests == before


def test_the_variable_that_turns_connections_off_counts(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    push(hub, "one")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match="turned off .local_files_only or HF_HUB_OFFLINE., but it is not there"):
        fetch()
    assert hub.requests == []


def test_another_address_is_asked_if_it_is_passed(hub: Any) -> None:
    push(hub, "one")
    other = HubServer()
    try:
        push(other, "other")
        assert fetch(endpoint=other.endpoint) == "other"
    finally:
        other.close()
    assert hub.requests == []


def test_without_a_network_an_earlier_download_is_taken_with_a_warning(hub: Any) -> None:
    push(hub, "one")
    fetch()
    hub.close()
    with pytest.warns(UserWarning, match=r"cannot be reached .*The files of an earlier download are taken: /"):
        assert fetch() == "one"


def test_with_a_network_nothing_is_warned_of(hub: Any) -> None:
    push(hub, "one")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert fetch() == "one"


def test_without_a_network_and_without_an_earlier_download_it_is_an_error(hub: Any) -> None:
    push(hub, "one")
    hub.close()
    with pytest.raises(
        UnreachableError, match=r"Expected an answer of http://127\S+ on me/net, but it cannot be reach"
    ):
        fetch()


def test_an_answer_is_never_replaced_by_the_cache(hub: Any) -> None:
    push(hub, "one")
    fetch()
    hub.status = 500
    with pytest.raises(DownloadError, match=r"answered with an error: .*500.*or pass local_files_only=True"):
        fetch()
    hub.status = None
    del hub.branches["me/net"]
    with pytest.raises(DownloadError, match="shows no such repository"):
        fetch()


def test_what_is_private_is_refused_without_a_token(hub: Any) -> None:
    push(hub, "one")
    hub.private.add("me/net")
    with pytest.raises(
        DownloadError, match=r"no such repository \(404\)\. Check the name; for a private one, log in with"
    ):
        fetch()
    assert fetch(token=hub.token) == "one"


def test_what_is_gated_is_refused_without_access(hub: Any) -> None:
    push(hub, "one")
    hub.gated.add("me/net")
    with pytest.raises(DownloadError, match=r"it is gated: .*Ask for access at http://127\S+/me/net, and log in with"):
        fetch()
    assert fetch(token=hub.token) == "one"


def test_a_revision_that_is_not_there_says_where_to_look(hub: Any) -> None:
    push(hub, "one")
    with pytest.raises(DownloadError, match=r"has no revision 'v9'\. Look at http://127\S+/me/net/commits, or leave"):
        fetch(revision="v9")


def test_a_name_that_no_repository_can_have_is_an_error(hub: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"such as 'owner/name', but got 'me/\.\.'"):
        fetch_repository("me/..", FILES)


def test_the_repository_of_another_program_is_an_error(hub: Any) -> None:
    hub.commit("me/bert", {"config.json": b"{}"})
    hub.commit("me/half", {"flash.json": b"{}"})
    with pytest.raises(
        CheckpointError, match=r"me/bert has no flash\.json and no model\.safetensors\. It is of another"
    ):
        fetch_repository("me/bert", FILES)
    with pytest.raises(
        CheckpointError, match=r"me/half has no model\.safetensors\. It is of another program, or incompl"
    ):
        fetch_repository("me/half", FILES)


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigurationError, match=r'which a test is .*: pip install "flash-core\[hub\]"'):
        hub_library("a test")


def test_an_answer_to_a_wrong_request_does_not_say_to_try_again(hub: Any) -> None:
    hub.status = 400
    with pytest.raises(DownloadError, match=r"answered with an error: .*Check what was asked for\."):
        fetch()


def test_errors_of_flash_stay_what_they_are(hub: Any) -> None:
    with pytest.raises(CheckpointError, match="^mine$"), explaining_hub_errors("me/net"):
        raise CheckpointError("mine")
