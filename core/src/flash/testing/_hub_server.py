"""A local server with the part of the Hugging Face Hub's HTTP interface that uploads and downloads need."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

__all__ = ["HubServer", "hub_server"]


class HubServer:
    """Repositories in memory: their files per commit, and the commit of each branch.

    Attributes:
        endpoint: The address.
        token: The token that may write, and read what is private or gated.
        requests: The method and path of each request.
        commits: The files by repository and commit.
        branches: The newest commit by repository and branch.
        private: Repositories that only the token sees.
        gated: Repositories whose files only the token gets.
        status: The status that each request is answered with instead, such as 500; ``None`` for none.
    """

    def __init__(self) -> None:
        self.token = "hf_of_the_tests"  # noqa: S105  # of no account
        self.requests: list[str] = []
        self.commits: dict[str, dict[str, dict[str, bytes]]] = {}
        self.branches: dict[str, dict[str, str]] = {}
        self.private: set[str] = set()
        self.gated: set[str] = set()
        self.status: int | None = None
        self._blobs: dict[str, bytes] = {}
        self._is_closed = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering: connections are refused, and those that are open are closed."""
        self._is_closed = True
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def commit(self, repository: str, files: dict[str, bytes], branch: str = "main") -> str:
        """Add files to a branch of a repository, which are created, and return the commit.

        Args:
            repository: ``"owner/name"``.
            files: The content of each file; the other files stay.
            branch: The branch.
        """
        branches = self.branches.setdefault(repository, {})
        commits = self.commits.setdefault(repository, {})
        before = branches.get(branch, branches.get("main", ""))
        new = {**commits.get(before, {}), **files}
        name = hashlib.sha1(repr((repository, before, len(commits), sorted(files))).encode()).hexdigest()  # noqa: S324
        commits[name] = new
        branches[branch] = name
        return name

    def files(self, repository: str, revision: str = "main") -> dict[str, bytes] | None:
        """Return the files of a revision; ``None`` if there is no such revision."""
        commit = self.branches.get(repository, {}).get(revision, revision)
        return self.commits.get(repository, {}).get(commit)


@contextlib.contextmanager
def hub_server() -> Iterator[HubServer]:
    """Context manager: a server that huggingface_hub uses in place of the public one, without its token and cache.

    Example:
        >>> with hub_server() as server:
        ...     _ = server.commit("owner/name", {"README.md": b"# A model"})
        ...     server.endpoint.startswith("http://127.0.0.1:")
        True
    """
    from huggingface_hub import constants, file_download

    server = HubServer()
    with pytest.MonkeyPatch.context() as patch:
        # The template is made of the address when the module is imported, and imported by name in earlier versions.
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, server.endpoint)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
        patch.setattr(constants, "ENDPOINT", server.endpoint)
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)
        try:
            yield server
        finally:
            if not server._is_closed:
                server.close()


def _handler_of(hub: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            """Write nothing to the terminal."""

        def handle_request(self) -> None:
            if hub._is_closed:
                self.close_connection = True
                return
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            path = urlsplit(self.path).path
            hub.requests.append(f"{self.command} {unquote(path)}")
            if hub.status is not None:
                self.answer(hub.status, {"error": "as the test asked for"})
            else:
                # A branch may have a slash in its name.
                self.route([unquote(part) for part in path.strip("/").split("/")], body)

        do_GET = do_HEAD = do_POST = do_PUT = handle_request  # noqa: N815  # The names of http.server.

        @property
        def may_write(self) -> bool:
            return self.headers.get("Authorization") == f"Bearer {hub.token}"

        def answer(self, status: int, content: Any, **headers: str) -> None:
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def route(self, parts: list[str], body: bytes) -> None:
            match (self.command, parts):
                case ("POST", _) if not self.may_write:
                    self.answer(401, {"error": "Invalid username or password."})
                case ("POST", ["api", "validate-yaml"]):
                    self.answer(200, {"errors": [], "warnings": []})
                case ("POST", ["api", "repos", "create"]):
                    self.create(json.loads(body))
                case (_, ["api", "models", owner, name, *rest]):
                    self.api(f"{owner}/{name}", rest, body)
                case ("POST", [owner, name, "info", "lfs", "objects", "batch"]):
                    self.batch(f"{owner}/{name.removesuffix('.git')}", json.loads(body))
                case ("PUT", ["blobs", digest]):
                    hub._blobs[digest] = body
                    self.answer(200, {})
                case ("GET" | "HEAD", [owner, name, "resolve", revision, file]):
                    self.file(f"{owner}/{name}", revision, file)
                case _:
                    self.answer(404, {"error": f"The tests know no {self.command} {self.path}"})

        def create(self, wanted: dict[str, Any]) -> None:
            name = f"{wanted['organization']}/{wanted['name']}"
            url = {"url": f"{hub.endpoint}/{name}", "name": name, "id": name}
            if name in hub.branches:
                self.answer(409, {"error": "You already created this model repo", **url})
                return
            hub.commit(name, {})
            if wanted.get("visibility") == "private" or wanted.get("private"):
                hub.private.add(name)
            self.answer(200, url)

        def api(self, repository: str, rest: list[str], body: bytes) -> None:
            if repository not in hub.branches or (repository in hub.private and not self.may_write):
                self.answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
                return
            match (self.command, rest):
                case ("GET", [] | ["revision", _]):
                    revision = rest[1] if rest else "main"
                    files = hub.files(repository, revision)
                    if files is None:
                        self.answer(404, {"error": "Invalid rev id"}, X_Error_Code="RevisionNotFound")
                        return
                    sha = hub.branches[repository].get(revision, revision)
                    siblings = [{"rfilename": file} for file in files]
                    self.answer(200, {"id": repository, "sha": sha, "siblings": siblings, "private": False, "tags": []})
                case ("GET", ["tree", revision, *_]):
                    files = hub.files(repository, revision) or {}
                    self.answer(200, [_entry(file, content) for file, content in files.items()])
                case ("POST", ["preupload", _]):
                    wanted = json.loads(body)["files"]
                    self.answer(200, {"files": [_upload_of(each["path"]) for each in wanted]})
                case ("POST", ["commit", branch]):
                    self.save(repository, branch, [json.loads(line) for line in body.splitlines()])
                case ("POST", ["branch", branch]):
                    if branch in hub.branches[repository]:
                        self.answer(409, {"error": "Reference already exists"})
                        return
                    hub.branches[repository][branch] = hub.branches[repository]["main"]
                    self.answer(200, {})
                case _:
                    self.answer(404, {"error": f"The tests know no {self.command} {self.path}"})

        def batch(self, repository: str, wanted: dict[str, Any]) -> None:
            objects = [
                {
                    "oid": each["oid"],
                    "size": each["size"],
                    "actions": {"upload": {"href": f"{hub.endpoint}/blobs/{each['oid']}", "header": {}}},
                }
                for each in wanted["objects"]
            ]
            self.answer(200, {"transfer": "basic", "objects": objects})

        def save(self, repository: str, branch: str, lines: list[dict[str, Any]]) -> None:
            files = {}
            for line in lines:
                value = line["value"]
                if line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                if line["key"] == "lfsFile":
                    files[value["path"]] = hub._blobs[value["oid"]]
            commit = hub.commit(repository, files, branch)
            url = f"{hub.endpoint}/{repository}/commit/{commit}"
            self.answer(200, {"success": True, "commitUrl": url, "commitOid": commit})

        def file(self, repository: str, revision: str, name: str) -> None:
            if repository not in hub.branches or (repository in hub.private and not self.may_write):
                self.answer(404, {}, X_Error_Code="RepoNotFound")
                return
            if repository in hub.gated and not self.may_write:
                self.answer(403, {}, X_Error_Code="GatedRepo")
                return
            files = hub.files(repository, revision)
            if files is None or name not in files:
                self.answer(404, {}, X_Error_Code="RevisionNotFound" if files is None else "EntryNotFound")
                return
            commit = hub.branches[repository].get(revision, revision)
            etag = f'"{hashlib.sha256(files[name]).hexdigest()}"'
            self.answer(200, files[name], ETag=etag, X_Repo_Commit=commit, Accept_Ranges="bytes")

    return Handler


def _entry(file: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": file, "size": len(content), "oid": "0" * 40}
    if _is_large(file):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return entry


def _upload_of(file: str) -> dict[str, Any]:
    return {"path": file, "uploadMode": "lfs" if _is_large(file) else "regular", "shouldIgnore": False, "oid": None}


def _is_large(file: str) -> bool:
    return file.endswith(".safetensors")
