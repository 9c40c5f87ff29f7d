"""Counts what is stored, whatever is in it: rows at which counting fails are found, set aside and named, and the rest goes on.

Ordinarily all of it is one transaction (rollup). When that fails, commits are counted by halves until the one that fails is
known, and the rows of that one by halves again, those of one sender together, until what is left over is what fails. Each
commit is still counted in one transaction with the note of how far counting came: exactly once, also over a kill.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import duckdb
import pyarrow as pa

from plugwarden_collector.errors import NotFoundError, StoreError
from plugwarden_collector.figures import counted
from plugwarden_collector.store.duckdb.handed import handed
from plugwarden_collector.store.duckdb.statements import statement
from plugwarden_collector.store.upkeep import SetAside

from .resolutions import Tiers
from .rollup import NEVER, STAGED, add_calls, as_calls, count, fold, roll_up
from .set_aside import Bad, forget_old, keep_apart, rows_of

__all__ = ["Counting"]

MAX_WORK = 1 << 19
"""Work of one turn of the writer, in the units of uncounted_work.sql: some tenths of a second. Others have their turn in between."""
MAX_TRIALS = 200
MAX_SECONDS = 5.0
"""For one commit. Senders and the judge wait meanwhile; what is not told apart by then is set aside together. A bad row among
100,000 takes some 35 trials."""
_MEMORY = (MemoryError, duckdb.OutOfMemoryException)
"""Fewer commits at a time take less of it."""
_OURS = (
    *_MEMORY,
    duckdb.IOException,
    duckdb.TransactionException,
    duckdb.FatalException,
    duckdb.InternalException,
    duckdb.InterruptException,
    duckdb.ConnectionException,
)
"""Not the data's fault: tried again as it is, when there is memory or room again."""
_RAW = {"spans": ("span_rows", "countable_spans"), "metric_points": ("point_rows", "countable_points")}
"""What is counted -> its table, and the statement that gives one commit's rows of it."""
_TIERS = {"call_seconds": "second", "call_minutes": "minute"}
CALL_TABLES = frozenset(_TIERS)

Connection = duckdb.DuckDBPyConnection
_log = logging.getLogger(__name__)


class Counting:
    """Used by the writer's thread alone."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._reopened: set[datetime] = set()
        self.set_aside_rows = 0
        """Rows set aside since the start."""
        self.set_aside_times = 0
        """How often something was."""
        self.let_go = 0
        """Entries that went because there were too many, or for their age."""

    def turn_until(self, tiers: Tiers, batch: int) -> int:
        """Return the commit up to which one turn counts: as much as `MAX_WORK` lets it, and at least one commit."""
        if batch - tiers.rolled <= 1:
            return batch
        span = {"after": tiers.rolled, "until": batch}
        work = 0
        until = tiers.rolled
        for found, more in self._connection.execute(statement("uncounted_work").sql, span).fetchall():
            work += more
            if work > MAX_WORK and until > tiers.rolled:
                return until
            until = int(found)
        return batch

    def turn(self, tiers: Tiers, batch: int, at: datetime, tables: Collection[str] = STAGED) -> Iterator[Tiers]:
        """One turn towards `batch`; what is old enough is folded with the last. Otherwise as `roll_up`."""
        until = self.turn_until(tiers, batch)
        if until >= batch:
            yield from self.roll_up(tiers, batch, at, tables)
            return
        try:
            yield self._transaction(lambda reopened: count(self._connection, tiers, until, at, tables, reopened))
        except Exception as error:
            if isinstance(error, _OURS) and not isinstance(error, _MEMORY):
                raise
            _log.warning("counting failed, the rows that it fails at are looked for: %s", error)
            self._nothing_counts(tiers, at)
            yield from self._commits(tiers, until, at, tables)

    def roll_up(self, tiers: Tiers, batch: int, at: datetime, tables: Collection[str] = STAGED) -> Iterator[Tiers]:
        """Count raw rows up to `batch` and fold what is old enough; gives where the tiers stand after each transaction.

        Raises what is not the data's fault.
        """
        try:
            yield self._whole(tiers, batch, at, tables)
            return
        except Exception as error:
            if isinstance(error, _OURS) and not isinstance(error, _MEMORY):
                raise
            _log.warning("counting failed, the rows that it fails at are looked for: %s", error)
            self._nothing_counts(tiers, at)
        for after in self._commits(tiers, batch, at, tables):
            yield after
            tiers = after
        yield self._fold_apart(tiers, at)

    def again(
        self, tiers: Tiers, batch: int, at: datetime, identity: str, also: Callable[[Connection], object] | None = None
    ) -> Tiers:
        """Count the rows of one entry that was set aside, as if they came in with the new commit `batch`.

        `also` is done in the same transaction: what is counted is written down, or neither. Raises `NotFoundError` for an entry that
        is not there or has no rows, `StoreError` when they still cannot be counted.
        """
        found = rows_of(self._connection, identity)
        if found is None:
            raise NotFoundError(f"nothing is set aside as {identity!r}; `plugwarden aside` lists what is")
        what, rows = found
        if rows is None:
            raise NotFoundError(
                f"{identity}: its rows were too many to keep; what is stored of them is in the raw views"
            )

        def work(reopened: set[datetime]) -> Tiers:
            self._connection.execute(statement("delete_set_aside").sql, {"id": identity}).fetchall()
            if also is not None:
                also(self._connection)
            if what in CALL_TABLES:
                table = as_calls(
                    rows, NEVER
                )  # they were counted when they arrived, and taken out again: judging has seen them
                late = add_calls(self._connection, table, tiers)
                return self._counted(tiers, batch, table, late, reopened)
            renumbered = rows.set_column(
                rows.schema.get_field_index("batch"), "batch", pa.repeat(pa.scalar(batch, pa.uint64()), len(rows))
            )
            with self._instead({what: renumbered}):
                return count(self._connection, tiers, batch, at, STAGED, reopened)

        try:
            return self._transaction(work)
        except _OURS:
            raise
        except Exception as error:
            raise StoreError(f"{identity} still cannot be counted: {error}") from error

    # -- the ordinary way ---------------------------------------------------------------------------------------------

    def _whole(self, tiers: Tiers, batch: int, at: datetime, tables: Collection[str]) -> Tiers:
        return self._transaction(lambda reopened: roll_up(self._connection, tiers, batch, at, tables, reopened))

    def _transaction(self, work: Callable[[set[datetime]], Tiers], *, keep: bool = True) -> Tiers:
        """All of it or nothing; `keep` false: nothing, it is only tried."""
        reopened = set(self._reopened)
        self._connection.execute("begin")
        try:
            after = work(reopened)
            self._connection.execute("commit" if keep else "rollback")
        except BaseException:
            _rollback(self._connection)
            raise
        if keep:
            self._reopened = reopened
        return after

    def _counted(
        self, tiers: Tiers, batch: int, table: pa.Table, late: set[datetime], reopened: set[datetime]
    ) -> Tiers:
        reopened |= late
        self._connection.execute(statement("advance_progress").sql, {"name": "rolled", "batch": batch, "time": None})
        return tiers.counted(batch, [table], late)

    # -- raw rows -----------------------------------------------------------------------------------------------------

    def _nothing_counts(self, tiers: Tiers, at: datetime) -> None:
        """Count no row at all: where that fails too no row is to blame, and setting rows aside would lose them for nothing."""
        empty = {what: self._commit_rows(what, 0).slice(0, 0) for what in _RAW}

        def work(reopened: set[datetime]) -> Tiers:
            with self._instead(empty):
                return count(self._connection, tiers, tiers.rolled + 1, at, STAGED, reopened)

        self._transaction(work, keep=False)

    def _commits(self, tiers: Tiers, batch: int, at: datetime, tables: Collection[str]) -> Iterator[Tiers]:
        """Count commit by commit, as many together as can be."""
        ends = [batch] if batch > tiers.rolled else []
        while ends:
            end = ends[-1]
            try:
                tiers = self._transaction(lambda reopened: count(self._connection, tiers, end, at, tables, reopened))  # noqa: B023
            except Exception as error:
                middle = (tiers.rolled + end) // 2
                if end - tiers.rolled > 1 and middle > tiers.rolled:
                    ends.append(middle)
                    continue
                if isinstance(error, _OURS):
                    raise
                tiers = self._set_aside(tiers, end, at, error)
            ends.pop()
            yield tiers

    def _set_aside(self, tiers: Tiers, batch: int, at: datetime, error: Exception) -> Tiers:
        """Count one commit without the rows at which that fails."""
        rows = {what: self._commit_rows(what, batch) for what in _RAW}

        def tried(good: dict[str, pa.Table], reopened: set[datetime]) -> Tiers:
            with self._instead(good):
                return count(self._connection, tiers, batch, at, STAGED, reopened)

        def fails(good: dict[str, pa.Table]) -> str | None:
            return self._failure(lambda reopened: tried(good, reopened))

        good, bad = _separated(rows, fails, str(error))

        def work(reopened: set[datetime]) -> Tiers:
            after = tried(good, reopened)
            self._note(bad, batch, at)
            return after

        return self._transaction(work)

    def _commit_rows(self, what: str, batch: int) -> pa.Table:
        return self._connection.sql(statement(_RAW[what][1]).sql, params={"batch": batch}).to_arrow_table()

    # -- rows that are counted already ----------------------------------------------------------------------------------

    def _fold_apart(self, tiers: Tiers, at: datetime) -> Tiers:
        """Fold; where that fails, without the rows at which it does: such as earlier versions let in."""
        try:
            return self._transaction(lambda reopened: fold(self._connection, tiers, at, reopened))
        except Exception as error:
            if isinstance(error, _OURS):
                raise
            reason = str(error)
        connection = self._connection
        rows = {
            f"call_{unit}s": connection.sql(statement(f"doubtful_{unit}s").sql, params=span).to_arrow_table()
            for unit, span in (
                ("second", {"first": tiers.minutes, "before": at}),
                ("minute", {"first": tiers.hours - timedelta(hours=1), "before": at}),
            )
        }

        def without(bad: dict[str, pa.Table], reopened: set[datetime]) -> Tiers:
            for what, unit in _TIERS.items():
                if what in bad and len(bad[what]):
                    with handed(connection, doubtful_rows=bad[what].select(["row"])):
                        connection.execute(statement(f"forget_{unit}_rows").sql)
            return fold(connection, tiers, at, reopened)

        if self._failure(lambda reopened: without(rows, reopened)) is not None:
            # None of these rows is to blame, but perhaps one of an hour long over that is due to be packed again: that can wait.
            self._reopened.clear()
            return self._transaction(lambda reopened: fold(connection, tiers, at, reopened))

        def fails(good: dict[str, pa.Table]) -> str | None:
            bad = {what: _others(table, good.get(what)) for what, table in rows.items()}
            return self._failure(lambda reopened: without(bad, reopened))

        _, bad = _separated(rows, fails, reason)
        whole = {
            what: pa.concat_tables(item.rows for item in bad if item.what == what)
            for what in {item.what for item in bad}
        }

        def work(reopened: set[datetime]) -> Tiers:
            after = without(whole, reopened)
            self._note([replace(item, rows=item.rows.drop_columns(["row"])) for item in bad], tiers.rolled, at)
            # What was taken out is in what memories follow: they begin anew.
            return replace(after, fresh=(), fresh_from=after.rolled, late=(), late_from=after.rolled)

        return self._transaction(work)

    # -- both ---------------------------------------------------------------------------------------------------------

    def _failure(self, work: Callable[[set[datetime]], Tiers]) -> str | None:
        """Try something and take it back; return why it failed, if the data are to blame."""
        try:
            self._transaction(work, keep=False)
        except Exception as error:
            if isinstance(error, _OURS):
                raise
            return str(error) or type(error).__name__
        return None

    def _note(self, bad: list[Bad], batch: int, at: datetime) -> None:
        entries = keep_apart(self._connection, bad, batch, at)
        self.let_go += forget_old(self._connection, at)
        self.set_aside_times += 1
        for entry in entries:
            self.set_aside_rows += entry.rows
            _log.warning("set aside, not counted: %s", _sentence(entry))

    @contextmanager
    def _instead(self, rows: dict[str, pa.Table]) -> Iterator[None]:
        """Let statements that name the tables of raw rows read these within a block: a temporary view hides a table of its name."""
        tables = {
            table: rows[what] if what in rows else self._commit_rows(what, 0).slice(0, 0)
            for what, (table, _) in _RAW.items()
        }
        with handed(self._connection, **tables):
            yield


def _separated(
    rows: dict[str, pa.Table], fails: Callable[[dict[str, pa.Table]], str | None], reason: str
) -> tuple[dict[str, pa.Table], list[Bad]]:
    """Rows that can be counted together, and those that cannot be counted with them. `fails` tells why some cannot be.

    What is good is only ever added to, so that rows which fail just together are found as well.
    """
    good = {what: table.slice(0, 0) for what, table in rows.items()}
    bad: list[Bad] = []
    trials, until = 0, time.monotonic() + MAX_SECONDS
    parts = [(what, table) for what, table in rows.items() if len(table)]
    while parts:
        what, part = parts.pop()
        wanted = {**good, what: pa.concat_tables([good[what], part])}
        trials += 1
        spent = trials > MAX_TRIALS or time.monotonic() > until
        why = fails(wanted) if not spent else "not told apart from rows that cannot be counted: " + reason
        if why is None:
            good = wanted
        elif len(part) == 1 or spent:
            bad.append(Bad(what, part, why))
        else:
            middle = len(part) // 2
            parts += [(what, part.slice(middle)), (what, part.slice(0, middle))]
    return good, bad


def _others(whole: pa.Table, some: pa.Table | None) -> pa.Table:
    if some is None:
        return whole
    wanted = set(some["row"].to_pylist())
    return whole.filter(pa.array([row not in wanted for row in whole["row"].to_pylist()], pa.bool_()))


def _sentence(entry: SetAside) -> str:
    where = " ".join(part for part in (entry.service_name, entry.plugin_id) if part)
    return f"{counted(entry.rows, 'row')} of {entry.what} in commit {entry.batch}{f' of {where}' if where else ''}: {entry.error}"


def _rollback(connection: Connection) -> None:
    try:
        connection.execute("rollback")
    except duckdb.Error:
        pass  # there was no transaction to roll back
