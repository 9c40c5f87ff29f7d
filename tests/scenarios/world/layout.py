"""Every combination of names that a world counts calls by, each with its place in arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .world import Plugin, Selector, World

__all__ = ["FINE", "LOST", "Floats", "Ints", "Layout"]

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

FINE = "ValueError"
"""The error of ordinary failures."""
LOST = "overdue"
"""What sidecars say of calls that do not come back (`plugwarden.pipeline.overdue`)."""


class Layout:
    """The cells of a world: plugin x version x operation x process x tenant; those of one process stand together."""

    def __init__(self, world: World) -> None:
        self.parts: list[dict[str, str]] = []
        self.slices: dict[str, slice] = {}
        """Process -> its cells."""
        self.owner: list[Plugin | None] = []
        """None: of what a sender makes up."""
        for host in world.hosts:
            begin = len(self.parts)
            for plugin in world.plugins:
                if plugin.services and host.service not in plugin.services:
                    continue
                self._add(world, plugin, {"service": host.service, "instance": host.instance, "machine": host.machine})
            self.slices[host.instance] = slice(begin, len(self.parts))
        self.real = len(self.parts)
        """So many cells have calls; the others are made up."""
        for sender in dict.fromkeys(item.sender for item in world.forgeries):
            begin = len(self.parts)
            for item in world.forgeries:
                for name in item.plugins if item.sender == sender else ():
                    self.parts.append(
                        {"plugin": name, "version": item.version, "operation": item.operation, "service": item.service,
                         "instance": item.sender, "machine": item.machine, "tenant": item.tenant}
                    )  # fmt: skip
                    self.owner.append(None)
            self.slices[f"forged by {sender}"] = slice(begin, len(self.parts))
        self.size = len(self.parts)
        self.streams, self.stream_of = self._numbered("plugin", "version", "operation")
        self.versions, self.version_of = self._numbered("plugin", "version")
        self.breakers, self.breaker_of = self._numbered("instance", "plugin", "version", "operation")
        _, self.caller_of = self._numbered("instance", "plugin", "operation", "tenant")
        """Who shares the calls of whom: versions of one plugin on one host."""
        self.cells_of_breaker: list[Ints] = [
            np.flatnonzero(self.breaker_of == index) for index in range(len(self.breakers))
        ]
        errors = [FINE, LOST, *(item.error for item in world.troubles), *(item.error for item in world.forgeries)]
        sources = ["plugin", "plugin", *(item.source for item in world.troubles), *("plugin" for _ in world.forgeries)]
        self.errors = list(dict.fromkeys(zip(errors, sources, strict=True)))
        """(error type, source), each with its place."""
        self.blamed: Ints = np.array([source == "plugin" for _, source in self.errors], dtype=np.int64)

    def where(self, selector: Selector) -> Ints:
        """The places of the real cells that are meant."""
        return self.such(selector.matches)

    def such(self, test: Callable[[Mapping[str, str]], bool]) -> Ints:
        """The places of the real cells that pass a test."""
        return np.array([index for index in range(self.real) if test(self.parts[index])], dtype=np.int64)

    def error(self, name: str, source: str) -> int:
        """The place of an error."""
        return self.errors.index((name, source))

    def _add(self, world: World, plugin: Plugin, host: Mapping[str, str]) -> None:
        deploys = [
            event
            for event in world.events
            if event.kind == "deploy" and (not event.where.plugin or plugin.name in event.where.plugin)
        ]
        later = [event.version for event in deploys]
        kept = [event.previous for event in deploys if event.previous]  # nobody called it before, maybe
        for version in dict.fromkeys([plugin.version, *later, *kept]):
            for operation in plugin.operations:
                for tenant in plugin.tenants:
                    names = {"plugin": plugin.name, "version": version, "operation": operation, "tenant": tenant}
                    self.parts.append({**names, **host})
                    self.owner.append(plugin)

    def _numbered(self, *keys: str) -> tuple[list[tuple[str, ...]], Ints]:
        places: dict[tuple[str, ...], int] = {}
        numbers = [places.setdefault(tuple(part[key] for key in keys), len(places)) for part in self.parts]
        return list(places), np.array(numbers, dtype=np.int64)
