"""``flash backbones``: list the backbones by domain."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flash.cli._command import command_parser
from flash.cli._output import columns, counted, print_json, provider_json, table, wrap
from flash.core.registry import Registry, RegistryEntry, backbone_registry
from flash.errors import UnknownNameError
from flash.plugins import BackboneCatalogue, Contribution, first_party, get_host

__all__ = ["main", "run"]

Entries = Mapping[str, RegistryEntry]


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = command_parser("backbones")
    parser.add_argument("domain", nargs="?", metavar="DOMAIN", help="such as image, text or tabular")
    parser.add_argument("--filter", metavar="PATTERN", help="only the names that match, such as 'res*'")
    parser.add_argument("--describe", metavar="NAME", help="all that is known about one backbone")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return run(parser.parse_args(arguments))


def run(arguments: argparse.Namespace) -> int:
    """List or describe backbones."""
    domains = [arguments.domain] if arguments.domain else list(get_host().domains())
    if arguments.describe:
        return _describe(arguments.describe, domains, arguments.json)
    found = {domain: backbone_registry(domain).entries(arguments.filter) for domain in domains}
    in_detail = bool(arguments.domain or arguments.filter)
    shown = [text for domain, entries in found.items() for text in _sections(domain, entries, arguments.filter)]
    if arguments.json:
        print_json([_as_json(name, entry) for entries in found.values() for name, entry in entries.items()])
    elif shown:
        print("\n\n".join(shown) if in_detail else _overview(found))
    if shown:
        return 0
    print(_why_nothing(arguments.domain, arguments.filter), file=sys.stderr)
    return int(in_detail)


def _overview(found: Mapping[str, Entries]) -> str:
    rows = []
    for domain, entries in found.items():
        catalogues = get_host().contributions("catalogue", domain)
        providers = {str(each.provider) for each in catalogues}
        providers |= {str(each.provider) for each in get_host().contributions("backbone", domain)}
        examples = [*list(entries)[:4], *(["..."] if len(entries) > 4 else [])]
        examples += ["any other name"] if any(each.spec.open for each in catalogues) else []
        rows.append([domain, str(len(entries)), ", ".join(sorted(providers)) or "-", ", ".join(examples) or "-"])
    return table(["DOMAIN", "BACKBONES", "FROM", "SUCH AS"], rows)


def _sections(domain: str, entries: Entries, pattern: str | None) -> Iterator[str]:
    """Yield a table of the individually registered backbones, then the names of each catalogue."""
    single = {name: entry for name, entry in entries.items() if "catalogue" not in entry.metadata}
    if single:
        rows = [
            [name, _in_words(entry.metadata["pretrained"]), str(entry.provider), entry.summary]
            for name, entry in single.items()
        ]
        yield table([f"{domain.upper()} BACKBONE", "PRETRAINED", "FROM", "SUMMARY"], rows)
    for catalogue in get_host().contributions("catalogue", domain):
        origin = (catalogue.name, catalogue.provider)
        names = [name for name, entry in entries.items() if (entry.metadata.get("catalogue"), entry.provider) == origin]
        if names or (catalogue.spec.open and not pattern):
            yield f"{_heading(catalogue, len(names))}\n{columns(names)}".rstrip()


def _heading(catalogue: Contribution[BackboneCatalogue], number: int) -> str:
    others = ", and it accepts names that it does not list" if catalogue.spec.open else ""
    heading = (
        f"{catalogue.spec.domain.upper()} CATALOGUE {catalogue.name}, from {catalogue.provider}: "
        f"{counted(number, 'name')}{others}."
    )
    return "\n".join([*wrap(heading), *wrap(catalogue.spec.summary)])


def _describe(name: str, domains: Sequence[str], as_json: bool) -> int:
    registries = [backbone_registry(domain) for domain in domains]
    # A catalogue that accepts any name must not match one that another domain lists.
    having = [each for each in registries if _lists(each, name)] or [each for each in registries if name in each]
    if not having and len(registries) != 1:
        raise UnknownNameError(f"no domain has a backbone {name!r}; the domains: {', '.join(domains) or 'none'}")
    entries = [registry.describe(name) for registry in having or registries]
    if as_json:
        print_json([_as_json(entry.name, entry) for entry in entries])
    else:
        print("\n\n".join(map(_in_full, entries)))
    return 0


def _lists(registry: Registry, name: str) -> bool:
    # A name that two plugins register is listed as "dist/name"; case is ignored, as in look-ups.
    wanted = name.lower()
    return any(known.lower() == wanted or known.lower().endswith(f"/{wanted}") for known in registry)


def _in_full(entry: RegistryEntry) -> str:
    facts = {"name": entry.name, "summary": entry.summary, "from": entry.provider, **entry.metadata}
    rows = [[key, _in_words(value)] for key, value in facts.items() if value is not None and value != ""]
    return table(rows[0], rows[1:])


def _in_words(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _as_json(name: str, entry: RegistryEntry) -> dict[str, Any]:
    return {
        "name": name,
        "summary": entry.summary,
        **entry.metadata,
        "provider": provider_json(entry.provider),
    }


def _why_nothing(domain: str | None, pattern: str | None) -> str:
    host = get_host()
    there = host.domains()
    if pattern and (domain is None or domain in there):
        return f"No backbone matches {pattern!r}."
    message = f"No plugin provides backbones{f' for {domain!r}' if domain else ''}."
    if domain and there:
        message += f" There are some for: {', '.join(there)}."
    reason = host.explain_missing("backbone", "", domain=domain)
    dists = ", ".join(first_party.dists())
    return f"{message} {reason or f'Install one with pip: {dists}.'}"
