"""Mappings from a name to the factory of what it stands for, with metadata and where it came from."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator
from types import MappingProxyType
from typing import Any, TypeVar

from flash.core._registry_items import (
    Factory,
    Item,
    RegistryEntry,
    given_item,
    listed_names,
    local_item,
    member_item,
)
from flash.errors import ConfigurationError, DuplicateNameError, PluginConflictError, UnknownNameError
from flash.plugins import BackboneCatalogue, Contribution, get_host
from flash.plugins._names import Claims, natural
from flash.plugins.types import Spec

__all__ = ["Registry", "RegistryEntry", "backbone_registry", "strategy_registry"]

F = TypeVar("F", bound=Factory)
_Names = list[str]  # Inside the class, list is the method.


class Registry:
    """Named factories: those registered in this process and those that installed plugins give.

    A name is found as it is written, or else by the only entry that differs from it in case alone, or else by
    a catalogue that accepts names it does not list. A name that two plugins give is found as
    ``"<dist>/<name>"``.

    Args:
        name: What is in it, in the plural; error messages use it.
        plugins: Returns what plugins give, asked at each look-up.
        explain: Returns a sentence that says why a name may be missing, or None.

    Example:
        >>> optimizers = Registry("optimizers")
        >>> @optimizers(summary="Goes nowhere.")
        ... def standstill(parameters):
        ...     return list(parameters)
        >>> optimizers.register("ordered", "collections:OrderedDict")
        >>> optimizers.list()
        ['ordered', 'standstill']
        >>> optimizers.get("Ordered").__name__
        'OrderedDict'
        >>> optimizers.describe("standstill").summary
        'Goes nowhere.'
    """

    def __init__(
        self,
        name: str,
        *,
        plugins: Callable[[], Iterable[Contribution[Spec]]] | None = None,
        explain: Callable[[str], str | None] | None = None,
    ) -> None:
        self.name = name
        self._plugins = plugins or tuple
        self._explain = explain
        self._local: dict[str, Item] = {}

    def __call__(
        self, name: str | None = None, *, override: bool = False, summary: str = "", **metadata: Any
    ) -> Callable[[F], F]:
        """Register what is decorated, under its own name unless another is given."""
        if callable(name):
            raise ConfigurationError(f"write @registry() with parentheses to register {name!r} in the {self.name}")

        def decorate(factory: F) -> F:
            self.register(name or factory.__name__, factory, override=override, summary=summary, **metadata)
            return factory

        return decorate

    def register(
        self, name: str, factory: Factory | str, *, override: bool = False, summary: str = "", **metadata: Any
    ) -> None:
        """Register a factory, or the ``"module:attribute"`` string of one, which is imported on first use.

        Args:
            name: The name to find it by.
            factory: The callable or the string.
            override: Replace what has the name already, be it registered here or given by a plugin.
            summary: One sentence about it.
            metadata: Anything else worth keeping; ``describe`` returns it.

        Raises:
            DuplicateNameError: If the name is taken and ``override`` is false.
            ConfigurationError: If the factory is neither a callable nor such a string.
        """
        rivals = [] if override else self._claims().claimants(name)
        if rivals:
            origin = " and ".join(str(rival.provider or "this process") for rival in rivals)
            raise DuplicateNameError(
                f"{name!r} is among the {self.name} already, from {origin}; "
                "choose another name, or pass override=True to replace it"
            )
        self._local[name] = local_item(RegistryEntry(name, summary, MappingProxyType(metadata)), factory)

    def remove(self, name: str) -> None:
        """Take back a registration of this process; a plugin's entry that it had replaced is there again.

        Raises:
            UnknownNameError: If nothing was registered under the name in this process.
        """
        if name not in self._local:
            raise UnknownNameError(
                f"{name!r} among the {self.name} was not registered in this process but comes from "
                f"{self.describe(name).provider}; only what was registered here can be removed"
            )
        del self._local[name]

    def get(self, name: str) -> Factory:
        """The factory of a name.

        Raises:
            UnknownNameError: If there is no such name; it says what is close and which plugin may have it.
            PluginConflictError: If two plugins give the name.
            PluginError: If the factory cannot be imported.
        """
        return self._find(name).load()

    __getitem__ = get

    def describe(self, name: str) -> RegistryEntry:
        """What is known about a name, without importing its factory.

        Raises:
            UnknownNameError: If there is no such name; it says what is close and which plugin may have it.
            PluginConflictError: If two plugins give the name.
        """
        return self._find(name).entry

    def list(self, filter: str | None = None) -> _Names:
        """The names in natural order, ``resnet9`` before ``resnet18``.

        Args:
            filter: Keep the names that match this pattern, such as ``"res*"``; case does not count.
        """
        return [*self.entries(filter)]

    def entries(self, filter: str | None = None) -> dict[str, RegistryEntry]:
        """What is known about each name, in the order of :meth:`list`.

        Args:
            filter: Keep the names that match this pattern; case does not count.
        """
        claims = self._claims()
        pattern = (filter or "*").lower()
        names = [name for name in claims if fnmatch.fnmatchcase(name.lower(), pattern)]
        return {name: claims[name].entry for name in sorted(names, key=natural)}

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and bool(self._find(name))
        except (UnknownNameError, PluginConflictError):
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(self._claims())

    def __len__(self) -> int:
        return len(self._claims())

    def __repr__(self) -> str:
        return f"Registry({self.name!r})"

    def _find(self, name: str) -> Item:
        if not isinstance(name, str):
            raise ConfigurationError(f"the {self.name} are chosen by a string, but {name!r} came")
        if name in self._local:
            return self._local[name]
        claims = self._claims()
        if claims.claimants(name):
            return claims[name]
        alike = [known for known in claims if known.lower() == name.lower()]
        if len(alike) == 1:
            return claims[alike[0]]
        return self._in_open_catalogue(name) or claims[name]

    def _claims(self) -> Claims[Item]:
        given = tuple(self._plugins())
        catalogues = [each for each in given if isinstance(each.spec, BackboneCatalogue)]
        items = [*self._local.values()]
        items += [given_item(each) for each in given if each not in catalogues]
        items += [member_item(each, name) for each in catalogues for name in listed_names(each)]
        return Claims(items, self.name, self._explain)

    def _in_open_catalogue(self, name: str) -> Item | None:
        catalogues = [each for each in self._plugins() if isinstance(each.spec, BackboneCatalogue) and each.spec.open]
        owner, _, plain = name.partition("/")
        owned = [each for each in catalogues if plain and each.provider.is_called(owner)]
        if owned:
            name, catalogues = plain, owned
        return Claims([member_item(each, name) for each in catalogues], self.name)[name] if catalogues else None


def backbone_registry(domain: str) -> Registry:
    """The backbones of a domain: those that plugins give, catalogues included, and those registered on it.

    Args:
        domain: Such as ``"image"``.

    Example:
        >>> from flash.plugins import Backbone, hookimpl, isolated_plugins
        >>> class Plugin:
        ...     @hookimpl
        ...     def flash_backbones(self):
        ...         yield Backbone("wav_cnn", domain="audio", factory="acme:wav_cnn", pretrained=True)
        >>> backbones = backbone_registry("audio")
        >>> with isolated_plugins(Plugin()):
        ...     backbones.describe("wav_cnn").metadata["pretrained"]
        True
    """
    return Registry(
        f"{domain} backbones",
        plugins=lambda: [
            *get_host().contributions("backbone", domain),
            *get_host().contributions("catalogue", domain),
        ],
        explain=lambda name: get_host().explain_missing("backbone", name, domain=domain),
    )


def strategy_registry() -> Registry:
    """The finetuning strategies: the built-in ones, those of plugins, and those registered on it.

    Example:
        >>> "freeze" in strategy_registry()
        True
    """
    return Registry(
        "finetuning strategies",
        plugins=lambda: get_host().contributions("strategy"),
        explain=lambda name: get_host().explain_missing("strategy", name),
    )
