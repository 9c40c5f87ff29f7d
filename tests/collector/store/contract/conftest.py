"""Engines of the store: the contract is written against the ports, and run for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from plugwarden_collector.audit import Place
from plugwarden_collector.store import Database, Ledger, Telemetry, Writer, open_ledger, telemetry_of

from tests.collector.support.stores import AT
from tests.collector.support.uncountable import fail_counting


class Engine(Protocol):
    """An open store of some engine."""

    telemetry: Telemetry
    ledger: Ledger

    @staticmethod
    def fail_counting(monkeypatch: pytest.MonkeyPatch) -> set[str]:
        """Return a set of plugins at whose points counting fails, while they are in it."""

    def reopen(self) -> None:
        """Close the store as a stop does, and open it again."""

    def close(self) -> None:
        """Close the store."""


class DuckdbEngine:
    """A DuckDB file, its writer, and the key of its ledger beside its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open()

    def _open(self) -> None:
        self._database = Database(self._folder / "data")
        self._writer = Writer(self._database)
        place = Place(self._folder / "audit.key", self._folder / "audit.heads")
        ledger = open_ledger(self._database, self._writer, place, AT)
        self.ledger: Ledger = ledger
        self.telemetry: Telemetry = telemetry_of(self._database, self._writer, ledger.audit)

    @staticmethod
    def fail_counting(monkeypatch: pytest.MonkeyPatch) -> set[str]:
        """Return a set of plugins at whose points counting fails, while they are in it."""
        return fail_counting(monkeypatch)

    def reopen(self) -> None:
        """Close the store as a stop does, and open it again."""
        self.close()
        self._open()

    def close(self) -> None:
        """Close the store."""
        self.ledger.close()
        self._writer.close(30)
        self._database.close()


ENGINES = {"duckdb": DuckdbEngine}
"""Every engine there is; a second one is one more line."""


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty store of each engine."""
    found: Engine = ENGINES[request.param](tmp_path)
    yield found
    found.close()


@pytest.fixture
def telemetry(engine: Engine) -> Telemetry:
    """The telemetry of an empty store."""
    return engine.telemetry
