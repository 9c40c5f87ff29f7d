"""Entry points: loads the plugins of a group, each load an invocation of its own, and none able to break the others.

What a plugin costs and breaks at import is the first thing it does to a host, so it is observed as the operation `load`.
"""

from __future__ import annotations

import functools
import importlib.metadata
import inspect
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from plugwarden.contract import fitting
from plugwarden.inspection import is_a
from plugwarden.integrations.distributions import UNKNOWN_VERSION, name_and_version
from plugwarden.integrations.objects import Terms, no_terms, wrap_methods
from plugwarden.interruption import is_cancellation

if TYPE_CHECKING:
    from plugwarden.sidecar import Sidecar

from plugwarden.contract.value import value

__all__ = ["LoadedPlugin", "load"]


@value
class LoadedPlugin:
    """One entry point of the group."""

    name: str
    """The entry point's."""
    plugin: str
    """The distribution's name, or the entry point's where there is none."""
    version: str
    object: Any
    """What it names, wrapped if it can be called; None where it could not be loaded."""
    error: BaseException | None = None
    """Why it could not be loaded, or was not let in; a `SystemExit` where it tried to end the host."""


def load(
    group: str,
    sidecar: Sidecar,
    *,
    methods: Iterable[str] = (),
    terms: Terms = no_terms,
    entry_points: Iterable[importlib.metadata.EntryPoint] | None = None,
) -> Iterator[LoadedPlugin]:
    """Load the plugins of a group one by one. A function is wrapped as operation `call`; of a class, module or object the
    named `methods` are. A plugin that fails to load, or is quarantined, is answered with its error and no object.

    Where a distribution has several entry points in the group, each has operations of its own: `csv.load`, `csv.call`,
    be they loaded or not: what a plugin is called does not depend on who else is asked for.
    """
    installed = _installed(group, tuple(sys.path))
    found = list(importlib.metadata.entry_points(group=group) if entry_points is None else entry_points)
    # As it is installed: what a host kept in a cache, as stevedore does, has lost its distribution.
    identities = [installed.get((point.name, point.value)) or _identity(point) for point in found]
    whole = {**installed, **{(one.name, one.value): named for one, named in zip(found, identities, strict=True)}}
    of_plugin = Counter(plugin for plugin, _ in whole.values())
    names = tuple(methods)
    for point, (plugin, version) in zip(found, identities, strict=True):
        prefix = f"{point.name}." if of_plugin[plugin] > 1 else ""
        try:
            # A load comes once: with a breaker, those that failed would decide about those that were never tried.
            loaded = sidecar.wrap(
                point.load,
                plugin=plugin,
                version=version,
                operation=fitting("operation", prefix + "load"),
                breaker=False,
            )()
            if names and not inspect.isroutine(loaded):
                wrap_methods(
                    sidecar,
                    loaded,
                    names,
                    plugin=plugin,
                    version=version,
                    terms=terms,
                    prefix=fitting("operation", prefix) if prefix else "",
                )
            elif callable(loaded) and not isinstance(loaded, type):
                operation = fitting("operation", prefix + "call")
                options = terms(plugin, version, operation)
                loaded = sidecar.wrap(loaded, plugin=plugin, version=version, operation=operation, **options)
        except BaseException as error:  # one that cannot be loaded, or calls sys.exit, must not keep the others out
            if is_cancellation(error) and not is_a(error, GeneratorExit):
                raise  # somebody wants the host to stop, and that is not this plugin
            yield LoadedPlugin(point.name, plugin, version, None, error)
        else:
            yield LoadedPlugin(point.name, plugin, version, loaded)


@functools.lru_cache(maxsize=64)
def _installed(group: str, path: tuple[str, ...]) -> Mapping[tuple[str, str], tuple[str, str]]:
    """Plugin and version of each point of a group, by its name and value.

    Read once for each state of the path: it is asked for at each load, and reading it looks at every distribution. Only what
    names the group is parsed: an environment has hundreds of entry points, and a group a handful.
    """
    found: dict[tuple[str, str], tuple[str, str]] = {}
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        try:
            name = getattr(distribution, "_normalized_name", None) or str(distribution.name)
            if name in seen:
                continue  # another of that name stands before it on the path
            seen.add(name)
            if group not in (distribution.read_text("entry_points.txt") or ""):
                continue
            points = distribution.entry_points.select(group=group)
        except Exception:  # noqa: BLE001, S112 - one damaged distribution must not take the others' names
            continue
        if points:
            # A name and version are parsed out of metadata, some milliseconds each; many points share one.
            identity = _identity(next(iter(points)))
            found.update(((point.name, point.value), identity) for point in points)
    return found


def _identity(point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    distribution = getattr(point, "dist", None)
    plugin, version = point.name, UNKNOWN_VERSION
    if distribution is not None:
        plugin, version = name_and_version(distribution, point.name)
    return fitting("plugin", plugin), fitting("version", version)
