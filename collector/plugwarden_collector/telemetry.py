"""The collector's own metrics, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from plugwarden_collector.announce.board import Board
from plugwarden_collector.announce.notify import Notifier
from plugwarden_collector.receive.intake import Intake
from plugwarden_collector.store import Database, Writer
from plugwarden_collector.warden import Warden

__all__ = ["own_registry"]


def own_registry(
    database: Database, writer: Writer, intake: Intake, warden: Warden, board: Board, notifier: Notifier
) -> CollectorRegistry:
    """A registry whose values are read at each scrape."""
    registry = CollectorRegistry()
    registry.register(_Own(database, writer, intake, warden, board, notifier))
    return registry


class _Own(Collector):
    def __init__(
        self, database: Database, writer: Writer, intake: Intake, warden: Warden, board: Board, notifier: Notifier
    ) -> None:
        self._database, self._writer, self._intake = database, writer, intake
        self._warden, self._board, self._notifier = warden, board, notifier

    def collect(self) -> Iterator[Metric]:
        writer, stats, ticks = self._writer, self._writer.stats, self._warden.stats
        requests = CounterMetricFamily(
            "plugwarden_otlp_requests", "Export requests", labels=("signal", "transport", "result")
        )
        for labels, count in list(self._intake.requests.items()):
            requests.add_metric(labels, count)
        items = CounterMetricFamily("plugwarden_otlp_items", "Spans, points and records", labels=("signal", "result"))
        for item_labels, count in list(self._intake.items.items()):
            items.add_metric(item_labels, count)
        yield from (requests, items)
        for name, text, value in (
            ("plugwarden_commits", "Transactions of the writer", stats.commits),
            ("plugwarden_commit_seconds", "Time spent in them", stats.commit_seconds_sum),
            ("plugwarden_duplicate_requests", "Requests whose bytes were stored before", stats.duplicates),
            ("plugwarden_failed_requests", "Requests that could not be stored", stats.failed_requests),
            ("plugwarden_ticks", "Turns of the judging loop", ticks.ticks),
            ("plugwarden_tick_failures", "Turns that failed", ticks.failures),
            ("plugwarden_notifications_dropped", "Notifications that found the queue full", self._notifier.dropped),
        ):
            counter = CounterMetricFamily(name, text)
            counter.add_metric((), value)
            yield counter
        standing = self._warden.standing
        for name, text, value in (
            ("plugwarden_queued_bytes", "Decoded rows waiting for a commit", writer.queued_bytes),
            ("plugwarden_database_bytes", "The file and its write-ahead log", self._database.size_bytes()),
            ("plugwarden_tick_seconds", "Length of the last turn", ticks.seconds_last),
            ("plugwarden_tick_age_seconds", "Since the last turn", time.time() - ticks.ticked_at),
            ("plugwarden_ingest_age_seconds", "Since the last request", time.time() - self._intake.received_at),
            ("plugwarden_directive_revision", "Revision that sidecars are told", self._board.current.revision),
            (
                "plugwarden_alerts_firing",
                "Alerts that fire",
                sum(1 for item in standing.alerts.values() if item.alert.state.value == "firing"),
            ),
            (
                "plugwarden_quarantines_in_force",
                "Scopes isolated or on probation",
                sum(1 for item in standing.quarantines.values() if item.in_force),
            ),
            ("plugwarden_automation_frozen", "1 when the automation is switched off", int(standing.frozen is not None)),
        ):
            gauge = GaugeMetricFamily(name, text)
            gauge.add_metric((), value)
            yield gauge
