"""The port for planners of capacity: what plugins ask for, what holds them, and what the store itself takes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from plugwarden_collector.capacity.ceiling import LoadStep
from plugwarden_collector.capacity.demand import PluginDemand
from plugwarden_collector.capacity.growth import StoredRows, TableSize
from plugwarden_collector.capacity.held import Held, Machine
from plugwarden_collector.capacity.load import Load

__all__ = ["Planning"]


class Planning(Protocol):
    """Asked for pages and plans, never by a tick. Spans are after `since`, up to and including `until`; `plugin` None: all of them."""

    def demand(
        self, since: datetime, until: datetime, *, plugin: str | None = None, by_operation: bool = False
    ) -> Sequence[PluginDemand]:
        """Return what plugins ask of their hosts, or each operation of them, most CPU first. Peaks are over 10 s in spans up to an hour, a
        minute up to a day, and an hour beyond; rates are means over the time that the store has data of."""

    def tenants(self, since: datetime, until: datetime, *, plugin: str | None = None) -> Sequence[PluginDemand]:
        """Return the same by tenant, as far back as tenants are told apart (the seconds, two hours)."""

    def held(self, since: datetime, until: datetime) -> Sequence[Held]:
        """Return what hosts told last of each operation's limits, within two minutes of the newest that was told in the hour up to
        `until`; the most under way is of that hour."""

    def machines(self, since: datetime, until: datetime) -> Sequence[Machine]:
        """Return the machines that ran plugins, by name, with their CPU."""

    def load(self, first: datetime, before: datetime, *, plugin: str | None = None) -> Load:
        """Return load by the hour, of full hours from `first` on and before `before`, which are both on a full hour."""

    def steps(self, plugin: str, since: datetime, until: datetime) -> Sequence[LoadStep]:
        """Return calls a second and their mean time by the minute, of calls that ran, as far back as minutes are kept."""

    def tables(self, at: datetime) -> Sequence[TableSize]:
        """Return what each table of telemetry takes on disk, and how much came to it in the day before."""

    def stored(self) -> Sequence[StoredRows]:
        """Return whose raw rows the store holds."""
