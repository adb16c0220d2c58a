"""The cluster, and what goes there and comes back, without one."""

from __future__ import annotations

import importlib
import sys
import threading
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from flash.errors import ConfigurationError, DataError, FlashError
from flash.ray import cluster as clusters


def test_without_ray_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigurationError, match="Expected Ray, which flash.ray runs on, but it cannot be imported"):
        clusters.started()


def test_a_cluster_that_does_not_start_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def init() -> None:
        raise TimeoutError("no answer\nin time")

    fake = SimpleNamespace(is_initialized=lambda: False, init=init)
    monkeypatch.setattr(importlib, "import_module", lambda name: fake)
    monkeypatch.setattr(sys, "executable", "/usr/bin/python")
    with pytest.raises(ConfigurationError, match="could be reached or started: no answer in time. If the machine is"):
        clusters.started()


def test_spaces_in_the_path_of_python_are_an_error_where_ray_would_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = SimpleNamespace(is_initialized=lambda: False)
    monkeypatch.setattr(importlib, "import_module", lambda name: fake)
    monkeypatch.setattr(sys, "executable", "/home/ann/my project/bin/python")
    with pytest.raises(
        ConfigurationError, match="a Python whose path has no spaces, .* but got /home/ann/my project/bin"
    ):
        clusters.started()


def test_a_cluster_that_is_there_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = SimpleNamespace(is_initialized=lambda: True)
    monkeypatch.setattr(importlib, "import_module", lambda name: fake)
    assert clusters.started() is fake


def test_workers_that_do_not_fit_are_an_error_here_and_a_warning_where_the_cluster_may_grow(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    clusters.check_fits({"CPU": 2}, {"CPU": 2.0})
    with pytest.raises(ConfigurationError, match="Expected a Ray cluster with 3 CPU, but it has 2. Use fewer workers"):
        clusters.check_fits({"CPU": 3}, {"CPU": 2.0})
    with pytest.raises(ConfigurationError, match="a Ray cluster with 2 GPU, but it has 0. Leave use_gpu out, or start"):
        clusters.check_fits({"GPU": 2}, {"CPU": 2.0})
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    clusters.check_fits({"GPU": 2}, {"CPU": 2.0})
    assert "The workers wait until it has grown." in caplog.text


def test_what_cannot_be_sent_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="Expected a task and data that can be sent to other machines, but it"):
        clusters.packed(threading.Lock(), "a task and data")


def test_a_module_that_a_worker_does_not_have_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("acme_of_here")
    exec("class Net: ...", module.__dict__)
    monkeypatch.setitem(sys.modules, "acme_of_here", module)
    content = clusters.packed(module.Net, "a task and data")
    monkeypatch.delitem(sys.modules, "acme_of_here")
    with pytest.raises(ConfigurationError, match="Expected the modules of the program on each machine, but: No module"):
        clusters.unpacked(content)


class PairError(FlashError):
    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} and {other}")


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [(DataError("Row 3."), DataError, "Row 3."), (PairError("a", "b"), FlashError, "PairError: a and b")],
)
def test_errors_come_back_with_their_sentence(error: Exception, kind: type, message: str) -> None:
    back = clusters.unpacked(clusters.packed_error(error))
    assert type(back) is kind
    assert str(back) == message


def test_whether_a_worker_trained_is_kept() -> None:
    failures = clusters.Failures()
    assert not failures.has_begun()
    failures.begin()
    assert failures.has_begun()


def test_the_first_error_is_kept() -> None:
    failures: Any = clusters.Failures()
    assert failures.first() is None
    failures.record(b"one")
    failures.record(b"other")
    assert failures.first() == b"one"
