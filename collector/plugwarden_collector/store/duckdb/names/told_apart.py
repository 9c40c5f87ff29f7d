"""How many names are told apart: plugins and versions beyond that are counted under one name, so that nobody's names stop the judge.

Each service has so many places, and all together; who was there first keeps its place for as long as it is active. Raw rows
keep every name. What is counted here under _OTHER is shown and neither judged nor isolated (ADR 0019). Where names stand is a
table that changes in the transaction that counts, so it is right after whatever happens.
"""

from __future__ import annotations

from datetime import datetime

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from plugwarden_collector.store.duckdb.handed import handed
from plugwarden_collector.store.duckdb.statements import statement

from .places import Bounds, Register

__all__ = ["MAX_NAMES", "MAX_NAMES_OF_SERVICE", "MAX_VERSIONS_OF_PLUGIN", "name_bounds", "tell_apart"]

MAX_VERSIONS_OF_PLUGIN = 100
"""Versions of one plugin in one service: as many deployments as a day has quarters of an hour."""
MAX_NAMES_OF_SERVICE = 2_000
"""Plugin versions of one service: twice the largest catalogue that is measured (benchmarks/fleet_load.py)."""
MAX_NAMES = 20_000
"""Plugin versions of all services: ten full ones."""
MAX_SERVICES_NOTED = 1_000

Connection = duckdb.DuckDBPyConnection


def name_bounds() -> Bounds:
    """Return the bounds of plugin versions."""
    return Bounds(MAX_VERSIONS_OF_PLUGIN, MAX_NAMES_OF_SERVICE, MAX_NAMES)


def tell_apart(connection: Connection, calls: pa.Table, at: datetime) -> tuple[pa.Table, pa.Table | None]:
    """Freshly counted calls (rows of call_seconds) under names that are told apart, and those that are beyond them.

    The caller holds the transaction.
    """
    names = Register(connection, "names", "versions", name_bounds())
    with handed(connection, staged_calls=calls):
        if not names.admit(at):
            return calls, None
        named = connection.sql(statement("told_apart").sql).to_arrow_table()
    beyond = named["beyond"]
    named = named.drop_columns(["beyond"]).cast(calls.schema)
    if not pc.any(beyond).as_py():
        return named, None
    strangers = named.filter(beyond)
    _note(connection, strangers, at)
    return named.filter(pc.invert(beyond)), strangers


def _note(connection: Connection, strangers: pa.Table, at: datetime) -> None:
    told = strangers.group_by("service_name").aggregate([("calls", "sum")])
    parameters = {"services": told["service_name"].to_pylist(), "calls": told["calls_sum"].to_pylist()}
    connection.execute(statement("note_beyond").sql, {**parameters, "at": at, "most": MAX_SERVICES_NOTED})
