"""A store of weeks in which one plugin grows and another stays, near their limits: what planners ask about."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from plugwarden_collector.store import Database

from tests.collector.support.rolled_store import ns

__all__ = ["DAYS", "RULES", "UNTIL", "fill", "told"]

UNTIL = datetime(2026, 11, 20, 12)
DAYS = 45
HOURS = """
insert into call_hours
select
    hour, 'service', 'i' || instance, plugin, '1', 'run', 'success', '', '',
    round(3600 * (1.5 + sin(hour(hour) / 24 * 2 * pi())) * (1 + growth * datediff('day', $first::timestamp, hour)))::ubigint as n,
    n * 0.1, 0.2, n * 0.05, [-104], [n]
from range($first::timestamp, $before::timestamp, interval 1 hour) t(hour)
cross join (values ('grows', 0.02), ('stays', 0.0)) p(plugin, growth) cross join range(2) i(instance)
"""
RULES = '[[slo]]\nname = "works"\nobjective = 0.99\nplugins = ["stays"]\nowner = "team-b"\n'


def fill(folder: Path) -> None:
    """Write the hours into a new store; the limits are `told` afterwards."""
    database = Database(folder)
    connection = database.cursor()
    connection.execute(HOURS, {"first": UNTIL - timedelta(days=DAYS), "before": UNTIL})
    for name in ("seconds", "minutes", "hours"):
        connection.execute("insert or replace into progress values (?, 0, ?)", [name, UNTIL])
    connection.close()
    database.close()


def told() -> bytes:
    """Two processes on a machine each: less than one place and one processor, so that small loads fill them."""
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    for instance in ("i0", "i1"):
        resource = message.resource_metrics.add()
        for key, text in (
            ("service.name", "service"),
            ("service.instance.id", instance),
            ("host.name", f"m{instance}"),
        ):
            resource.resource.attributes.add(key=key).value.string_value = text
        scope = resource.scope_metrics.add()
        for plugin, owner in (("grows", "team-a"), ("stays", "")):
            for metric, term, value in (
                ("plugin.invocation.active", "", 1), ("plugin.terms.enforced", "concurrency", 0.6),
                ("plugin.terms.enforced", "processors", 0.6),
            ):  # fmt: skip
                point = scope.metrics.add(name=metric).gauge.data_points.add(time_unix_nano=ns(UNTIL), as_double=value)
                said = {
                    "plugin.id": plugin,
                    "plugin.version": "1",
                    "plugin.operation": "run",
                    "plugin.term": term,
                    "plugin.owner": owner,
                }
                for key, text in said.items():
                    if text:
                        point.attributes.add(key=key).value.string_value = text
    body: bytes = message.SerializeToString()
    return body
