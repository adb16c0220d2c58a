"""Base class of all descriptions: validated names and targets, and texts without control characters."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import ClassVar

from flash.errors import ConfigurationError
from flash.plugins._messages import clean, show

__all__ = ["ANY_CASE_NAME", "SHA256", "TASK_NAME", "BaseSpec", "check_name", "check_target"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_.+-]*")
TASK_NAME = re.compile(rf"{_NAME.pattern}/{_NAME.pattern}")
# Published networks keep their names, such as all-MiniLM-L6-v2.
ANY_CASE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
# Fields that listings print.
_PROSE = frozenset({"summary", "source", "license"})
_MAX_PROSE = 600
SHA256 = re.compile(r"[0-9a-f]{64}")


def check_name(owner: str, field: str, value: object, pattern: re.Pattern[str] = _NAME) -> None:
    if isinstance(value, str) and pattern.fullmatch(value):
        return
    example = "such as 'image/classification'" if pattern is TASK_NAME else "such as 'resnet18' or 'wav_cnn.v2'"
    letters = "letters" if pattern is ANY_CASE_NAME else "lower-case letters"
    raise ConfigurationError(
        f"{owner}.{field} must be of {letters}, digits and _ . + -, {example}, but got {show(value)}"
    )


def check_target(field: str, value: object) -> None:
    """Raise an error if a value is not a ``"module:attribute"`` string."""
    module, colon, attribute = value.partition(":") if isinstance(value, str) else ("", "", "")
    if colon and all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        return
    raise ConfigurationError(f"{field} must look like 'package.module:attribute', but got {show(value)}")


@dataclass(frozen=True)
class BaseSpec:
    """Base class of all descriptions, with their common checks."""

    name: str

    kind: ClassVar[str]
    target_fields: ClassVar[tuple[str, ...]] = ("factory",)
    name_pattern: ClassVar[re.Pattern[str]] = _NAME
    #: Whether no other plugin should contribute the same name.
    unique_name: ClassVar[bool] = True

    def __post_init__(self) -> None:
        owner = type(self).__name__
        check_name(owner, "name", self.name, self.name_pattern)
        for field in self.targets:
            check_target(f"{owner}.{field}", getattr(self, field))
        for each in dataclasses.fields(self):
            # Listings print these texts of plugins to the terminal.
            value = getattr(self, each.name)
            if each.name in _PROSE and value is not None:
                object.__setattr__(self, each.name, clean(value, _MAX_PROSE))

    @property
    def scope(self) -> str:
        """The scope in which the name has to be unique: a domain, a task, or everywhere (the empty string)."""
        return ""

    @property
    def targets(self) -> dict[str, str]:
        """The ``"module:attribute"`` strings, by the name of their field, without optional ones that are ``None``."""
        optional = {each.name for each in dataclasses.fields(self) if each.default is None}
        values = {field: getattr(self, field) for field in self.target_fields}
        return {field: value for field, value in values.items() if value is not None or field not in optional}
