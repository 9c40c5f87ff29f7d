"""Entry points: loads the plugins of a group, each load an invocation of its own, and none able to break the others.

What a plugin costs and breaks at import is the first thing it does to a host, so it is observed as the operation `load`.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plugwarden.integrations.objects import Terms, no_terms, wrap_methods

if TYPE_CHECKING:
    from plugwarden.sidecar import Sidecar

__all__ = ["LoadedPlugin", "load"]


@dataclass(frozen=True, slots=True)
class LoadedPlugin:
    """One entry point of the group."""

    name: str
    """The entry point's."""
    plugin: str
    """The distribution's name, or the entry point's where there is none."""
    version: str
    object: Any
    """What it names, wrapped if it can be called; None where it could not be loaded."""
    error: Exception | None = None
    """Why it could not be loaded, or was not let in."""


def load(
    group: str,
    sidecar: Sidecar,
    *,
    methods: Iterable[str] = (),
    terms: Terms = no_terms,
    entry_points: Iterable[importlib.metadata.EntryPoint] | None = None,
) -> Iterator[LoadedPlugin]:
    """Load the plugins of a group one by one. A function is wrapped as operation `call`; of a class, module or object the
    named `methods` are. A plugin that fails to load, or is quarantined, is answered with its error and no object."""
    found = importlib.metadata.entry_points(group=group) if entry_points is None else entry_points
    for point in found:
        distribution = getattr(point, "dist", None)
        plugin = distribution.name if distribution is not None else point.name
        version = distribution.version if distribution is not None else "0"
        wrapped_load = sidecar.wrap(point.load, plugin=plugin, version=version, operation="load")
        try:
            loaded = wrapped_load()
            names = tuple(methods)
            if names:
                wrap_methods(sidecar, loaded, names, plugin=plugin, version=version, terms=terms)
            elif callable(loaded) and not isinstance(loaded, type):
                options = terms(plugin, version, "call")
                loaded = sidecar.wrap(loaded, plugin=plugin, version=version, operation="call", **options)
        except Exception as error:  # noqa: BLE001 - one plugin that cannot be loaded must not keep the others out
            yield LoadedPlugin(point.name, plugin, version, None, error)
        else:
            yield LoadedPlugin(point.name, plugin, version, loaded)
