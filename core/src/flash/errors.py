"""Every error that Flash raises on purpose.

One root, :class:`FlashError`; each child also inherits the type that the ecosystem would raise, so that
``except KeyError`` and ``except FlashError`` both work. A message says what was expected, what it got and what to do.
"""

from __future__ import annotations

__all__ = [
    "CheckpointError",
    "ChecksumError",
    "ConfigurationError",
    "DataError",
    "DownloadError",
    "DuplicateNameError",
    "ExportError",
    "FinetuningError",
    "FlashError",
    "FormerMemberError",
    "FormerNameError",
    "MissingColumnError",
    "PluginConflictError",
    "PluginError",
    "PluginWarning",
    "UnknownArgumentError",
    "UnknownNameError",
    "UnreachableError",
    "UnsafeArchiveError",
    "UnsafeCheckpointError",
]


class FlashError(Exception):
    """Root of all errors that Flash raises on purpose."""

    def __str__(self) -> str:
        # KeyError, a parent of some children, would show the repr of the message, quotes and escapes included.
        return Exception.__str__(self)


class ConfigurationError(FlashError, ValueError):
    """An argument that contradicts itself, another argument or the data."""


class UnknownArgumentError(ConfigurationError, TypeError):
    """An argument that is not accepted."""


class FormerNameError(FlashError, ImportError):
    """A name or module of the ancestor, Lightning Flash 0.x, that is not here; the message says what to write."""


class FormerMemberError(FlashError, AttributeError):
    """A member of a class of the ancestor, Lightning Flash 0.x, that is not here; the message says what to write."""


class DataError(FlashError, ValueError):
    """Data that cannot be used as asked: empty, of the wrong type, or without what the task needs."""


class MissingColumnError(DataError, KeyError):
    """A requested column that is not in the table."""


class UnknownNameError(FlashError, KeyError):
    """A name that is not registered."""


class DuplicateNameError(FlashError, ValueError):
    """A name that is registered already."""


class ExportError(FlashError, RuntimeError):
    """A task that cannot be exported, or whose file disagrees with it."""


class FinetuningError(FlashError, ValueError):
    """A finetuning strategy that cannot be applied, such as freezing a task that has no backbone."""


class CheckpointError(FlashError, RuntimeError):
    """A checkpoint that cannot be read, or that does not hold the requested object."""


class UnsafeCheckpointError(CheckpointError):
    """A checkpoint that would execute code when loaded."""


class DownloadError(FlashError, OSError):
    """A file that could not be downloaded or unpacked."""


class UnreachableError(DownloadError):
    """A server that gave no answer, which says nothing of what it has."""


class ChecksumError(DownloadError):
    """A downloaded file whose sha256 is not the expected one."""


class UnsafeArchiveError(DownloadError):
    """An archive with a member that would be written outside its folder or is a device, or that unpacks to too much."""


class PluginError(FlashError, RuntimeError):
    """A plugin that is not installed, is disabled, or failed to load."""


class PluginConflictError(PluginError):
    """Two plugins that register the same name; neither gets it."""


class PluginWarning(UserWarning):
    """A plugin that is not loaded, or a setting that matches no plugin."""
