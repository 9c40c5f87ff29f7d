"""Places for what is told apart, names and words alike: so many of one plugin, of one service and in all, first come, first kept.

Who has one is a table that changes in the transaction that counts, so it is right after whatever happens (ADR 0019).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import duckdb

from plugwarden_collector.store.duckdb.rows import fetch_rows
from plugwarden_collector.store.duckdb.statements import statement

__all__ = ["IDLE_AFTER", "NOTED_EVERY", "Bounds", "Name", "Places", "Register", "admitted"]

NOTED_EVERY = timedelta(hours=1)
"""Precision with which it is known when something was last active."""
IDLE_AFTER = timedelta(days=1)
"""What was not active for this long gives its place to another, where there is need."""

Name = tuple[str, str, str]
"""Service, plugin, and what is told apart of it: a version, or a word."""
Connection = duckdb.DuckDBPyConnection


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many there may be."""

    of_plugin: int
    """Places of one plugin in one service."""
    of_service: int
    in_all: int


@dataclass(slots=True)
class Places:
    """How many are taken."""

    bounds: Bounds
    of_plugin: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Service and plugin -> taken."""
    of_service: Counter[str] = field(default_factory=Counter)
    in_all: int = 0

    def full_for(self, name: Name) -> bool:
        """Whether there is no place for one more."""
        service, plugin, _ = name
        return (
            self.in_all >= self.bounds.in_all
            or self.of_service[service] >= self.bounds.of_service
            or self.of_plugin[service, plugin] >= self.bounds.of_plugin
        )

    def take(self, name: Name) -> None:
        """One more is taken."""
        service, plugin, _ = name
        self.in_all += 1
        self.of_service[service] += 1
        self.of_plugin[service, plugin] += 1


def admitted(wanted: Iterable[Name], places: Places) -> list[Name]:
    """Those of `wanted`, in their order, for which there is a place; they then have it."""
    found = []
    for name in wanted:
        if not places.full_for(name):
            places.take(name)
            found.append(name)
    return found


@dataclass(frozen=True, slots=True)
class Register:
    """The table of who has a place. The caller holds the transaction."""

    connection: Connection
    what: str
    """Names or words: the statements `unknown_<what>`, `note_<what>` and so on."""
    told_by: str
    """The list that the statements take beside services and plugins."""
    bounds: Bounds
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further parameters, that all statements take."""

    def admit(self, at: datetime) -> bool:
        """Give places to what is staged and has none, as far as there are any; whether there was such a thing."""
        asked = {"stale": at - NOTED_EVERY, "of_plugin": self.bounds.of_plugin, "of_service": self.bounds.of_service}
        rows = fetch_rows(self.connection, statement(f"unknown_{self.what}").sql, {**asked, **self.more})
        known: list[Name] = []
        wanted: list[Name] = []
        for row in rows:
            (known if row["known"] else wanted).append((row["service_name"], row["plugin_id"], row["told"]))
        self._run("note", known, at)
        if wanted:
            self._run("insert", admitted(wanted, self._places(wanted, at)), at)
        return bool(wanted)

    def _places(self, wanted: list[Name], at: datetime) -> Places:
        """What is taken; where any of `wanted` finds no place, what has not been active goes first."""
        services = sorted({service for service, _, _ in wanted})
        trial = self._taken(services)
        if len(admitted(wanted, trial)) < len(wanted):
            everywhere = trial.in_all >= self.bounds.in_all
            gone = {"before": at - IDLE_AFTER, "services": None if everywhere else services, **self.more}
            self.connection.execute(statement(f"forget_{self.what}").sql, gone)
        return self._taken(services)

    def _taken(self, services: list[str]) -> Places:
        places = Places(self.bounds)
        places.in_all = int(fetch_rows(self.connection, statement(f"taken_{self.what}").sql, self.more)[0]["taken"])
        asked = {"services": services, **self.more}
        for row in fetch_rows(self.connection, statement(f"{self.what}_of_services").sql, asked):
            places.of_plugin[row["service_name"], row["plugin_id"]] = row["taken"]
            places.of_service[row["service_name"]] += row["taken"]
        return places

    def _run(self, verb: str, names: list[Name], at: datetime) -> None:
        if names:
            lists = dict(zip(("services", "plugins", self.told_by), map(list, zip(*names, strict=True)), strict=True))
            self.connection.execute(statement(f"{verb}_{self.what}").sql, {**lists, **self.more, "at": at})
