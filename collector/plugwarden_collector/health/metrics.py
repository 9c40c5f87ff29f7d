"""The collector's own metrics, for Prometheus. A scrape reads what is counted already; it asks the database nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from plugwarden_collector.announce.board import Board
from plugwarden_collector.announce.events import EventSender
from plugwarden_collector.announce.notify import Notifier
from plugwarden_collector.api.request_counts import ApiCalls
from plugwarden_collector.audit.access_log import AccessLog
from plugwarden_collector.audit.entries import DECISIONS
from plugwarden_collector.control.live import Warden
from plugwarden_collector.control.watching import Watching
from plugwarden_collector.health import HealthWatch
from plugwarden_collector.health.totals import busy_answers
from plugwarden_collector.latency import Distribution
from plugwarden_collector.pushed import PushedAlerts
from plugwarden_collector.receive.decode.native import available
from plugwarden_collector.receive.intake import Intake
from plugwarden_collector.store import Audit, Notes, Telemetry

__all__ = ["own_registry"]

CONDITION_NUMBER = {"inactive": 0, "pending": 1, "firing": 2}


def own_registry(
    telemetry: Telemetry,
    intake: Intake,
    warden: Warden,
    board: Board,
    notifier: Notifier,
    events: EventSender,
    health: HealthWatch,
    calls: ApiCalls,
    pushed: PushedAlerts,
    audit: Audit,
    access: AccessLog,
    notes: Notes,
    watching: Watching,
) -> CollectorRegistry:
    """A registry whose values are read at each scrape; with them the process's own, `process_*`."""
    registry = CollectorRegistry()
    registry.register(_Ingest(telemetry, intake, health))
    registry.register(_Store(telemetry, health))
    registry.register(_Decisions(warden, board, notifier, events, health, calls, notes))
    registry.register(_Pushed(pushed))
    registry.register(_Watched(watching))
    registry.register(_Audit(audit, access))
    ProcessCollector(registry=registry)
    return registry


class _Ingest(Collector):
    """What comes in, and what becomes of it until it is on disk."""

    def __init__(self, telemetry: Telemetry, intake: Intake, health: HealthWatch) -> None:
        self._store, self._intake, self._health = telemetry.condition, intake, health

    def collect(self) -> Iterator[Metric]:
        intake, store, arrivals, at = self._intake, self._store.health(), self._health.arrivals, self._health.now()
        yield _counters("plugwarden_otlp_requests", "Export requests", intake.requests, "signal", "transport", "result")
        yield _counters("plugwarden_otlp_items", "Spans, points and records", intake.items, "signal", "result")
        yield _counters("plugwarden_refused_items", "Left out of requests", arrivals.refused, "signal", "reason")
        yield _gauge("plugwarden_native_decoding", "1 when the decoder in C is in use", int(available()))
        yield _counter("plugwarden_busy_answers", "Requests told to come back", busy_answers(intake))
        yield _counter("plugwarden_duplicate_requests", "Requests whose bytes were stored before", store.duplicates)
        yield _counter("plugwarden_failed_requests", "Requests that could not be stored", store.failed_requests)
        lag = {(signal,): distribution for signal, distribution in arrivals.lag.items()}
        yield _histograms("plugwarden_ingest_lag_seconds", "From receipt to disk", lag, "signal")
        yield _gauge("plugwarden_queued_requests", "Waiting for a commit", store.queued_requests)
        yield _gauge("plugwarden_queued_bytes", "Decoded rows waiting for a commit", store.queued_bytes)
        yield _gauge("plugwarden_queue_bound_bytes", "What may wait", store.queue_bound_bytes)
        yield _gauge("plugwarden_in_hand_bytes", "Bodies of requests not yet answered", intake.allowance.in_hand)
        yield _gauge("plugwarden_in_hand_bound_bytes", "What may be in hand", intake.allowance.limit)
        yield _gauge("plugwarden_ingest_age_seconds", "Since the last request", time.monotonic() - intake.received_at)
        for name, text, moments in (
            ("plugwarden_arrival_age_seconds", "Since rows last arrived", arrivals.arrived_at),
            ("plugwarden_event_age_seconds", "Age of the newest row by the time it carries", arrivals.event_at),
        ):
            ages = {(signal,): (at - then).total_seconds() for signal, then in dict(moments).items()}
            yield _gauges(name, text, ages, "signal")
        words = [item.state for item in self._health.senders]
        found = {(word,): float(words.count(word)) for word in ("sending", "silent", "learning", "replaced", "ended")}
        yield _gauges("plugwarden_senders", "Processes that send telemetry", found, "state")


class _Store(Collector):
    """The writer, the file, and what is let go of."""

    def __init__(self, telemetry: Telemetry, health: HealthWatch) -> None:
        self._store, self._upkeep, self._health = telemetry.condition, telemetry.upkeep, health

    def collect(self) -> Iterator[Metric]:
        store, retained, seen = self._store.health(), self._upkeep.retained(), self._health.readings
        can, memory = self._store.can, self._store.memory_bytes()
        refused = sum(item.rows for item in retained.refused.values())
        rows = {(name,): count for name, count in store.stored_rows.items()}
        yield _counters("plugwarden_stored_rows", "Rows stored", rows, "table")
        gone = {(view,): count for view, count in retained.rows.items()}
        yield _counters("plugwarden_retention_rows", "Rows let go", gone, "view")
        beyond = seen.calls_beyond
        for name, text, count in (
            ("plugwarden_calls_beyond_names", "Calls counted under one name with others, for want of places", beyond),
            (
                "plugwarden_calls_beyond_words",
                "Calls and waits counted under one error type or downstream with others, for want of places",
                seen.calls_beyond_words,
            ),
            ("plugwarden_commits", "Transactions of the writer", store.commits),
            ("plugwarden_checkpoints", "Checkpoints", store.folding.done),
            ("plugwarden_checkpoints_put_off", "Checkpoints that had to wait for readers", store.folding.put_off),
            (
                "plugwarden_set_aside_rows",
                "Rows that could not be counted and were set aside",
                store.set_aside_rows,
            ),
            (
                "plugwarden_set_aside_let_go",
                "Of what was set aside, entries that went for want of room or for their age",
                store.set_aside_let_go,
            ),
            ("plugwarden_retention_rounds", "Rounds of cleaning up", retained.rounds),
            ("plugwarden_retention_failures", "Rounds that failed", retained.failures),
            ("plugwarden_retention_early", "Rounds in which rows went before their age", retained.early),
        ):
            yield _counter(name, text, count)
        yield _histograms("plugwarden_commit_seconds", "Length of a commit", {(): store.commit_times})
        yield _histograms("plugwarden_checkpoint_seconds", "Length of a checkpoint", {(): store.folding.times})
        for name, text, value in (
            ("plugwarden_database_bytes", "The file and its write-ahead log", seen.file_bytes + seen.wal_bytes),
            ("plugwarden_database_file_bytes", "The file", seen.file_bytes),
            ("plugwarden_database_used_bytes", "Of file and log, what rows take", seen.used_bytes),
            ("plugwarden_database_free_bytes", "Of the file, what new rows can take", seen.free_bytes),
            ("plugwarden_database_wal_bytes", "The write-ahead log", seen.wal_bytes),
            ("plugwarden_database_max_bytes", "--max-size; 0: no limit", seen.max_bytes),
            ("plugwarden_database_growth_bytes_per_second", "Over ten minutes", seen.growth_bytes_per_second),
            ("plugwarden_database_seconds_until_full", "Until --max-size, growing as now", seen.seconds_until_full),
            ("plugwarden_disk_free_bytes", "On the data folder's file system", seen.disk_free_bytes),
            ("plugwarden_names_told_apart", "Plugin versions of services that have a place of their own", seen.names),
            ("plugwarden_names_bound", "How many there can be", can.names),
            ("plugwarden_words_told_apart", "Error types and downstreams that have a place of their own", seen.words),
            ("plugwarden_words_bound", "How many there can be", can.words),
            ("plugwarden_refused_deletion_rows", "Rows that wait for a person to be deleted", refused),
            (
                "plugwarden_clock_step_seconds",
                "The wall clock ahead of the time that is kept",
                seen.clock_step_seconds or 0.0,
            ),
            ("plugwarden_uncounted_rows", "Raw rows that no rollup has counted yet", store.uncounted_rows),
            ("plugwarden_rollup_lag_seconds", "How long the oldest of them has waited", seen.rollup_lag_seconds),
            ("plugwarden_trace_index_bytes", "Memory of the index of traces", memory["trace_index"]),
            ("plugwarden_call_memory_bytes", "Memory of the calls that pages ask for", memory["call_memory"]),
            (
                "plugwarden_closed_hours_bytes",
                "Memory of the full hours that the judge asks for",
                memory["closed_hours"],
            ),
        ):
            if value is not None:
                yield _gauge(name, text, value)


class _Decisions(Collector):
    """Judging, telling, answering, and the conditions of the collector itself."""

    def __init__(
        self,
        warden: Warden,
        board: Board,
        notifier: Notifier,
        events: EventSender,
        health: HealthWatch,
        calls: ApiCalls,
        notes: Notes,
    ) -> None:
        self._warden, self._board, self._notifier, self._health, self._calls = warden, board, notifier, health, calls
        self._events, self._notes = events, notes

    def collect(self) -> Iterator[Metric]:
        ticks, standing, calls = self._warden.stats, self._warden.standing, self._calls
        yield _counters("plugwarden_api_requests", "Requests to the API", calls.requests, "route", "status")
        spent = {(route,): seconds for route, seconds in dict(calls.seconds).items()}
        yield _counters("plugwarden_api_seconds", "Time spent answering", spent, "route")
        yield _gauge("plugwarden_api_requests_under_way", "Requests being answered", calls.under_way)
        for name, text, count in (
            ("plugwarden_ticks", "Turns of the judging loop", ticks.ticks),
            ("plugwarden_tick_failures", "Turns that failed", ticks.failures),
            (
                "plugwarden_notifications_unrecorded",
                "Deliveries and changes of conditions never stored",
                self._notes.lost,
            ),
            (
                "plugwarden_notifications_unwritten",
                "Attempts made that stood nowhere on disk when they began",
                self._notes.unwritten,
            ),
            ("plugwarden_note_failures", "Attempts to store those that failed", self._notes.failures),
            ("plugwarden_health_failures", "Looks at our own health that failed", self._health.failures),
        ):
            yield _counter(name, text, count)
        counts = self._notifier.counts.copy() + self._events.counts.copy()  # a receiver is told by one of them
        yield _counters("plugwarden_notifications", "Deliveries", counts, "receiver", "result")
        found = {**self._notifier.waiting, **self._events.waiting}
        waiting = {(name,): float(count) for name, count in found.items()}
        yield _gauges("plugwarden_notifications_waiting", "What a receiver has not got yet", waiting, "receiver")
        late = {(name,): seconds for name, seconds in self._health.readings.untold_seconds.items()}
        yield _gauges(
            "plugwarden_notifications_untold_seconds", "How long a receiver has been owed something", late, "receiver"
        )
        firing = sum(1 for item in list(standing.alerts.values()) if item.alert.state.value == "firing")
        untold = len(self._health.readings.unannounced)
        in_force = sum(1 for item in list(standing.quarantines.values()) if item.in_force)
        for name, text, value in (
            ("plugwarden_tick_seconds", "Length of the last turn", ticks.seconds_last),
            ("plugwarden_tick_age_seconds", "Since the last turn", time.monotonic() - ticks.ticked_at),
            ("plugwarden_directive_revision", "Revision that sidecars are told", self._board.current.revision),
            ("plugwarden_alerts_firing", "Alerts on plugins that fire", firing),
            ("plugwarden_quarantines_untold", "Of these, such as no sidecar can be told of", untold),
            ("plugwarden_quarantines_in_force", "Scopes isolated or on probation", in_force),
            ("plugwarden_automation_frozen", "1 when the automation is switched off", int(standing.frozen is not None)),
        ):
            yield _gauge(name, text, value)
        states = {
            (name, item.rule.severity): float(CONDITION_NUMBER[item.alert.state.value])
            for name, item in self._health.conditions.items()
        }
        text = "Alerts on the collector itself: 0 inactive, 1 pending, 2 firing"
        yield _gauges("plugwarden_condition", text, states, "condition", "severity")


class _Pushed(Collector):
    """Alerts that others push to us."""

    def __init__(self, alerts: PushedAlerts) -> None:
        self._alerts = alerts

    def collect(self) -> Iterator[Metric]:
        counts = {(result,): float(count) for result, count in dict(self._alerts.counts).items()}
        yield _counters("plugwarden_pushed_alerts", "Alerts that others pushed", counts, "result")
        yield _gauge("plugwarden_pushed_alerts_firing", "Of them, those that fire", self._alerts.firing)
        yield _gauge("plugwarden_pushed_alerts_bound", "How many are kept at most", self._alerts.limit)


class _Watched(Collector):
    """Looks of the rules' alerts that rest on no objective."""

    def __init__(self, watching: Watching) -> None:
        self._watching = watching

    def collect(self) -> Iterator[Metric]:
        counts = {(result,): float(count) for result, count in dict(self._watching.counts).items()}
        yield _counters("plugwarden_alert_looks", "Looks of the alerts of the rules", counts, "result")
        seconds = sum(look.seconds for look in list(self._watching.looks.values()))
        yield _gauge("plugwarden_alert_look_seconds", "What the last look of each of them took, together", seconds)
        yield _gauge("plugwarden_alert_rules_failing", "Those that cannot be looked at", len(self._watching.failing()))


class _Audit(Collector):
    """The heads of the decision log, for whoever keeps metrics elsewhere, and what is known to be wrong with it."""

    def __init__(self, audit: Audit, access: AccessLog) -> None:
        self._audit, self._access = audit, access

    def collect(self) -> Iterator[Metric]:
        heads = self._audit.heads
        entries = {(stream,): float(head.sequence) for stream, head in heads.items()}
        yield _gauges("plugwarden_audit_entries", "Entries of the audit log", entries, "stream")
        newest = {(DECISIONS, heads[DECISIONS].hash): 1.0}
        yield _gauges("plugwarden_audit_head", "1, with the hash of the newest entry", newest, "stream", "hash")
        for name, text, count in (
            ("plugwarden_audit_head_failures", "Heads that the disk did not take", self._audit.failures),
            ("plugwarden_access_folded", "Looks and refusals counted, not told apart", self._access.overflowed),
            ("plugwarden_access_lost", "Entries of the access log that the store never took", self._access.lost),
        ):
            yield _counter(name, text, count)
        yield _gauge("plugwarden_audit_breaks", "Breaks of the log that nobody explained", len(self._audit.open_breaks))


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _counters(name: str, text: str, values: Mapping[Any, float], *labels: str) -> Metric:
    return _labelled(CounterMetricFamily(name, text, labels=labels), list(values.items()))


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _gauges(name: str, text: str, values: Mapping[Any, float], *labels: str) -> Metric:
    return _labelled(GaugeMetricFamily(name, text, labels=labels), list(values.items()))


def _labelled(
    family: CounterMetricFamily | GaugeMetricFamily, values: Iterable[tuple[Any, float]]
) -> CounterMetricFamily | GaugeMetricFamily:
    for labels, value in values:
        family.add_metric(labels, value)
    return family


def _histograms(name: str, text: str, values: Mapping[Any, Distribution], *labels: str) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for key, distribution in values.items():
        family.add_metric(key, distribution.cumulative(), distribution.sum_seconds)
    return family
