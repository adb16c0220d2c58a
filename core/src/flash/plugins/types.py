"""Descriptions that a plugin returns to Flash: frozen dataclasses whose targets are imported on first use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from flash.errors import ConfigurationError
from flash.plugins._spec import ANY_CASE_NAME, SHA256, TASK_NAME, BaseSpec, check_name, check_target
from flash.plugins.components import Component, Exporter, Recipe
from flash.plugins.renames import Renamed

__all__ = [
    "Backbone",
    "BackboneCatalogue",
    "CallbackSpec",
    "Command",
    "DataSource",
    "Engine",
    "Exporter",
    "Recipe",
    "Renamed",
    "Spec",
    "Strategy",
    "TaskSpec",
    "check_target",
]


@dataclass(frozen=True)
class TaskSpec(BaseSpec):
    """A task and its data module.

    Args:
        name: ``"<domain>/<task>"``.
        task: Target of the :class:`flash.Task` subclass.
        data: Target of the :class:`flash.DataModule` subclass.
        summary: One sentence for ``flash tasks``.

    Raises:
        ConfigurationError: If the name or a target is malformed.

    Example:
        >>> spec = TaskSpec("audio/classification", task="acme.task:Task", data="acme.data:Data")
        >>> spec.domain
        'audio'
    """

    task: str
    data: str
    summary: str = ""

    kind: ClassVar[str] = "task"
    target_fields: ClassVar[tuple[str, ...]] = ("task", "data")
    name_pattern: ClassVar[re.Pattern[str]] = TASK_NAME

    @property
    def domain(self) -> str:
        """The part of the name before the slash."""
        return self.name.partition("/")[0]


@dataclass(frozen=True)
class Backbone(BaseSpec):
    """A backbone for the tasks of a domain.

    Args:
        name: The name for ``backbone="..."``; it may have capital letters.
        domain: The domain whose tasks can use it, such as ``"image"``.
        factory: Target of the callable that builds it; the domain defines its arguments.
        pretrained: Whether pretrained weights are available.
        summary: One sentence for ``flash backbones``.
        source: Paper or URL.
        license: License of the weights.
        sha256: Checksum of the file with the weights, as 64 lower-case hexadecimal digits, where the factory checks it.

    Raises:
        ConfigurationError: If a name, the target or the checksum is malformed.

    Example:
        >>> Backbone("wav_cnn", domain="audio", factory="acme.backbones:wav_cnn").scope
        'audio'
    """

    domain: str
    factory: str
    pretrained: bool = False
    summary: str = ""
    source: str | None = None
    license: str | None = None
    sha256: str | None = None

    kind: ClassVar[str] = "backbone"
    name_pattern: ClassVar[re.Pattern[str]] = ANY_CASE_NAME

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name("Backbone", "domain", self.domain)
        if self.sha256 is not None and not (isinstance(self.sha256, str) and SHA256.fullmatch(self.sha256)):
            raise ConfigurationError(
                f"Backbone.sha256 must be 64 lower-case hexadecimal digits, such as sha256sum prints, but got "
                f"{self.sha256!r}"
            )

    @property
    def scope(self) -> str:
        """The domain."""
        return self.domain


@dataclass(frozen=True)
class BackboneCatalogue(BaseSpec):
    """A large collection of backbones that lists its names on request.

    Args:
        name: Name of the collection, such as ``"zoo"``.
        domain: The domain whose tasks can use its backbones.
        names: Target of a callable without arguments that returns the names; it must be cheap.
        factory: Target of a callable that is called as ``factory(name, **kwargs)``.
        open: Whether the factory also accepts names that are not listed, such as those of a model hub.
        summary: One sentence for ``flash backbones``.

    Raises:
        ConfigurationError: If a name or a target is malformed.

    Example:
        >>> zoo = BackboneCatalogue("zoo", domain="audio", names="acme.zoo:names", factory="acme.zoo:build")
        >>> zoo.targets
        {'names': 'acme.zoo:names', 'factory': 'acme.zoo:build'}
    """

    domain: str
    names: str
    factory: str
    open: bool = False
    summary: str = ""

    kind: ClassVar[str] = "catalogue"
    target_fields: ClassVar[tuple[str, ...]] = ("names", "factory")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name("BackboneCatalogue", "domain", self.domain)

    @property
    def scope(self) -> str:
        """The domain."""
        return self.domain


@dataclass(frozen=True)
class Strategy(BaseSpec):
    """A finetuning strategy, selected by name in ``Trainer.finetune(..., strategy="...")``.

    Args:
        name: The name to select it by.
        factory: Target of a callable that returns a Lightning ``BaseFinetuning`` callback.
        summary: One sentence for ``flash strategies``.

    Raises:
        ConfigurationError: If the name or the target is malformed.

    Example:
        >>> Strategy("chain_thaw", factory="acme.finetuning:ChainThaw").kind
        'strategy'
    """

    factory: str
    summary: str = ""

    kind: ClassVar[str] = "strategy"


@dataclass(frozen=True)
class DataSource(BaseSpec):
    """An additional constructor for an existing data module.

    Args:
        name: The name to select it by.
        data: Name of the task whose data module it fills, or ``"*"`` for all of them.
        factory: Target of a callable that is called as ``factory(datamodule_cls, **kwargs)`` and returns a
            data module.
        summary: One sentence for listings.

    Raises:
        ConfigurationError: If a name or the target is malformed.

    Example:
        >>> DataSource("label_studio", data="image/classification", factory="acme.sources:label_studio").scope
        'image/classification'
    """

    data: str
    factory: str
    summary: str = ""

    kind: ClassVar[str] = "data source"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.data != "*":
            check_name("DataSource", "data", self.data, TASK_NAME)

    @property
    def scope(self) -> str:
        """The task whose data module is filled, or ``"*"``."""
        return self.data


@dataclass(frozen=True)
class CallbackSpec(BaseSpec):
    """A Lightning callback that a Trainer accepts by name.

    Args:
        name: The name to select it by.
        factory: Target of a callable that returns the callback.
        summary: One sentence for listings.
        automatic: Whether every Trainer adds it by default.

    Raises:
        ConfigurationError: If the name or the target is malformed.

    Example:
        >>> CallbackSpec("carbon", factory="acme.callbacks:Carbon").automatic
        False
    """

    factory: str
    summary: str = ""
    automatic: bool = False

    kind: ClassVar[str] = "callback"


@dataclass(frozen=True)
class Command(BaseSpec):
    """A subcommand of the command line, ``flash <name>``.

    Args:
        name: The subcommand.
        target: Target of a callable that is called with the arguments after the name, a list of strings, and returns
            the exit code, or None for 0.
        summary: One sentence for ``flash --help``.

    Raises:
        ConfigurationError: If the name or the target is malformed.

    Example:
        >>> Command("listen", target="acme.cli:listen", summary="Play a recording.").scope
        ''
    """

    target: str
    summary: str = ""

    kind: ClassVar[str] = "command"
    target_fields: ClassVar[tuple[str, ...]] = ("target",)


@dataclass(frozen=True)
class Engine(BaseSpec):
    """Engine that commands train and predict with, instead of in their own process: ``flash fit --engine <name>``.

    Args:
        name: The name to select it by; its options are ``--<name>.<option>``.
        fit: Target of a function that is called as ``fit(task, data, strategy=strategy, trainer=options,
            folder=folder, **own)``: with a finetuning strategy or ``None``, the arguments of :class:`flash.Trainer` as
            a dict, and the folder of the run. It trains the task in place and returns the path of a checkpoint of it.
        predict: Target of a function that is called as ``predict(checkpoint, source, target, id_field=name,
            names=names, output=output, batch_size=number, reading=options, **own)``: with the column of ids or
            ``None``, the names of the two columns, and the options of text tables as a dict. It writes the file, with
            a row per input in their order, and returns the number of rows.
        summary: One sentence for listings.
        pool: Target of a function that is called as ``pool(num_workers, initializer, initargs)`` and returns a
            ``concurrent.futures.Executor`` of so many workers, each of which has called ``initializer(*initargs)``
            before what is submitted; ``flash baseline --engine <name>`` races in them. A worker that dies is replaced,
            and what it was running is tried again. ``None`` if it has none.

    Further parameters of ``fit`` and ``predict`` are the engine's own options, with their types and docstrings.

    Raises:
        ConfigurationError: If the name or a target is malformed.

    Example:
        >>> Engine("grid", fit="acme.grid:fit", predict="acme.grid:predict").targets
        {'fit': 'acme.grid:fit', 'predict': 'acme.grid:predict'}
    """

    fit: str
    predict: str
    summary: str = ""
    pool: str | None = None

    kind: ClassVar[str] = "engine"
    target_fields: ClassVar[tuple[str, ...]] = ("fit", "predict", "pool")


_Selected = (
    Backbone
    | BackboneCatalogue
    | Strategy
    | DataSource
    | CallbackSpec
    | Command
    | Engine
    | Recipe
    | Exporter
    | Component
)
Spec = TaskSpec | Renamed | _Selected
