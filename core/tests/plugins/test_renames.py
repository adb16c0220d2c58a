"""A plugin that renames its classes and names: what its earlier version stored loads, and nobody else's does."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

import flash
from flash.data.data_module import TensorPreprocess
from flash.errors import CheckpointError, ConfigurationError, PluginWarning, UnknownNameError
from flash.plugins import Backbone, Renamed, Strategy, get_host, hookimpl, isolated_plugins
from flash.plugins._current import use_host
from flash.plugins.renames import follow
from flash.serialization import resolve_class
from flash.testing import PluginSite

# Version 1.0 of a plugin: all of it in one module, under names that 2.0 changes.
ONE = {
    "plugin": """
        @hookimpl
        def flash_tasks():
            yield TaskSpec("audio/tones", task="acme_renamed.tasks:ToneTagger", data="acme_renamed.tasks:Tones")

        @hookimpl
        def flash_backbones():
            yield Backbone("wav_net", domain="audio", factory="acme_renamed.tasks:wav_net")

        @hookimpl
        def flash_components():
            yield Optimizer("steps", target="torch.optim:SGD")
        """,
    "tasks": """
        import torch
        from flash import DataModule, Preprocess, Task
        from flash.core.registry import backbone_registry
        from flash.core.structure import changes_structure

        class Scaling(Preprocess):
            def __init__(self, factor=1.0):
                super().__init__()
                self.factor = factor
            def to_tensor_transform(self, sample):
                return torch.as_tensor(sample) * self.factor

        class Tones(DataModule): ...

        def wav_net(): return torch.nn.Linear(2, 3)

        @changes_structure
        def widen(task, size): task.head = torch.nn.Linear(3, size)

        class ToneTagger(Task):
            backbones = backbone_registry("audio")
            def __init__(self, backbone="wav_net", **kwargs):
                super().__init__(loss_fn=torch.nn.functional.mse_loss, **kwargs)
                self.backbone = self.backbones.get(backbone, prefer="acme-audio")()
                self.head = torch.nn.Linear(3, 1)
            def forward(self, x): return self.head(self.backbone(x))
        """,
}
RENAMES = """
        @hookimpl
        def flash_renames():
            for name, new in (("Scaling", "Scale"), ("widen", "grow"), ("Tones", "AudioData")):
                yield Renamed(f"acme_renamed.tasks:{name}", f"acme_renamed.models:{new}")
            yield Renamed("audio/tones", "audio/tagging", of="task")
            yield Renamed("wav_net", "wav_cnn", of="backbone")
            yield Renamed("steps", "sgd", of="optimizer")
        """
# Version 2.0: another module, and other names for everything.
NEW_NAMES = {
    "Scaling": "Scale",
    "widen": "grow",
    "Tones": "AudioData",
    "ToneTagger": "AudioTagger",
    "audio/tones": "audio/tagging",
    "wav_net": "wav_cnn",
    '"steps"': '"sgd"',
    "acme_renamed.tasks": "acme_renamed.models",
}


def renamed(text: str) -> str:
    for old, new in NEW_NAMES.items():
        text = text.replace(old, new)
    return text


TWO = {"plugin": renamed(ONE["plugin"]) + RENAMES, "models": renamed(ONE["tasks"])}
Install = Callable[[str, dict[str, str]], AbstractContextManager[PluginSite]]
HEADER = "from flash.plugins import *\nfrom flash.plugins import hookimpl\n"


def sources(modules: dict[str, str]) -> dict[str, str]:
    """The files of the package, of the texts of its modules."""
    texts = {name: HEADER + textwrap.dedent(text) for name, text in modules.items()}
    return {f"acme_renamed/{name}.py": text for name, text in {"__init__": "", **texts}.items()}


@pytest.fixture
def installed(tmp_path: Path) -> Install:
    """Installs one version of acme-audio, alone, for a while."""

    @contextmanager
    def install(version: str, modules: dict[str, str]) -> Iterator[PluginSite]:
        with PluginSite(tmp_path / version) as site:
            site.install("acme-audio", sources(modules), version=version)
            yield site

    return install


def store(path: Path) -> torch.Tensor:
    """Write a checkpoint of the first version's task, and return what it predicts."""
    from acme_renamed import tasks  # type: ignore[import-not-found]  # the test installs it

    torch.manual_seed(0)
    task = tasks.ToneTagger(optimizer="steps", learning_rate=0.1, preprocess=tasks.Scaling(2.0))
    task.change_structure(tasks.widen, size=2)
    trainer = flash.Trainer(max_epochs=0, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.strategy.connect(task)
    trainer.save_checkpoint(path)
    return torch.as_tensor(task.predict(torch.ones(1, 2), output="raw")[0])


def test_a_checkpoint_loads_after_its_plugin_renamed_everything(installed: Install, tmp_path: Path) -> None:
    path = tmp_path / "old.ckpt"
    with installed("1.0", ONE):
        expected = store(path)
    with installed("2.0", TWO):
        task = flash.Task.load_from_checkpoint(path)
        found = torch.as_tensor(task.predict(torch.ones(1, 2), output="raw")[0])
        assert type(task).__name__ == "AudioTagger"
        assert type(task.preprocess).__name__ == "Scale"
        assert type(task).backbones.qualified("wav_net") == "acme-audio/wav_cnn"
    assert torch.equal(found, expected)


def test_a_checkpoint_of_a_class_that_no_spec_names_loads_by_its_path(installed: Install, tmp_path: Path) -> None:
    path = tmp_path / "old.ckpt"
    with installed("1.0", ONE):
        store(path)
    stored = torch.load(path, weights_only=True)
    stored["flash"]["task"]["spec"] = None  # As files of flash-core 0.1.0 have it.
    torch.save(stored, path)
    more = 'yield Renamed("acme_renamed.tasks:ToneTagger", "acme_renamed.models:AudioTagger")'
    with installed("2.0", {**TWO, "plugin": TWO["plugin"].rstrip() + f"\n            {more}\n"}):
        assert type(flash.Task.load_from_checkpoint(path)).__name__ == "AudioTagger"


def test_without_the_map_the_error_names_the_hook(installed: Install, tmp_path: Path) -> None:
    path = tmp_path / "old.ckpt"
    with installed("1.0", ONE):
        store(path)
    with (
        installed("2.0", {**TWO, "plugin": renamed(ONE["plugin"])}),
        pytest.raises(CheckpointError, match=r"acme-audio 1\.0, which is installed here as .* the hook flash_renames"),
    ):
        flash.Task.load_from_checkpoint(path)


def test_a_name_that_is_still_there_keeps_its_meaning(installed: Install, tmp_path: Path) -> None:
    path = tmp_path / "old.ckpt"
    with installed("1.0", ONE):
        store(path)
    with installed("1.1", {**ONE, "models": TWO["models"], "plugin": ONE["plugin"] + RENAMES}):
        assert type(flash.Task.load_from_checkpoint(path).preprocess).__name__ == "Scaling"


def test_a_run_goes_on_from_a_checkpoint_whose_adapters_have_another_name_now() -> None:
    from flash.core.structure import same_change

    class Plugin:
        @hookimpl
        def flash_renames(self) -> Any:
            yield Renamed("acme.a:widen", "acme.b:grow")

    old = {"target": "acme.a:widen", "dist": "Plugin", "arguments": {"size": 2}}
    new = {**old, "target": "acme.b:grow"}
    with isolated_plugins(Plugin()):
        assert same_change(new, old)
        assert not same_change(new, {**old, "dist": "another"})
    assert not same_change(new, old)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("flash.core.gone:Task", "thief:Mine", "flash.core.gone:Task, which belongs to flash-core"),
        ("flash.image.gone:ImageClassifier", "thief:Mine", "which belongs to flash-image"),
        ("acme_renamed.gone:Tagger", "thief:Mine", "acme_renamed.gone:Tagger, which belongs to acme-audio"),
        ("thief:Old", "acme_renamed.tasks:ToneTagger", "which belongs to acme-audio"),
    ],
)
def test_a_plugin_that_renames_the_class_of_another_one_is_refused(
    installed: Install, old: str, new: str, named: str
) -> None:
    thief = HEADER + f"@hookimpl\ndef flash_renames():\n    yield Renamed({old!r}, {new!r})\n"
    with installed("1.0", ONE) as site:
        site.install("thief", {"thief/__init__.py": "", "thief/plugin.py": thief})
        with pytest.warns(PluginWarning, match=r"plugin 'thief' \(thief 1\.0\) failed .* flash_renames names"):
            infos = get_host().infos()
        (info,) = (each for each in infos if each.dist == "thief")
        assert info.state == "failed"
        assert info.error
        assert info.error.endswith(f"{named}; a plugin renames its own classes only")
        assert not info.contributions
        assert get_host().tasks()["audio/tones"].provider.dist == "acme-audio"


def test_only_the_distribution_that_gave_a_name_can_rename_it() -> None:
    class Acme:
        @hookimpl
        def flash_backbones(self) -> Any:
            yield Backbone("new", domain="audio", factory="collections:Counter")

        @hookimpl
        def flash_renames(self) -> Any:
            yield Renamed("old", "new", of="backbone")

    class Other:
        @hookimpl
        def flash_backbones(self) -> Any:
            yield Backbone("new", domain="audio", factory="collections:OrderedDict")

    from flash.core.registry import backbone_registry

    backbones = backbone_registry("audio")
    with isolated_plugins(Acme(), Other()) as host:
        assert backbones.qualified("old") == "acme/new"
        assert backbones.get("Acme/old").__name__ == "Counter"
        with pytest.raises(UnknownNameError, match=r"'Other/old' is not among the audio backbones"):
            backbones.get("Other/old")
        assert host.renamed("old", of="backbone", dist="Other") is None
        assert host.renamed("old", of="optimizer", dist="Acme") is None


def test_two_plugins_may_have_renamed_the_same_name(site: Any) -> None:
    source = """
@hookimpl
def flash_backbones():
    yield Backbone("new_{0}", domain="audio", factory="collections:Counter")
@hookimpl
def flash_renames():
    yield Renamed("old", "new_{0}", of="backbone")
"""
    site.install("one", a=source.format("a"))
    site.install("two", b=source.format("b"))
    with use_host(site.host()) as host:
        assert not any(info.clashes for info in host.infos())
        from flash.core.registry import backbone_registry

        assert backbone_registry("audio").qualified("two/old") == "two/new_b"


def test_renames_add_up_and_a_circle_ends() -> None:
    steps = [Renamed("a", "b", of="metric"), Renamed("b", "c", of="metric"), Renamed("x", "y", of="metric")]
    assert follow(steps, "a") == "c"
    assert follow(steps, "z") is None
    assert follow([*steps, Renamed("c", "a", of="metric")], "a") == "c"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("wav_net", "wav_cnn"), r"Renamed\.old must look like 'package\.module:attribute', but got 'wav_net'.* of='b"),
        (("acme:Old", "New"), r"Renamed\.new must look like 'package\.module:attribute', but got 'New'"),
        (("tones", "audio/tones", "task"), r"Renamed\.old must be of lower-case .* such as 'image/classification'"),
        (("acme/old", "new", "backbone"), r"Renamed\.old must be of letters, digits .* but got 'acme/old'"),
        (("a", "b", "layer"), r"Renamed\.of must be one of class, task, .* augmentation, but got 'layer'"),
        (("a", "a", "loss"), r"Renamed\.old and Renamed\.new must differ, but both are 'a'"),
    ],
)
def test_a_malformed_rename_is_refused(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Renamed(*arguments)


def test_what_a_rename_says_in_listings() -> None:
    rename = Renamed("wav_net", "wav_cnn", of="backbone")
    assert (rename.name, rename.summary, rename.targets) == ("wav_net", "Is called wav_cnn now.", {})


def test_a_name_is_renamed_once() -> None:
    class Plugin:
        @hookimpl
        def flash_finetuning_strategies(self) -> Any:
            yield Strategy("slow", factory="acme:Slow")

        @hookimpl
        def flash_renames(self) -> Any:
            yield Renamed("old", "slow", of="strategy")
            yield Renamed("old", "fast", of="strategy")

    with (
        pytest.raises(flash.FlashError, match=r"flash_renames returns the strategy rename 'old' twice"),
        isolated_plugins(Plugin()),
    ):
        pass


def test_a_preprocess_of_tensors_loads_under_its_former_name() -> None:
    former = {"class": "flash.data.data_module:_PairPreprocess", "dist": "flash-core", "version": "0.1.0", "spec": None}
    assert resolve_class(former, flash.Preprocess) is TensorPreprocess
