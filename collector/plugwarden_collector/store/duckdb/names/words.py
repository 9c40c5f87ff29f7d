"""How many words are told apart of a plugin: error types and downstreams beyond that are counted as `_OTHER`, so that no sender's
words fill the rollups, the memories and the judge's turns.

Places are given as to names (places.py). Outcomes and error sources need none: the contract closes them, and whatever else comes
means nothing to anybody. Raw rows keep every word (ADR 0034).
"""

from __future__ import annotations

from datetime import datetime

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from plugwarden.contract import OVERFLOW, ErrorSource, Outcome, RejectionReason

from plugwarden_collector.store.duckdb.handed import handed
from plugwarden_collector.store.duckdb.statements import statement

from .places import Bounds, Register

__all__ = [
    "MAX_WORDS",
    "MAX_WORDS_OF_PLUGIN",
    "MAX_WORDS_OF_SERVICE",
    "note_beyond",
    "tell_words_apart",
    "within_contract",
    "word_bounds",
]

MAX_WORDS_OF_PLUGIN = 50
"""Words of each kind, of one plugin in one service: as many as the page of a plugin's errors lists (error_types.sql), and more than
twice the downstreams that the judge compares (downstream_waits.sql)."""
MAX_WORDS_OF_SERVICE = 10_000
"""Words of each kind, of one service: five for every place that a service has (told_apart.py)."""
MAX_WORDS = 100_000
"""Words of each kind, of all services: ten full ones."""
MAX_PLUGINS_NOTED = 1_000

Connection = duckdb.DuckDBPyConnection

_CLOSED = {
    "outcome": pa.array([*map(str, Outcome)]),
    "error_source": pa.array(["", *map(str, ErrorSource)]),
}
"""Column -> all that it may say; a success has no source."""
_REASONS = pa.array([*map(str, RejectionReason)])


def word_bounds() -> Bounds:
    """Return the bounds of one kind of words."""
    return Bounds(MAX_WORDS_OF_PLUGIN, MAX_WORDS_OF_SERVICE, MAX_WORDS)


def within_contract(rows: pa.Table) -> pa.Table:
    """The same rows; an outcome or error source that the contract does not know is `_OTHER`."""
    for column, words in _CLOSED.items():
        place = rows.schema.get_field_index(column)
        if place < 0:
            continue
        known = pc.is_in(rows[column], words)
        if not pc.all(known).as_py():
            rows = rows.set_column(place, column, pc.if_else(known, rows[column], OVERFLOW))
    return rows


def tell_words_apart(
    connection: Connection, rows: pa.Table, kind: str, counted: str, at: datetime
) -> tuple[pa.Table, pa.Table | None]:
    """Rows whose word is told apart, and those beyond it, with `_OTHER` for it; None: there are none.

    `kind` is the column of the words, `counted` that of how many calls or waits a row is. The caller holds the transaction.
    """
    told = pc.invert(pc.is_in(rows[kind], pa.array(["", OVERFLOW])))
    if kind == "error_type":  # why a call was refused is the contract's word, and judged by
        told = pc.and_not(
            told, pc.and_(pc.equal(rows["outcome"], Outcome.REJECTED.value), pc.is_in(rows[kind], _REASONS))
        )
    if not pc.any(told).as_py():
        return rows, None
    numbered = rows.select(["bucket_start", "service_name", "plugin_id"]).append_column("word", rows[kind])
    numbered = numbered.append_column("row", pa.array(np.arange(len(rows)))).filter(told)
    register = Register(connection, "words", "words", word_bounds(), {"kind": kind})
    with handed(connection, staged_words=numbered):
        if not register.admit(at):
            return rows, None
        found = connection.sql(statement("words_beyond").sql, params={"kind": kind}).to_arrow_table()["row"].to_numpy()
    if not len(found):
        return rows, None
    beyond = np.zeros(len(rows), bool)
    beyond[found] = True
    crowd = rows.filter(pa.array(beyond))
    crowd = crowd.set_column(crowd.schema.get_field_index(kind), kind, pa.repeat(OVERFLOW, len(crowd)))
    note_beyond(connection, crowd, kind, counted, at)
    return rows.filter(pa.array(~beyond)), crowd


def note_beyond(connection: Connection, crowd: pa.Table, kind: str, counted: str, at: datetime) -> None:
    """Note plugins whose rows are beyond what is told apart of a kind. The caller holds the transaction."""
    sums = crowd.group_by(["service_name", "plugin_id"]).aggregate([(counted, "sum")])
    lists = {
        "services": sums["service_name"].to_pylist(),
        "plugins": sums["plugin_id"].to_pylist(),
        "calls": sums[f"{counted}_sum"].to_pylist(),
    }
    connection.execute(statement("note_words_beyond").sql, {**lists, "kind": kind, "at": at, "most": MAX_PLUGINS_NOTED})
