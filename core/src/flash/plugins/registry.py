"""Registries: factories by name, with metadata and provenance, from this process and from plugins."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar, overload

from flash.errors import (
    ConfigurationError,
    DuplicateNameError,
    FlashError,
    PluginConflictError,
    PluginError,
    UnknownNameError,
)
from flash.former import FORMER_MEMBERS, with_former_members
from flash.plugins._current import get_host
from flash.plugins._messages import warn_user
from flash.plugins._name_index import NameIndex, natural, one_per_provider, resolve
from flash.plugins._ownership import default_owner
from flash.plugins._registry_item import Factory, Item, RegistryEntry
from flash.plugins.info import Contribution, canonical
from flash.plugins.types import BackboneCatalogue, Spec

__all__ = [
    "ComponentRegistry",
    "Registry",
    "RegistryEntry",
    "backbone_registry",
    "qualified_choice",
    "strategy_registry",
]

F = TypeVar("F", bound=Factory)
_Names = list[str]  # Inside the class, list is the method.
_Items = list[Item]


@with_former_members(FORMER_MEMBERS["Registry"])
class Registry:
    """Factories by name: those registered in this process and those of installed plugins.

    A name is found by an exact match, or else by a unique match that ignores case, or else by
    a catalogue that accepts names it does not list. A name that two plugins register is found as
    ``"<dist>/<name>"``.

    Args:
        name: Name of the kind of its entries, in the plural, for error messages.
        plugins: Returns the contributions of plugins, called at each look-up.
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

    @overload
    def __call__(self, given: F, /, name: str | None = None, **metadata: Any) -> F: ...
    @overload
    def __call__(self, given: str | None = None, /, name: str | None = None, **metadata: Any) -> Callable[[F], F]: ...
    def __call__(self, given: Any = None, /, name: str | None = None, **metadata: Any) -> Any:
        """Register the decorated or passed factory, under its own name unless another one is passed.

        Args:
            given: The name, or the factory.
            name: The name, if the first argument is the factory.
            metadata: As in :meth:`register`, with ``override`` and ``summary``.

        Example:
            >>> networks = Registry("networks")
            >>> @networks
            ... def tiny():
            ...     return 1
            >>> networks(dict, name="other")
            <class 'dict'>
            >>> networks.list()
            ['other', 'tiny']
        """
        if callable(given):
            self.register(name or str(getattr(given, "__name__", repr(given))), given, **metadata)
            return given

        def decorate(factory: F) -> F:
            self.register(str(given or name or factory.__name__), factory, **metadata)
            return factory

        return decorate

    def register(
        self, name: str, factory: Factory | str, *, override: bool = False, summary: str = "", **metadata: Any
    ) -> None:
        """Register a factory, or its ``"module:attribute"`` string, which is imported on first use.

        Args:
            name: The name to register it under.
            factory: The callable or the string.
            override: Replace an existing entry of the name, registered in this process or by a plugin.
            summary: One sentence about it.
            metadata: Additional values, returned by ``describe``.

        Raises:
            DuplicateNameError: If the name is registered already and ``override`` is false.
            ConfigurationError: If the factory is neither a callable nor such a string.
        """
        existing = [] if override else self._candidates(name)
        if existing:
            origin = " and ".join(str(each.provider or "this process") for each in existing)
            raise DuplicateNameError(
                f"{name!r} is among the {self.name} already, from {origin}; "
                "choose another name, or pass override=True to replace it"
            )
        self._local[name] = Item.local(RegistryEntry(name, summary, MappingProxyType(metadata)), factory)

    def remove(self, name: str) -> None:
        """Remove a registration of this process and restore the plugin's entry that it had replaced.

        Raises:
            UnknownNameError: If nothing was registered under the name in this process.
        """
        if name not in self._local:
            raise UnknownNameError(
                f"{name!r} among the {self.name} was not registered in this process but comes from "
                f"{self.describe(name).provider}; only what was registered here can be removed"
            )
        del self._local[name]

    def get(self, name: str, prefer: str | None = None) -> Factory:
        """Return the factory of a name, ``"dist/name"`` included.

        Args:
            name: The name.
            prefer: The distribution to prefer if several plugins register the name. Pass it for a name that no user
                typed, such as a default: :func:`flash.plugins.default_owner` returns it.

        Raises:
            UnknownNameError: If there is no such name; the message has close names and the plugin that may have it.
            PluginConflictError: If two plugins register the name, and none is preferred.
            PluginError: If the factory cannot be imported.
        """
        return self._find(name, prefer).load()

    __getitem__ = get

    def describe(self, name: str, prefer: str | None = None) -> RegistryEntry:
        """Return metadata and provenance of a name, without importing its factory.

        Args:
            name: The name.
            prefer: As in :meth:`get`.

        Raises:
            UnknownNameError: If there is no such name; the message has close names and the plugin that may have it.
            PluginConflictError: If two plugins register the name, and none is preferred.
        """
        return self._find(name, prefer).entry

    def qualified(self, name: str, prefer: str | None = None) -> str:
        """Return the name to store: ``"dist/name"``, which no other plugin can register.

        Names that were registered in this process or are built into flash-core are unique and returned without a
        distribution.

        Args:
            name: The name.
            prefer: As in :meth:`get`.

        Raises:
            UnknownNameError: If there is no such name.
            PluginConflictError: If two plugins register the name, and none is preferred.

        Example:
            >>> from flash.plugins import Backbone, hookimpl, isolated_plugins
            >>> class Acme:
            ...     @hookimpl
            ...     def flash_backbones(self):
            ...         yield Backbone("wav_cnn", domain="audio", factory="acme:wav_cnn")
            >>> with isolated_plugins(Acme()):
            ...     backbone_registry("audio").qualified("wav_cnn")
            'acme/wav_cnn'
        """
        entry = self.describe(name, prefer)
        provider = entry.provider
        return entry.name if provider is None or provider.builtin else f"{canonical(provider.dist)}/{entry.name}"

    def list(self, filter: str | None = None) -> _Names:
        """Return the names in natural order, ``resnet9`` before ``resnet18``.

        Args:
            filter: Keep the names that match this pattern, such as ``"res*"``, ignoring case.
        """
        return [*self.entries(filter)]

    def entries(self, filter: str | None = None) -> dict[str, RegistryEntry]:
        """Return the entry of each name, in the order of :meth:`list`.

        Args:
            filter: Keep the names that match this pattern, ignoring case. A name of several plugins, which is
                listed as ``"dist/name"``, matches without the distribution too.
        """
        index = self._index()
        pattern = (filter or "*").lower()
        names = [
            name
            for name in index
            if any(fnmatch.fnmatchcase(each.lower(), pattern) for each in {name, index[name].name})
        ]
        return {name: index[name].entry for name in sorted(names, key=natural)}

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and bool(self._find(name))
        except (UnknownNameError, PluginConflictError):
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(self._index())

    def __len__(self) -> int:
        return len(self._index())

    def __repr__(self) -> str:
        return f"Registry({self.name!r})"

    def _find(self, name: str, prefer: str | None = None) -> Item:
        if not isinstance(name, str):
            raise ConfigurationError(f"the {self.name} are selected by a string, but got {name!r}")
        if name in self._local:
            return self._local[name]
        candidates = self._candidates(name) or self._renamed(name)
        if candidates:
            return resolve(name, self.name, candidates, prefer)
        # Items for all names are built only if the exact name is missing.
        index = self._index()
        alike = [known for known in index if known.lower() == name.lower()]
        if len(alike) == 1:
            return index[alike[0]]
        return self._in_open_catalogue(name, prefer) or index[name]

    def _candidates(self, name: str) -> _Items:
        """Return all items with a name, qualified or not, without building any others."""
        owner, _, plain = name.partition("/")
        found = [item for item in (self._local.get(name), *self._given(name)) if item]
        if not found and plain:
            found = [item for item in self._given(plain) if item.provider and item.provider.is_called(owner)]
        return one_per_provider(found)

    def _renamed(self, name: str) -> _Items:
        """Return the items that had a name before, qualified or not; a plugin renames its own names only."""
        owner, _, plain = name.rpartition("/")
        kinds = {"backbone" if each.spec.kind == "catalogue" else each.spec.kind for each in self._plugins()}
        found: _Items = []
        for each in get_host().contributions("rename"):
            provider = each.provider
            if each.name == plain and each.spec.of in kinds and (not owner or provider.is_called(owner)):
                new = get_host().renamed(plain, of=each.spec.of, dist=provider.dist) or plain
                found += [item for item in self._given(new) if item.provider and item.provider.dist == provider.dist]
        return one_per_provider(found)

    def _given(self, name: str) -> Iterator[Item]:
        catalogues = []
        for each in self._plugins():
            if isinstance(each.spec, BackboneCatalogue):
                catalogues.append(each)
            elif each.spec.name == name:
                yield Item.from_plugin(each)
        for catalogue in catalogues:
            if name in _listed(catalogue):
                yield Item.from_catalogue(catalogue, name)

    def _index(self) -> NameIndex[Item]:
        given = tuple(self._plugins())
        catalogues = [each for each in given if isinstance(each.spec, BackboneCatalogue)]
        items = [*self._local.values()]
        items += [Item.from_plugin(each) for each in given if each not in catalogues]
        items += [Item.from_catalogue(each, name) for each in catalogues for name in _listed(each)]
        return NameIndex(items, self.name, self._explain)

    def _in_open_catalogue(self, name: str, prefer: str | None) -> Item | None:
        catalogues = [each for each in self._plugins() if isinstance(each.spec, BackboneCatalogue) and each.spec.open]
        owner, _, plain = name.partition("/")
        owned = [each for each in catalogues if plain and each.provider.is_called(owner)]
        if owned:
            name, catalogues = plain, owned
        items = [Item.from_catalogue(each, name) for each in catalogues]
        return resolve(name, self.name, items, prefer) if items else None


def _listed(catalogue: Contribution[Spec]) -> Sequence[str]:
    try:
        return catalogue.listed()
    except PluginError as error:
        # A catalogue that cannot be read must not hide the other backbones of the domain.
        warn_user(f"the {catalogue.label} is left out: {error}")
        return ()


def backbone_registry(domain: str) -> Registry:
    """Return a registry of the backbones of a domain: those of plugins, catalogues included, and registered ones.

    Args:
        domain: The domain, such as ``"image"``.

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
    """Return a registry of the finetuning strategies: built-in ones, those of plugins, and registered ones.

    Example:
        >>> "freeze" in strategy_registry()
        True
    """
    return Registry(
        "finetuning strategies",
        plugins=lambda: get_host().contributions("strategy"),
        explain=lambda name: get_host().explain_missing("strategy", name),
    )


class ComponentRegistry(Registry):
    """Registry of the components of one kind for the tasks of a scope: those of plugins, and registered ones.

    Args:
        kind: The kind, such as ``"output"``.
        name: Name of the kind of its entries, in the plural, for error messages.
        scopes: The tasks, such as ``"image/*"``; by default all.

    Example:
        >>> from flash.plugins import Output, hookimpl, isolated_plugins
        >>> class Plugin:
        ...     @hookimpl
        ...     def flash_components(self):
        ...         yield Output("top3", target="acme.outputs:top3", scope="*/classification")
        >>> outputs = ComponentRegistry("output", "outputs", "audio/classification")
        >>> with isolated_plugins(Plugin()):
        ...     "top3" in outputs
        True
    """

    def __init__(self, kind: str, name: str, *scopes: str) -> None:
        self.kind = kind
        self.scopes = scopes
        super().__init__(
            name,
            plugins=lambda: get_host().in_scope(kind, *scopes),
            explain=lambda missing: get_host().explain_missing(kind, missing),
        )

    def of_task(self, task: type, *scopes: str) -> ComponentRegistry:
        """Return the registry of one task: without components of other domains, with those of the task itself.

        Args:
            task: The class.
            scopes: Scopes of the task, such as ``"*/classification"``; by default those of this registry. For a class
                that no plugin describes, these are used as they are.
        """
        chosen = scopes or self.scopes
        found = ComponentRegistry(self.kind, self.name, *chosen)
        # Evaluated at each look-up, not now: tasks are created without loading plugins.
        found._plugins = lambda: get_host().in_scope(self.kind, *_narrowed(task, chosen))
        found._local = self._local
        return found


def _narrowed(task: type, scopes: Sequence[str]) -> Sequence[str]:
    """Return scopes restricted to the domain of a task, and the name of the task."""
    name = get_host().task_name(task)
    if name is None:
        return scopes
    domain = name.partition("/")[0]
    return [*(f"{domain}/{scope.partition('/')[2] or '*'}" for scope in scopes or ("*",)), name]


def qualified_choice(registry: Registry, owner: object, parameter: str, choice: Any) -> Any:
    """Return a choice from a registry with names as ``"dist/name"``, which no other plugin can register.

    The default of a constructor refers to its own distribution. A name that the registry does not know, or that
    a user typed and several plugins register, stays as it is.

    Args:
        registry: The registry to look the names up in.
        owner: The object that the choice is an argument of, such as a task.
        parameter: The parameter of its constructor.
        choice: A name, ``(name, arguments)``, or several of them as a list or a dict; anything else is returned as it
            is.

    Example:
        >>> from flash.plugins import Optimizer, hookimpl, isolated_plugins
        >>> class Acme:
        ...     @hookimpl
        ...     def flash_components(self):
        ...         yield Optimizer("lion", target="acme:Lion")
        >>> with isolated_plugins(Acme()):
        ...     optimizers = ComponentRegistry("optimizer", "optimizers")
        ...     qualified_choice(optimizers, None, "optimizer", ("lion", {"lr": 0.1}))
        ('acme/lion', {'lr': 0.1})
    """

    def qualify(part: Any) -> Any:
        if isinstance(part, str):
            try:
                return registry.qualified(part, prefer=default_owner(owner, parameter, choice))
            except FlashError:
                # Only the domain can parse it, such as the name of a backbone with the tag of its weights.
                return part
        if isinstance(part, Mapping):
            return {key: qualify(each) for key, each in part.items()}
        if isinstance(part, tuple | list):
            # The arguments in (name, arguments) are not names.
            paired = len(part) > 1 and all(isinstance(each, Mapping) for each in part[1:])
            qualified = [qualify(part[0]), *part[1:]] if paired else [qualify(each) for each in part]
            return tuple(qualified) if isinstance(part, tuple) else qualified
        return part

    return qualify(choice)
