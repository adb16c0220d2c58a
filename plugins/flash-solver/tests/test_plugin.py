from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import flash.solver


@pytest.mark.process
def test_the_command_line_lists_the_plugin_and_has_no_complaint() -> None:
    for arguments in (["plugins"], ["plugins", "--check"]):
        result = subprocess.run(
            [sys.executable, "-m", "flash", *arguments], capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr + result.stdout
        assert "flash-solver" in result.stdout
        assert "failed" not in result.stdout


@pytest.mark.process
def test_listing_plugins_imports_no_torch() -> None:
    program = (
        "import sys\nfrom flash.plugins import get_host\n"
        "print([info.state.value for info in get_host().infos() if info.dist == 'flash-solver'])\n"
        "import flash.solver._plugin\nprint('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split("\n")[1] == "False"


@pytest.mark.parametrize("name", flash.solver.__all__)
def test_every_public_name_is_there(name: str) -> None:
    pytest.importorskip("hydra", reason="hydra_main is among the names") if name == "hydra_main" else None
    assert getattr(flash.solver, name) is not None
    assert name in dir(flash.solver)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Solver'"):
        getattr(flash.solver, "Solver")  # noqa: B009  # the type checker knows that there is none


def test_the_names_of_flashy_are_here() -> None:
    names = {
        "flash.solver": "distrib adversarial Formatter ResultLogger LogProgressBar bold setup_logging BaseSolver",
        "flash.solver.state": "StateDict StateDictSource AttributeWrapper WriteOnlyWrapper StateManager",
        "flash.solver.utils": "averager write_and_rename readonly AnyPath",
        "flash.solver.loggers": "ExperimentLogger TensorboardLogger WandbLogger",
        "flash.solver.loggers.localfs": "LocalFSLogger",
        "flash.solver.logging": "colorize bold setup_logging LogProgressBar ResultLogger",
        "flash.solver.solver": "BaseSolver",
        "flash.solver.formatter": "Formatter",
        "flash.solver.adversarial": "AdversarialLoss",
        "flash.solver.distrib": (
            "rank world_size init rank_zero_only is_rank_zero is_distributed all_reduce average_metrics wrap "
            "average_tensors broadcast_tensors broadcast_model sync_gradients eager_sync_gradients sync_model "
            "eager_sync_model loader broadcast_object barrier"
        ),
    }
    import importlib

    for module, wanted in names.items():
        found = importlib.import_module(module)
        assert [name for name in wanted.split() if not hasattr(found, name)] == []


def test_the_arguments_of_flashy_are_in_their_order_with_their_defaults() -> None:
    import inspect

    def of(function: object, count: int) -> str:
        parameters = list(inspect.signature(function).parameters.values())  # type: ignore[arg-type]
        return ", ".join(str(each.replace(annotation=inspect.Parameter.empty)) for each in parameters[:count])

    assert of(flash.solver.averager, 1) == "beta=1"
    assert of(flash.solver.write_and_rename, 4) == "path, mode='wb', suffix='.tmp', pid=False"
    assert of(flash.solver.setup_logging, 3) == "with_file_log=True, folder=None, log_name='solver.log.{rank}'"
    assert of(flash.solver.LogProgressBar, 11).startswith(
        "logger, iterable, updates=5, min_interval=1, time_per_it=False, total=None, name='LogProgressBar', level=20"
    )
    assert of(flash.solver.BaseSolver.log_progress, 5) == "self, stage_name, iterable, total=None, updates=5"
    assert of(flash.solver.BaseSolver.commit, 2) == "self, save_checkpoint=True"
    assert of(flash.solver.BaseSolver.log_metrics, 4) == "self, stage_name, metrics, formatter=None"
    assert of(flash.solver.distrib.broadcast_object, 3) == "obj=None, src=0, device=None"
    assert of(flash.solver.distrib.sync_model, 3) == "model, sync_buffers=True, average_buffers=True"


def test_the_package_ships_its_types() -> None:
    assert (Path(flash.solver.__file__).parent / "py.typed").exists()
