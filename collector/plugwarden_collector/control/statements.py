"""Statements of rules: run as those of readers are, and tried on an empty store before they are trusted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

import pyarrow as pa

from plugwarden_collector.clock import utc_now
from plugwarden_collector.errors import QueryError, StoreError, WatchError
from plugwarden_collector.rules.alert_rule import AlertKind, AlertRule
from plugwarden_collector.store import empty_telemetry
from plugwarden_collector.store.answer import collect
from plugwarden_collector.store.telemetry import Queries, Query
from plugwarden_collector.watch.sample import Sample
from plugwarden_collector.watch.saturation import MAX_FORECAST_ROWS, forecasts
from plugwarden_collector.watch.statement import MAX_ROWS, TIME, VALUE, column_fault, samples_of

__all__ = ["problems_of", "samples_by"]

TIMEOUT_SECONDS = 5.0
"""Seconds of a look: a third of what a person's statement may take, for nobody waits at a screen and all rules wait for each other."""
TRIAL_SECONDS = 30.0
"""Seconds of a trial, within which the processes of readers are started as well."""
MAX_BYTES = 1_000_000
"""Bytes of an answer; a hundred rows of labels have a tenth of that."""
_AT = re.compile(r"\$at\b")


def samples_by(
    queries: Queries, rule: AlertRule, at: datetime, *, timeout_seconds: float | None = None
) -> list[Sample]:
    """Return what a rule's statement finds at a time, which the statement may name `$at`.

    Raises `QueryError`, `QueryTimeoutError` and `BusyError` as a reader's statement does, and `WatchError` for what cannot be looked at.
    """
    parameters = {"at": at} if _AT.search(rule.sql) else None
    most = MAX_FORECAST_ROWS if rule.kind is AlertKind.FORECAST else MAX_ROWS
    query = Query(
        rule.sql, parameters, limit=most + 1, max_bytes=MAX_BYTES, timeout_seconds=timeout_seconds or TIMEOUT_SECONDS
    )
    answer = collect(queries.start(query))
    if wrong := _schema_fault(answer.table.schema, timed=rule.kind is AlertKind.FORECAST):
        raise WatchError(wrong)
    if answer.truncated and answer.table.num_rows <= most:
        raise WatchError(f"gives more than {MAX_BYTES} bytes; shorten its labels")
    rows = answer.table.to_pylist()
    return forecasts(rule, rows) if rule.kind is AlertKind.FORECAST else samples_of(rule, rows)


def problems_of(rules: Iterable[AlertRule]) -> list[str]:
    """Return what is wrong with the statements of rules, each with its place, what to write instead, and its line."""
    tried = [rule for rule in rules if rule.sql]
    if not tried:
        return []
    with empty_telemetry() as telemetry:
        found = [(rule, _problem(telemetry.queries, rule)) for rule in tried]
    lines = {rule.place: f" (line {rule.line})" if rule.line else "" for rule in tried}
    return [f"{rule.place}.sql: {wrong}{lines[rule.place]}" for rule, wrong in found if wrong is not None]


def _problem(queries: Queries, rule: AlertRule) -> str | None:
    try:
        samples_by(queries, rule, utc_now(), timeout_seconds=TRIAL_SECONDS)
    except QueryError as error:
        return f"cannot run: {error}; `plugwarden query --views` names the views and their columns"
    except (WatchError, StoreError) as error:
        return str(error)
    return None


def _schema_fault(schema: pa.Schema, *, timed: bool) -> str | None:
    """What is wrong with the columns that a statement gives."""
    if wrong := column_fault(schema.names, timed=timed):
        return wrong
    if timed and not pa.types.is_timestamp(schema.field(TIME).type):
        return f"gives {schema.field(TIME).type} as {TIME}; make it a timestamp, such as bucket_start"
    kind = schema.field(VALUE).type
    if not (
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind)
    ):
        return f"gives {kind} as {VALUE}; make it a number, such as count(*) or sum(calls)"
    return None
