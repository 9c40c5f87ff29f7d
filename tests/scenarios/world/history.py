"""The hours before a world, and those that it leaps over: numbers, for nobody simulates them."""

from __future__ import annotations

from collections.abc import Container

from .layout import Layout
from .world import Plugin, World

__all__ = ["Hours", "hourly", "leapt", "usual"]

Hours = tuple[float, float, float, float]
"""Calls per second, share that fails, share that is slow, hours of it."""
NOTHING: Hours = (0.0, 0.0, 0.0, 0.0)


def hourly(world: World, layout: Layout) -> list[Hours]:
    """Return what each plugin version did before the world."""
    owners = {(plugin.name, plugin.version): plugin for plugin in world.plugins}
    return [
        _rates(owners[version], owners[version].history_hours) if version in owners else NOTHING
        for version in ((names[0], names[1]) for names in layout.versions)
    ]


def leapt(world: World, layout: Layout, called: Container[tuple[str, str]], seconds: float) -> list[Hours]:
    """Return what each plugin version that is called did in seconds in which everything was ordinary."""
    owners = {plugin.name: plugin for plugin in world.plugins}
    return [
        _rates(owners[plugin], seconds / 3600.0) if (plugin, version) in called and plugin in owners else NOTHING
        for plugin, version in layout.versions
    ]


def usual(world: World) -> dict[tuple[str, str, str], tuple[int, float, float]]:
    """Return calls, the share that fails and the share that is slow of each operation with a past."""
    return {
        (plugin.name, plugin.version, operation): (
            int(plugin.rates.get(operation, plugin.calls_per_second) * plugin.history_hours * 3600), plugin.norm, plugin.slow
        )
        for plugin in world.plugins
        for operation in plugin.operations
        if plugin.history_hours > 0
    }  # fmt: skip


def _rates(plugin: Plugin, hours: float) -> Hours:
    rate = sum(plugin.rates.get(name, plugin.calls_per_second) for name in plugin.operations)
    return rate, plugin.norm, plugin.slow, hours
