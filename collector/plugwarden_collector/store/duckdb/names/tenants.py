"""How many tenants are told apart: of one plugin in one service, those of most calls in what is counted at once; others are `_OTHER`.

Tenants are in the seconds alone, which are kept for two hours, so nobody keeps a place. Raw rows keep every tenant.
"""

from __future__ import annotations

from datetime import datetime

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plugwarden_collector.store.duckdb.handed import handed
from plugwarden_collector.store.duckdb.statements import statement

from .words import note_beyond

__all__ = ["MAX_TENANTS_OF_PLUGIN", "tell_tenants_apart"]

MAX_TENANTS_OF_PLUGIN = 200
"""Tenants of one plugin in one service: as many as a sidecar tells apart (sidecar/plugwarden/pipeline/aggregate.py)."""

Connection = duckdb.DuckDBPyConnection


def tell_tenants_apart(connection: Connection, calls: pa.Table, at: datetime) -> tuple[pa.Table, pa.Table | None]:
    """Freshly counted calls whose tenant is told apart, and those beyond it; None: there are none.

    The caller holds the transaction.
    """
    # As nearly always: the tenants of all plugins together are no more than one may have.
    if pc.count_distinct(calls["tenant_id"]).as_py() <= MAX_TENANTS_OF_PLUGIN:
        return calls, None
    rows = calls.select(["service_name", "plugin_id", "tenant_id", "calls"])
    with handed(connection, staged_tenants=rows.append_column("row", pa.array(np.arange(len(rows))))):
        asked = {"most": MAX_TENANTS_OF_PLUGIN}
        found = connection.sql(statement("tenants_beyond").sql, params=asked).to_arrow_table()["row"].to_numpy()
    if not len(found):
        return calls, None
    beyond = np.zeros(len(calls), bool)
    beyond[found] = True
    crowd = calls.filter(pa.array(beyond))
    note_beyond(connection, crowd, "tenant_id", "calls", at)
    return calls.filter(pa.array(~beyond)), crowd
