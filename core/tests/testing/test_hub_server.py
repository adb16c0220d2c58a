"""The server in place of the Hub answers as huggingface_hub expects, and keeps what is private."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError


def test_what_is_uploaded_is_downloaded(hub: Any, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    contents = {"README.md": b"# A net", "model.safetensors": bytes(range(256)) * 40}
    for name, content in contents.items():
        (tmp_path / "files" / name).write_bytes(content)
    api = HfApi(token=hub.token)
    api.create_repo("me/net")
    assert api.create_repo("me/net", exist_ok=True).repo_id == "me/net"
    api.upload_folder(repo_id="me/net", folder_path=tmp_path / "files")
    assert hub.files("me/net") == contents
    found = Path(snapshot_download("me/net"))
    assert {file.name: file.read_bytes() for file in found.iterdir()} == contents
    assert Path(constants.HF_HUB_CACHE) in found.parents
    assert tmp_path in found.parents


def test_a_branch_has_its_own_files(hub: Any) -> None:
    hub.commit("me/net", {"a": b"1"})
    HfApi(token=hub.token).create_branch("me/net", branch="next")
    hub.commit("me/net", {"b": b"2"}, "next")
    assert hub.files("me/net") == {"a": b"1"}
    assert hub.files("me/net", "next") == {"a": b"1", "b": b"2"}
    with pytest.raises(HfHubHTTPError, match="409"):
        HfApi(token=hub.token).create_branch("me/net", branch="next")


def test_only_the_token_writes_and_sees_what_is_private_or_gated(hub: Any) -> None:
    with pytest.raises(HfHubHTTPError, match="401"):
        HfApi().create_repo("me/net")
    HfApi(token=hub.token).create_repo("me/net", private=True)
    with pytest.raises(RepositoryNotFoundError):
        HfApi().model_info("me/net")
    assert HfApi(token=hub.token).model_info("me/net").id == "me/net"
    hub.commit("me/open", {"a": b"1"})
    hub.gated.add("me/open")
    with pytest.raises(GatedRepoError):
        snapshot_download("me/open")
    assert Path(snapshot_download("me/open", token=hub.token), "a").read_bytes() == b"1"


def test_what_is_not_there_has_the_error_of_the_hub(hub: Any) -> None:
    hub.commit("me/net", {"a": b"1"})
    with pytest.raises(RevisionNotFoundError):
        HfApi().model_info("me/net", revision="gone")
    hub.status = 503
    with pytest.raises(HfHubHTTPError, match="503"):
        HfApi().model_info("me/net")
