"""Installing a plugin changes neither what a program means that ran before, nor what its checkpoints mean."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

import flash
from flash.core.checkpoint import qualified_arguments
from flash.errors import PluginConflictError
from flash.plugins import get_host
from flash.testing import PluginSite

AUDIO = {
    "plugin": """
        @hookimpl
        def flash_tasks():
            yield TaskSpec("audio/tones", task="acme_tones.tasks:Tagger", data="acme_tones.tasks:Tones")

        @hookimpl
        def flash_backbones():
            yield Backbone("net", domain="audio", factory="acme_tones.tasks:net")

        @hookimpl
        def flash_components():
            yield Optimizer("steps", target="acme_tones.tasks:Steps")
            yield LRScheduler("slope", target="acme_tones.tasks:slope")
            yield Output("heard", target="acme_tones.tasks:heard", scope="audio/*")
            yield Loss("distance", target="acme_tones.tasks:distance")
            yield Metric("error", target="acme_tones.tasks:error", scope="audio/*")
        """,
    "tasks": """
        import torch
        from flash import DataModule, Task
        from flash.core.registry import backbone_registry
        from flash.plugins import default_owner

        class Tones(DataModule): ...
        class Steps(torch.optim.SGD): ...

        def net(): return torch.nn.Linear(2, 3)
        def slope(optimizer): return torch.optim.lr_scheduler.ConstantLR(optimizer)
        def heard(predictions, task): return [f"heard {each:.0f}" for each in predictions.flatten().tolist()]
        def distance(predictions, targets): return (predictions - targets).abs().mean()
        def error(): return lambda predictions, targets: (predictions - targets).abs().max()

        class Tagger(Task):
            backbones = backbone_registry("audio")
            default_output = "heard"
            def __init__(
                self, backbone="net", optimizer="steps", lr_scheduler="slope", loss_fn="distance", metrics="error"
            ):
                super().__init__(
                    optimizer=optimizer, lr_scheduler=lr_scheduler, loss_fn=loss_fn, metrics=metrics, learning_rate=0.1
                )
                owner = default_owner(self, "backbone", backbone)
                self.backbone = self.backbones.get(backbone, prefer=owner)()
                self.head = torch.nn.Linear(3, 1)
            def forward(self, x): return self.head(self.backbone(x))
        """,
}
# Another plugin with all of these names, none of which can be used with the task above.
RIVAL = {
    "plugin": """
        @hookimpl
        def flash_backbones():
            yield Backbone("net", domain="audio", factory="rival.gone:net")

        @hookimpl
        def flash_components():
            yield Optimizer("steps", target="rival.gone:Steps")
            yield LRScheduler("slope", target="rival.gone:slope")
            yield Output("heard", target="rival.gone:heard", scope="audio/*")
            yield Loss("distance", target="rival.gone:distance")
            yield Metric("error", target="rival.gone:error", scope="audio/*")
        """
}


def sources(package: str, modules: dict[str, str]) -> dict[str, str]:
    """The files of a package, of the texts of its modules."""
    header = "from flash.plugins import *\nfrom flash.plugins import hookimpl\n"
    texts = {name: header + textwrap.dedent(text) for name, text in modules.items()}
    return {f"{package}/{name}.py": text for name, text in {"__init__": "", **texts}.items()}


def data() -> flash.DataModule:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(8, 2, generator=generator), torch.randn(8, 1, generator=generator)
    return flash.DataModule.from_tensors(x, y, seed=0, batch_size=4)


def train(trainer_options: dict[str, Any], task: Any = None) -> tuple[Any, flash.Trainer]:
    from acme_tones import tasks  # type: ignore[import-not-found]  # the test installs it

    torch.manual_seed(0)
    task = tasks.Tagger() if task is None else task
    trainer = flash.Trainer(max_epochs=1, **trainer_options)
    trainer.fit(task, data())
    return task, trainer


def test_a_program_and_its_checkpoint_mean_the_same_with_a_rival_of_every_name(
    plugin_site: PluginSite, tmp_path: Path, trainer_options: dict[str, Any]
) -> None:
    path, x = tmp_path / "task.ckpt", torch.ones(3, 2)
    plugin_site.install("acme-audio", sources("acme_tones", AUDIO))
    before, trainer = train(trainer_options)
    expected = before.predict(x)
    trainer.save_checkpoint(path)
    numbers = dict(trainer.callback_metrics)
    assert {"train_loss", "train_error"} <= {*numbers}
    plugin_site.install("rival", sources("rival", RIVAL))
    assert all(len(info.clashes) == 6 for info in get_host().infos() if info.dist in {"acme-audio", "rival"})
    again, trainer = train(trainer_options)
    assert again.predict(x) == expected
    assert trainer.callback_metrics == numbers
    loaded = flash.Task.load_from_checkpoint(path)
    assert loaded.predict(x) == expected
    # It also trains on, with the optimizer, the scheduler, the loss and the metric that it was stored with.
    _, trainer = train(trainer_options, loaded)
    assert type(trainer.optimizers[0]).__name__ == "Steps"
    assert {*numbers} == {*trainer.callback_metrics}
    with pytest.raises(PluginConflictError, match=r"Write 'acme-audio/steps' or 'rival/steps'"):
        flash.Task(torch.nn.Linear(2, 1), optimizer="steps").configure_optimizers()


@pytest.fixture
def trainer_options() -> dict[str, Any]:
    return {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}


def test_names_in_a_list_that_is_a_default_mean_what_its_distribution_gives(plugin_site: PluginSite) -> None:
    several = AUDIO["tasks"].replace('metrics="error"', 'metrics=("error", "mse")')
    plugin_site.install("acme-audio", sources("acme_tones", {**AUDIO, "tasks": several}))
    plugin_site.install("rival", sources("rival", RIVAL))
    from acme_tones import tasks

    stored = qualified_arguments(tasks.Tagger())
    assert stored["metrics"] == ("acme-audio/error", "mse")
    assert stored["lr_scheduler"] == "acme-audio/slope"
