"""What a plugin hands to Flash: frozen descriptions whose targets are imported when they are first used."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import ClassVar

from flash.errors import ConfigurationError
from flash.plugins._messages import clean, show

__all__ = ["Backbone", "BackboneCatalogue", "CallbackSpec", "DataSource", "Spec", "Strategy", "TaskSpec"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_.+-]*")
_TASK_NAME = re.compile(rf"{_NAME.pattern}/{_NAME.pattern}")
# Published networks keep the names that they are known by, such as all-MiniLM-L6-v2.
_BACKBONE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
# Fields that listings print.
_PROSE = frozenset({"summary", "source", "licence"})
_LONGEST_PROSE = 600
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _check_name(owner: str, field: str, value: object, pattern: re.Pattern[str] = _NAME) -> None:
    if isinstance(value, str) and pattern.fullmatch(value):
        return
    example = "such as 'image/classification'" if pattern is _TASK_NAME else "such as 'resnet18' or 'wav_cnn.v2'"
    letters = "letters" if pattern is _BACKBONE_NAME else "lower-case letters"
    raise ConfigurationError(
        f"{owner}.{field} must be of {letters}, digits and _ . + -, {example}, but {show(value)} came"
    )


def check_target(field: str, value: object) -> None:
    """Refuse what cannot be a ``"module:attribute"`` string."""
    module, colon, attribute = value.partition(":") if isinstance(value, str) else ("", "", "")
    if colon and all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        return
    raise ConfigurationError(f"{field} must look like 'package.module:attribute', but {show(value)} came")


@dataclass(frozen=True)
class _Spec:
    """Checks that all descriptions share."""

    name: str

    kind: ClassVar[str]
    target_fields: ClassVar[tuple[str, ...]] = ("factory",)
    name_pattern: ClassVar[re.Pattern[str]] = _NAME

    def __post_init__(self) -> None:
        owner = type(self).__name__
        _check_name(owner, "name", self.name, self.name_pattern)
        for field in self.target_fields:
            check_target(f"{owner}.{field}", getattr(self, field))
        for each in dataclasses.fields(self):
            # What is shown to people is text of other people.
            value = getattr(self, each.name)
            if each.name in _PROSE and value is not None:
                object.__setattr__(self, each.name, clean(value, _LONGEST_PROSE))

    @property
    def scope(self) -> str:
        """Where the name has to be unique: a domain, a task, or everywhere (the empty string)."""
        return ""

    @property
    def targets(self) -> dict[str, str]:
        """The ``"module:attribute"`` strings, by the name of their field."""
        return {field: getattr(self, field) for field in self.target_fields}


@dataclass(frozen=True)
class TaskSpec(_Spec):
    """A task and the data module that goes with it.

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
    name_pattern: ClassVar[re.Pattern[str]] = _TASK_NAME

    @property
    def domain(self) -> str:
        """The part of the name before the slash."""
        return self.name.partition("/")[0]


@dataclass(frozen=True)
class Backbone(_Spec):
    """One backbone that the tasks of a domain can be built on.

    Args:
        name: What a user writes in ``backbone="..."``; the only name that may have capital letters.
        domain: The domain whose tasks can use it, such as ``"image"``.
        factory: Target of the callable that builds it; the domain says what it is called with.
        pretrained: Whether weights can be had for it.
        summary: One sentence for ``flash backbones``.
        source: Paper or URL.
        licence: Licence of the weights.
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
    licence: str | None = None
    sha256: str | None = None

    kind: ClassVar[str] = "backbone"
    name_pattern: ClassVar[re.Pattern[str]] = _BACKBONE_NAME

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_name("Backbone", "domain", self.domain)
        if self.sha256 is not None and not (isinstance(self.sha256, str) and _SHA256.fullmatch(self.sha256)):
            raise ConfigurationError(
                f"Backbone.sha256 must be 64 lower-case hexadecimal digits, such as sha256sum prints, but "
                f"{self.sha256!r} came"
            )

    @property
    def scope(self) -> str:
        """The domain."""
        return self.domain


@dataclass(frozen=True)
class BackboneCatalogue(_Spec):
    """A large collection of backbones that lists its names when it is asked.

    Args:
        name: Name of the collection, such as ``"timm"``.
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
        _check_name("BackboneCatalogue", "domain", self.domain)

    @property
    def scope(self) -> str:
        """The domain."""
        return self.domain


@dataclass(frozen=True)
class Strategy(_Spec):
    """A way to finetune, chosen by name in ``Trainer.finetune(..., strategy="...")``.

    Args:
        name: The name to choose it by.
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
class DataSource(_Spec):
    """One more way to fill a data module that already exists.

    Args:
        name: The name to choose it by.
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
            _check_name("DataSource", "data", self.data, _TASK_NAME)

    @property
    def scope(self) -> str:
        """The task whose data module is filled, or ``"*"``."""
        return self.data


@dataclass(frozen=True)
class CallbackSpec(_Spec):
    """A Lightning callback that a Trainer can be given by name.

    Args:
        name: The name to choose it by.
        factory: Target of a callable that returns the callback.
        summary: One sentence for listings.
        automatic: Whether every Trainer gets it without being asked.

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


Spec = TaskSpec | Backbone | BackboneCatalogue | Strategy | DataSource | CallbackSpec
