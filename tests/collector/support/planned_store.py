"""A store of weeks in which one plugin grows and another stays, near their limits: what planners ask about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from plugwarden_collector.store import Database

from tests.collector.support.rolled_store import ns

__all__ = ["DAYS", "PLUGINS", "RULES", "UNTIL", "fill", "told"]

UNTIL = datetime(2026, 11, 20, 12)
DAYS = 45
PLUGINS = (("grows", "team-a"), ("stays", ""))
"""Those that have limits, each with the owner of its manifest."""
STEPS = """
insert into {table}
select
    step, 'service', 'i' || instance, plugin, '1', 'run', 'success', '', '',
    round(
        {seconds} * (1.5 + sin(hour(step) / 24 * 2 * pi())) * (1 + growth * datediff('day', $first::timestamp, step))
        * (1 + $noise * sin(epoch(step) / 3600 * 7.7))
    )::ubigint as n,
    n * 0.1, 0.2, n * 0.05, [-104], [n]
from range($since::timestamp, $before::timestamp, interval {seconds} second) t(step)
cross join (values ('grows', 0.02), ('stays', 0.0), ('young', 0.0)) p(plugin, growth) cross join range(2) i(instance)
where plugin != 'young' or step >= $young::timestamp
"""
RULES = '[[slo]]\nname = "works"\nobjective = 0.99\nplugins = ["stays"]\nowner = "team-b"\n'


def fill(
    folder: Path, *, noise: float = 0.0, minutes: timedelta = timedelta(0), young: timedelta = timedelta(0)
) -> None:
    """Write the hours into a new store, and its last `minutes` as well; the limits are `told` afterwards. With `noise` no hour is quite as
    foreseen; `young` is how long a third plugin has been there."""
    database = Database(folder)
    connection = database.cursor()
    asked = {"first": UNTIL - timedelta(days=DAYS), "before": UNTIL, "noise": noise, "young": UNTIL - young}
    for table, seconds, since in (("call_hours", 3600, asked["first"]), ("call_minutes", 60, UNTIL - minutes)):
        connection.execute(STEPS.format(table=table, seconds=seconds), {**asked, "since": since})
    for name in ("seconds", "minutes", "hours"):
        connection.execute("insert or replace into progress values (?, 0, ?)", [name, UNTIL])
    connection.close()
    database.close()


def told(plugins: Sequence[tuple[str, str]] = PLUGINS, *, limit: float = 0.6, at: datetime = UNTIL) -> bytes:
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
        for plugin, owner in plugins:
            for metric, term, value in (
                ("plugin.invocation.active", "", 1), ("plugin.terms.enforced", "concurrency", limit),
                ("plugin.terms.enforced", "processors", limit),
            ):  # fmt: skip
                point = scope.metrics.add(name=metric).gauge.data_points.add(time_unix_nano=ns(at), as_double=value)
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
