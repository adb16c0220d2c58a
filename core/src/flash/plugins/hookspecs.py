"""The hooks that a plugin may implement. Each takes nothing and returns an iterable of descriptions.

A hook is called once, when something that plugins give is first looked up. It has to be quick and must not
import torch: describe with ``"module:attribute"`` strings, which are imported when they are used.
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
    Spec,
    Strategy,
    TaskSpec,
)

#: Raised by one when a plugin written for the new number could not work with an older flash-core.
HOOK_API: Final = 1

PROJECT: Final = "flash"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def flash_tasks() -> Iterable[TaskSpec]:
    """Tasks, each with its data module.

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
    """Backbones, one by one or as a catalogue that lists its names when it is asked.

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
    """Finetuning strategies, chosen by name in ``Trainer.finetune``.

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
    """More ways to fill a data module that already exists, of this plugin or of another.

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
    """Callbacks that a Trainer can be given by name, or gets by itself if they are automatic.

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
    """Parts of tasks that are chosen by name: outputs, optimizers, schedulers, metrics, losses, heads, augmentations.

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
    """Verbs of the command line, ``flash <name>``.

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
def flash_renames() -> Iterable[Renamed]:
    """Names that this plugin's classes, tasks, backbones and components had before, so that old checkpoints load.

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


#: What the results of each hook must be.
RESULTS: Final[dict[str, tuple[type[Spec], ...]]] = {
    "flash_tasks": (TaskSpec,),
    "flash_backbones": (Backbone, BackboneCatalogue),
    "flash_finetuning_strategies": (Strategy,),
    "flash_data_sources": (DataSource,),
    "flash_callbacks": (CallbackSpec,),
    "flash_components": COMPONENTS,
    "flash_commands": (Command,),
    "flash_renames": (Renamed,),
}
