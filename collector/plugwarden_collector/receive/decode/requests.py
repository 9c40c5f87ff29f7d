"""OTLP request bytes to Arrow tables, a column at a time.

Traces and metrics have a fast way (fast.py) for requests in which nothing is odd. The general way takes everything: `ptars`
parses the protobuf wire format straight into nested Arrow; flattening is done with Arrow and numpy. No Python code runs per
span, point or record, save for nested attribute values. `read` takes the bytes of one export request and answers the rows to
store, with a count of those that had to be refused and why.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
from ptars import HandlerPool

from plugwarden_collector.errors import MalformedTelemetryError

from .bad_records import salvage
from .batch import Batch, Signal
from .fast import STAGED, read_plain
from .identity import DEFAULT_IDENTITY, Identity
from .logs import read_logs
from .metrics import read_many_metrics, read_metrics
from .naming import cut_texts, leave_out_unnameable
from .native import available
from .redacted import redacted_batch
from .schema import REQUESTS, narrow_request, parser_gave_up
from .spans import read_spans

__all__ = ["REQUESTS", "Batch", "Signal", "parse", "read", "read_many", "reads_many"]

_POOLS = {signal: HandlerPool([narrow_request(signal).file]) for signal in Signal}
_HANDLERS = {signal: _POOLS[signal].get_for_message(narrow_request(signal)) for signal in Signal}
_READERS: Mapping[Signal, Callable[[pa.RecordBatch, Identity, int], Batch]] = {
    Signal.TRACES: read_spans,
    Signal.METRICS: read_metrics,
    Signal.LOGS: read_logs,
}


def read(signal: Signal, body: bytes, *, identity: Identity = DEFAULT_IDENTITY, now_ns: int | None = None) -> Batch:
    """The rows of one export request that arrived at `now_ns`; raises `MalformedTelemetryError` when it is not one."""
    if not body:
        return Batch(signal)
    at = time.time_ns() if now_ns is None else now_ns
    if signal in STAGED and (plain := read_plain(signal, [body], identity, at)) is not None:
        return cut_texts(plain[0])
    try:
        return redacted_batch(leave_out_unnameable(_READERS[signal](parse(signal, body), identity, at)))
    except MalformedTelemetryError as error:
        saved = salvage(body, lambda part: _parses(signal, part))
        if saved is None or not saved.body:
            raise
        batch = redacted_batch(leave_out_unnameable(_READERS[signal](parse(signal, saved.body), identity, at)))
        reason = "; ".join(filter(None, (batch.reason, f"{saved.refused}: {error}")))
        return replace(batch, rejected=batch.rejected + saved.refused, reason=reason)


def read_many(
    signal: Signal, bodies: Sequence[bytes], *, identity: Identity = DEFAULT_IDENTITY, now_ns: int | None = None
) -> list[Batch] | None:
    """The rows of several requests, decoded at once: small ones cost a fraction of what they do one by one.

    None when any of them is not wholly as it should be, or the signal has no such way; each is then read by itself.
    """
    at = time.time_ns() if now_ns is None else now_ns
    if signal in STAGED and (plain := read_plain(signal, bodies, identity, at)) is not None:
        return [cut_texts(batch) for batch in plain]
    if signal is not Signal.METRICS or available():
        return None
    try:
        requests = _HANDLERS[signal].list_to_record_batch(list(bodies))
        found = read_many_metrics(requests, identity, at)
        return None if found is None else [redacted_batch(leave_out_unnameable(batch)) for batch in found]
    except BaseException as error:
        if not parser_gave_up(error):
            raise
        return None  # reading them one by one says what is wrong, and with which


def reads_many(signal: Signal) -> bool:
    """Whether `read_many` has a way for these."""
    return signal is Signal.METRICS or (signal is Signal.TRACES and available())


def _parses(signal: Signal, body: bytes) -> bool:
    try:
        parse(signal, body)
    except MalformedTelemetryError:
        return False
    return True


def parse(signal: Signal, body: bytes) -> pa.RecordBatch:
    """The request as one nested Arrow row."""
    try:
        return _HANDLERS[signal].list_to_record_batch([body])
    except BaseException as error:
        if not parser_gave_up(error):
            raise  # what people and the system raise passes through
        raise MalformedTelemetryError(f"not a valid {signal} export request: {error}") from error
