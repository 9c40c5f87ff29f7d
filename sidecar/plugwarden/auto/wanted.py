"""The host file: what of a host is wrapped when nobody wraps it by hand.

    service = "report-host"

    [[entry_points]]
    group = "reports.plugins"
    methods = ["render"]
    timeout = 2.0

    [[pluggy]]
    project = "reports"

    [[callable]]
    target = "reports.steps:resize"
    plugin = "resize"
    version = "1.4"
    previous = "1.3"        # another [[callable]] has that version

Beside the fields named here, each table takes the terms of a manifest's operations (docs/how-to/manifest.md).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from plugwarden.contract.names import name_fault
from plugwarden.errors import ConfigurationError
from plugwarden.way_back import Versioned, check_way_back

__all__ = ["WantedCallable", "WantedGroup", "WantedManager", "WantedPlugins", "read"]

Terms = Mapping[str, Any]
_NONE: Mapping[str, Any] = MappingProxyType({})

# Named tuples: dataclasses would be most of what the start of a host by `plugwarden run` costs.


class WantedGroup(NamedTuple):
    """The plugins of an entry-point group."""

    group: str
    methods: tuple[str, ...] = ()
    """Methods that are wrapped of a class, module or object; a function is wrapped itself."""
    terms: Terms = _NONE


class WantedManager(NamedTuple):
    """The hook implementations of a pluggy manager."""

    project: str
    """What the host calls its `PluginManager`."""
    terms: Terms = _NONE


class WantedCallable(NamedTuple):
    """A function, or a method of a class, by where it stands."""

    module: str
    path: tuple[str, ...]
    plugin: str
    version: str | None
    """None: that of the distribution which the module came with."""
    operation: str
    terms: Terms = _NONE
    previous: str | None = None
    """The version that calls go back to, of the same plugin and operation: another table has it."""


class WantedPlugins(NamedTuple):
    """All of a host file."""

    service: str | None = None
    groups: Mapping[str, WantedGroup] = _NONE
    managers: Mapping[str, WantedManager] = _NONE
    callables: tuple[WantedCallable, ...] = ()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> WantedPlugins:
        """Read a host file; raises `ConfigurationError` naming the file and the field."""
        return cls.of_file(path, read(path)[0])

    @classmethod
    def of_file(cls, path: str | os.PathLike[str], raw: Mapping[str, Any]) -> WantedPlugins:
        """Make one from what was read of a file; raises `ConfigurationError` naming the file and the field."""
        try:
            return cls.from_dict(raw)
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error}") from None

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> WantedPlugins:
        """Make one from the same structure in Python; raises `ConfigurationError` naming the field."""
        known = ("service", "entry_points", "pluggy", "callable")
        for key in raw:
            if key not in known:
                raise ConfigurationError(f"{key}: no such field; known are {', '.join(known)}")
        service = raw.get("service")
        if service is not None and (not isinstance(service, str) or not service):
            raise ConfigurationError(f"service: {service!r} is not a text")
        groups: dict[str, WantedGroup] = {}
        for path, table in _tables(raw, "entry_points"):
            name = _text(path, table, "group")
            _once(path, "group", name, groups)
            groups[name] = WantedGroup(name, _names(path, table), _rest(path, table, "group", "methods"))
        managers: dict[str, WantedManager] = {}
        for path, table in _tables(raw, "pluggy"):
            name = _text(path, table, "project")
            _once(path, "project", name, managers)
            managers[name] = WantedManager(name, _rest(path, table, "project"))
        callables = tuple(_callable(*found) for found in _tables(raw, "callable"))
        made = cls(service, groups, managers, callables)
        for number, item in enumerate(callables, 1):
            _check_way_back(f"callable[{number}]", item, made)
        return made

    def earlier(self, item: WantedCallable) -> WantedCallable | None:
        """Return what a callable goes back to; None where nothing is named, or it is not there."""
        if item.previous is None:
            return None
        return next(iter(self.candidates(item)), None)

    def candidates(self, item: WantedCallable) -> list[WantedCallable]:
        """Return all that have the version which a callable goes back to; a file that was read has one at most."""
        wanted = (item.plugin, item.previous, item.operation)
        return [one for one in self.callables if (one.plugin, one.version, one.operation) == wanted]


def read(path: str | os.PathLike[str]) -> tuple[Mapping[str, Any], os.stat_result]:
    """What stands in a host file, and the file's state when it was opened; raises `ConfigurationError` naming the file."""
    import tomllib  # a host that was handed what stands there does not load it, nor what it stands on

    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib is more than all the rest of this costs
            state = os.fstat(file.fileno())
            return tomllib.loads(file.read()), state
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}; `plugwarden init` writes one") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not TOML: {error}") from error


def _callable(path: str, table: Mapping[str, Any]) -> WantedCallable:
    target = _text(path, table, "target")
    module, colon, attribute = target.partition(":")
    names = tuple(attribute.split("."))
    if not colon or not all(part.isidentifier() for part in (*module.split("."), *names)):
        raise ConfigurationError(
            f'{path}.target: {target!r} is not "package.module:function" or "package.module:Class.method"'
        )
    plugin = _text(path, table, "plugin", module.partition(".")[0])
    version = _text(path, table, "version") if "version" in table else None
    operation = _text(path, table, "operation", names[-1])
    for part, name in (("plugin", plugin), ("version", version), ("operation", operation)):
        fault = None if name is None else name_fault(part, name)
        if fault is not None:
            raise ConfigurationError(f"{path}.{part}: {fault}, got {name!r:.300}")
    previous = None
    if "previous" in table:
        from plugwarden.manifest import previous_of

        previous = previous_of(path, table["previous"])
    rest = _rest(path, table, "target", "plugin", "version", "operation", "previous")
    return WantedCallable(module, names, plugin, version, operation, rest, previous)


def _check_way_back(path: str, item: WantedCallable, wanted: WantedPlugins) -> None:
    """Raise `ConfigurationError` for a way back that leads nowhere, or to where it must not."""
    if item.previous is None:
        return
    if item.version is None:
        raise ConfigurationError(f"{path}.version: is missing; what goes back to {item.previous} needs one")
    found = wanted.candidates(item)
    if not found:
        raise ConfigurationError(
            f"{path}.previous: no [[callable]] has version {item.previous} of plugin {item.plugin}, operation {item.operation}"
        )
    check_way_back(_versioned(item, wanted), [_versioned(one, wanted) for one in found], f"{path}.")


def _versioned(item: WantedCallable, wanted: WantedPlugins) -> Versioned:
    further: list[str | None] = []
    passed = wanted.earlier(item)
    while passed is not None and passed.version not in further:
        further.append(passed.version)
        passed = wanted.earlier(passed)
    return Versioned(item.plugin, item.version, item.operation, further=tuple(further))


def _tables(raw: Mapping[str, Any], key: str) -> list[tuple[str, Mapping[str, Any]]]:
    found = raw.get(key, [])
    if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
        raise ConfigurationError(f"{key}: must be tables, each begun with [[{key}]]")
    return [(f"{key}[{number}]", table) for number, table in enumerate(found, 1)]


def _text(path: str, table: Mapping[str, Any], key: str, default: str | None = None) -> str:
    found = table.get(key, default)
    if not isinstance(found, str) or not found:
        raise ConfigurationError(f"{path}.{key}: is missing, or not a text")
    return found


def _names(path: str, table: Mapping[str, Any]) -> tuple[str, ...]:
    found = table.get("methods", [])
    if not isinstance(found, list) or not all(isinstance(item, str) and item.isidentifier() for item in found):
        raise ConfigurationError(f"{path}.methods: must be a list of method names")
    return tuple(found)


def _once(path: str, key: str, name: str, known: Mapping[str, object]) -> None:
    if name in known:
        raise ConfigurationError(f"{path}.{key}: {name} is there already")


def _rest(path: str, table: Mapping[str, Any], *own: str) -> Terms:
    terms = {key: told for key, told in table.items() if key not in own}
    if not terms:
        return terms
    if "previous" in terms:
        raise ConfigurationError(
            f"{path}.previous: only a [[callable]] names one; of what is loaded by name there is one version"
        )
    from plugwarden.manifest import terms_of

    return terms_of(path, terms)
