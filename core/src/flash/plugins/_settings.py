"""Environment variables that enable and disable plugins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flash.plugins._discovery import Candidate
from flash.plugins.info import PluginInfo, PluginState, canonical

__all__ = ["Switches"]

_FALSE = {"", "0", "false", "no", "off"}


@dataclass(frozen=True)
class Switches:
    """``FLASH_PLUGINS``, ``FLASH_DISABLE_PLUGINS`` and ``FLASH_PLUGINS_STRICT``, read once."""

    allowed: tuple[str, ...] | None = None
    disabled: tuple[str, ...] = ()
    strict: bool = False

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Switches:
        """Read the settings from environment variables."""
        return cls(
            allowed=_names(environ["FLASH_PLUGINS"]) if "FLASH_PLUGINS" in environ else None,
            disabled=_names(environ.get("FLASH_DISABLE_PLUGINS", "")),
            strict=environ.get("FLASH_PLUGINS_STRICT", "").strip().lower() not in _FALSE,
        )

    def why_blocked(self, candidate: Candidate) -> str | None:
        """Return a sentence with the variable that disables a plugin, or None if it is enabled."""
        if any(map(candidate.provider.is_called, self.disabled)):
            return "FLASH_DISABLE_PLUGINS names it"
        if self.allowed is not None and not any(map(candidate.provider.is_called, self.allowed)):
            return "FLASH_PLUGINS does not name it"
        return None

    def unknown(self, candidates: Iterable[Candidate], builtin: Iterable[str]) -> list[str]:
        """Return a warning for every name in the variables that matches no installed plugin."""
        known = {alias for candidate in candidates for alias in candidate.provider.aliases}
        expected = [
            ("FLASH_PLUGINS", self.allowed or (), known | {canonical(name) for name in builtin}),
            ("FLASH_DISABLE_PLUGINS", self.disabled, known),
        ]
        listed = ", ".join(sorted(known)) or "none"
        return [
            f"{variable} names {name!r}, which is no plugin that can be switched (installed: {listed})"
            for variable, names, valid in expected
            for name in names
            if canonical(name) not in valid
        ]

    def to_disable(self, info: PluginInfo) -> str:
        """Return the setting that disables one more plugin."""
        # Plugins with conflicting names are distinguished by their distribution.
        name = info.dist if info.state is PluginState.CONFLICT else info.name
        return "FLASH_DISABLE_PLUGINS=" + ",".join([*self.disabled, name])

    def to_enable(self, info: PluginInfo) -> str:
        """Return the command that enables a plugin that a variable disables."""
        if any(map(info.is_called, self.disabled)):
            rest = [name for name in self.disabled if not info.is_called(name)]
            return f"export FLASH_DISABLE_PLUGINS={','.join(rest)}" if rest else "unset FLASH_DISABLE_PLUGINS"
        return f"export FLASH_PLUGINS={','.join([*(self.allowed or ()), info.name])}"


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())
