"""The hooks that a plugin may implement. Each takes no arguments and returns an iterable of descriptions.

A hook is called once, when a contribution of any plugin is first looked up. It has to be fast and must not
import torch: refer to objects by ``"module:attribute"`` strings, which are imported on first use.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pluggy

from flash.plugins.components import COMPONENTS, Component
from flash.plugins.renames import Renamed
from flash.plugins.types import (
    Backbone,
    BackboneCatalogue,
    CallbackSpec,
    Command,
    DataSource,
    Engine,
    Exporter,
    Recipe,
    Spec,
    Strategy,
    TaskSpec,
)

#: Version of the hooks; incremented when a plugin written for the new version does not work with an older flash-core.
HOOK_API: Final = 1

PROJECT: Final = "flash"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def flash_tasks() -> Iterable[TaskSpec]:
    """Return tasks, each with its data module.

    Example:
        >>> from flash.plugins import TaskSpec, hookimpl, isolated_plugins
        >>> class Plugin:
        ...     @hookimpl
        ...     def flash_tasks(self):
        ...         yield TaskSpec("audio/classification", task="acme.task:Task", data="acme.data:Data")
        >>> with isolated_plugins(Plugin()) as host:
        ...     print(*host.tasks())
        audio/classification
    """
    return ()


@hookspec
def flash_backbones() -> Iterable[Backbone | BackboneCatalogue]:
    """Return backbones, one by one or as a catalogue that lists its names on request.

    Example:
        >>> from flash.plugins import Backbone, hookimpl, isolated_plugins
        >>> class Plugin:
        ...     @hookimpl
        ...     def flash_backbones(self):
        ...         yield Backbone("wav_cnn", domain="audio", factory="acme.backbones:wav_cnn")
        >>> with isolated_plugins(Plugin()) as host:
        ...     print(*host.backbones("audio"))
        wav_cnn
    """
    return ()


@hookspec
def flash_finetuning_strategies() -> Iterable[Strategy]:
    """Return finetuning strategies, selected by name in ``Trainer.finetune``.

    Example:
        >>> from flash.plugins import Strategy, hookimpl, isolated_plugins
        >>> class Plugin:
        ...     @hookimpl
        ...     def flash_finetuning_strategies(self):
        ...         yield Strategy("chain_thaw", factory="acme.finetuning:ChainThaw")
        >>> with isolated_plugins(Plugin()) as host:
        ...     print("chain_thaw" in host.strategies())
        True
    """
    return ()


@hookspec
def flash_data_sources() -> Iterable[DataSource]:
    """Return additional constructors for an existing data module, of this plugin or of another one.

    Example:
        >>> from flash.plugins import DataSource, hookimpl, isolated_plugins
        >>> class Plugin:
        ...     @hookimpl
        ...     def flash_data_sources(self):
        ...         yield DataSource("lmdb", data="*", factory="acme.sources:from_lmdb")
        >>> with isolated_plugins(Plugin()) as host:
        ...     print(*host.data_sources("image/classification"))
        lmdb
    """
    return ()


@hookspec
def flash_callbacks() -> Iterable[CallbackSpec]:
    """Return callbacks that a Trainer accepts by name, or adds by default if they are automatic.

    Example:
        >>> from flash.plugins import CallbackSpec, hookimpl, isolated_plugins
        >>> class Plugin:
        ...     @hookimpl
        ...     def flash_callbacks(self):
        ...         yield CallbackSpec("carbon", factory="acme.callbacks:Carbon", automatic=True)
        >>> with isolated_plugins(Plugin()) as host:
        ...     print(host.callbacks()["carbon"].provider.plugin)
        Plugin
    """
    return ()


@hookspec
def flash_components() -> Iterable[Component]:
    """Return parts of tasks that are selected by name, such as outputs, optimizers, metrics and losses.

    Example:
        >>> from flash.plugins import Optimizer, Output, hookimpl, isolated_plugins
        >>> class Plugin:
        ...     @hookimpl
        ...     def flash_components(self):
        ...         yield Optimizer("lion", target="acme.optimizers:Lion")
        ...         yield Output("top3", target="acme.outputs:top3", scope="*/classification")
        >>> with isolated_plugins(Plugin()) as host:
        ...     "lion" in host.components("optimizer"), "top3" in host.components("output", "text/classification")
        (True, True)
    """
    return ()


@hookspec
def flash_commands() -> Iterable[Command]:
    """Return subcommands of the command line, ``flash <name>``.

    Example:
        >>> from flash.plugins import Command, hookimpl, isolated_plugins
        >>> class Plugin:
        ...     @hookimpl
        ...     def flash_commands(self):
        ...         yield Command("listen", target="acme.cli:listen", summary="Play a recording.")
        >>> with isolated_plugins(Plugin()) as host:
        ...     host.commands()["listen"].spec.summary
        'Play a recording.'
    """
    return ()


@hookspec
def flash_engines() -> Iterable[Engine]:
    """Return where commands can train and predict, ``flash fit --engine <name>``.

    Example:
        >>> from flash.plugins import Engine, hookimpl, isolated_plugins
        >>> class Plugin:
        ...     @hookimpl
        ...     def flash_engines(self):
        ...         yield Engine("grid", fit="acme.grid:fit", predict="acme.grid:predict", summary="On the grid.")
        >>> with isolated_plugins(Plugin()) as host:
        ...     print(*host.engines())
        grid
    """
    return ()


@hookspec
def flash_recipes() -> Iterable[Recipe]:
    """Return candidates for the baselines of tasks, of this plugin or of another one.

    Example:
        >>> from flash.plugins import Recipe, hookimpl, isolated_plugins
        >>> class Plugin:
        ...     @hookimpl
        ...     def flash_recipes(self):
        ...         yield Recipe("wav_cnn", target="acme.recipes:wav_cnn", scope="audio/*")
        >>> with isolated_plugins(Plugin()) as host:
        ...     print(*host.recipes("audio/classification"))
        wav_cnn
    """
    return ()


@hookspec
def flash_exporters() -> Iterable[Exporter]:
    """Return formats in which tasks are exported, selected by name in ``task.export``.

    Example:
        >>> from flash.plugins import Exporter, hookimpl, isolated_plugins
        >>> class Plugin:
        ...     @hookimpl
        ...     def flash_exporters(self):
        ...         yield Exporter("coreml", target="acme.coreml:export", summary="For phones.")
        >>> with isolated_plugins(Plugin()) as host:
        ...     print(*host.exporters("image/classification"))
        coreml
    """
    return ()


@hookspec
def flash_renames() -> Iterable[Renamed]:
    """Return former names of this plugin's classes, tasks, backbones and components, so that old checkpoints load.

    Example:
        >>> from flash.plugins import Renamed, hookimpl, isolated_plugins
        >>> class Plugin:
        ...     @hookimpl
        ...     def flash_renames(self):
        ...         yield Renamed("acme.tasks:ToneTagger", "acme.models:AudioClassifier")
        ...         yield Renamed("wav_cnn", "wav_cnn.v1", of="backbone")
        >>> with isolated_plugins(Plugin()) as host:
        ...     host.renamed("wav_cnn", of="backbone", dist="Plugin")
        'wav_cnn.v1'
    """
    return ()


#: The types that each hook may return.
RESULTS: Final[dict[str, tuple[type[Spec], ...]]] = {
    "flash_tasks": (TaskSpec,),
    "flash_backbones": (Backbone, BackboneCatalogue),
    "flash_finetuning_strategies": (Strategy,),
    "flash_data_sources": (DataSource,),
    "flash_callbacks": (CallbackSpec,),
    "flash_components": COMPONENTS,
    "flash_commands": (Command,),
    "flash_engines": (Engine,),
    "flash_recipes": (Recipe,),
    "flash_exporters": (Exporter,),
    "flash_renames": (Renamed,),
}
