from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from flash.errors import CheckpointError, ConfigurationError
from flash.solver import BaseSolver, SolverError, get_xp, is_xp
from flash.solver.hydra import HydraMain
from flash.solver.xp import XP, Link, Settings

CONFIG = """
lr: 0.1
epochs: 10
sizes: [1, 2]
name: null
model:
  width: 3
  half: ${model.width}
  deep: {layers: 2}
num_workers: 4
dora:
  dir: out
  exclude: [num_workers]
defaults:
  - _self_
  - optim: adam
"""


def program(folder: Path, kind: Any) -> Any:
    """A decorated function in a module of its own, as a project has it."""
    (folder / "project_of_test" / "conf" / "optim").mkdir(parents=True, exist_ok=True)
    (folder / "project_of_test" / "conf" / "config.yaml").write_text(CONFIG)
    (folder / "project_of_test" / "conf" / "optim" / "adam.yaml").write_text("beta: 0.9\n")
    (folder / "project_of_test" / "conf" / "optim" / "sgd.yaml").write_text("momentum: 0.5\n")
    package = folder / "project_of_test"
    for path, text in (("__init__.py", ""), ("train.py", "def main(cfg): return cfg\n")):
        package.mkdir(exist_ok=True)
        (package / path).write_text(text)
    for name in [name for name in sys.modules if name.startswith("project_of_test")]:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        module = importlib.import_module("project_of_test.train")
    finally:
        sys.path.remove(str(folder))
    return kind(module.main, config_name="config", config_path="conf", version_base="1.1")


ARGUMENTS = [
    [],
    ["lr=0.1"],
    ["lr=0.5"],
    ["lr=0.5", "epochs=3"],
    ["epochs=3", "lr=0.5"],
    ["lr=0.2", "lr=0.5"],
    ["model.deep.layers=7", "name=run"],
    ["model.width=4"],
    ["sizes=[3,4]"],
    ["num_workers=0"],
    ["dora.dir=elsewhere"],
    ["optim=sgd"],
    ["optim=sgd", "optim.momentum=0.9", "lr=1"],
    ["optim.beta=0.8"],
    ["+new=3"],
    ["+new={a: 1}"],
]


def test_the_signature_without_arguments_is_that_of_dora(tmp_path: Path) -> None:
    pytest.importorskip("hydra", reason="an optional package")
    main = program(tmp_path, HydraMain)
    assert main.get_xp([]).sig == "97d170e1"
    assert main.get_xp(["lr=0.1"]).sig == "97d170e1"
    assert main.get_xp(["lr=0.5", "epochs=3"]).sig == main.get_xp(["epochs=3", "lr=0.5"]).sig != "97d170e1"


def test_signatures_and_folders_are_those_of_dora(tmp_path: Path) -> None:
    pytest.importorskip("hydra", reason="an optional package")
    pytest.importorskip("dora.hydra", reason="Dora is compared with")
    from flash.solver.hydra import _dora_class

    ours, theirs = program(tmp_path, HydraMain), program(tmp_path, _dora_class())
    for argv in ARGUMENTS:
        one, other = ours.get_xp(argv), theirs.get_xp(argv)
        assert (one.sig, one.folder, one.argv) == (other.sig, other.folder, other.argv), argv
        assert one.history == other.history


def test_an_experiment_can_be_found_by_its_signature(tmp_path: Path) -> None:
    pytest.importorskip("hydra", reason="an optional package")
    main = program(tmp_path, HydraMain)
    xp = main.init_xp(main.get_xp(["lr=0.5"]))
    assert main.get_xp_from_sig(xp.sig).cfg.lr == 0.5
    with pytest.raises(ConfigurationError, match="Could not find experiment with signature 12345678"):
        main.get_xp_from_sig("12345678")
    with pytest.raises(ConfigurationError, match="Expected arguments such as lr=0.1, but got 'fast'"):
        main.get_xp(["fast"])


def test_a_container_without_a_user_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from flash.solver.hydra import _ensure_user

    monkeypatch.delenv("USER", raising=False)
    _ensure_user()
    assert os.environ["USER"]


def test_without_hydra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from flash.solver import hydra_main

    monkeypatch.setitem(sys.modules, "hydra", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"flash-solver\[hydra\]"):
        hydra_main("config", "conf")(lambda cfg: None)


def test_a_solver_in_an_experiment_has_its_folder_and_saves_its_configuration(tmp_path: Path) -> None:
    xp = XP(Settings(dir=tmp_path), cfg={"lr": 0.1}, argv=[], delta=[("lr", 0.1)])
    assert not is_xp()
    with xp.enter():
        assert get_xp() is xp
        solver = BaseSolver()
        assert list(solver.state_dict()) == ["history", "xp.cfg", "xp.sig"]
        with pytest.raises(SolverError, match="there is one"), xp.enter():
            pass
        with xp.enter(stack=True):
            assert is_xp()
    assert solver.folder == tmp_path / "xps" / str(xp.sig)
    solver.commit()
    assert (solver.folder / "checkpoint.th").exists()
    assert not is_xp()


def test_a_link_keeps_a_history_in_a_file(tmp_path: Path) -> None:
    link = Link(tmp_path / "history.json")
    link.load()
    link.push_metrics({"train": {"loss": 1.0}})
    link.update_history([*link.history, {"train": {"loss": 0.5}}])
    other = Link(tmp_path / "history.json")
    other.load()
    assert other.history == link.history == json.loads((tmp_path / "history.json").read_text())


def test_doras_experiments_are_taken_as_they_are(tmp_path: Path) -> None:
    conf = pytest.importorskip("dora.conf", reason="an optional package")
    from dora.xp import XP as DoraXP

    xp = DoraXP(conf.DoraConfig(dir=tmp_path), cfg={"lr": 1}, argv=[], delta=[])
    with xp.enter():
        assert get_xp() is xp
        solver = BaseSolver()
        solver.run_stage("train", lambda: {"loss": 1.0})
        solver.commit()
        again = BaseSolver()
        assert again.restore()
        assert again.epoch == 2
    assert json.loads((xp.folder / "history.json").read_text())[0]["train"]["loss"] == 1.0


@pytest.mark.parametrize("content", [b"", b"[1]", b"{}", b"\xff", b"[" * 100_000])
def test_a_damaged_history_is_an_error_that_says_where_the_metrics_are(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "history.json"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"history\.json, but the file is damaged: .*Remove it: the checkpoint"):
        Link(file).load()


def test_a_history_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "history.json").mkdir()
    with pytest.raises(CheckpointError, match=r"history\.json could not be written: .*An older file .* is untouched"):
        Link(tmp_path / "history.json").push_metrics({})
