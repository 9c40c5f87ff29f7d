"""A collector that looks at itself when it is told to, and something for it to hear."""

from __future__ import annotations

import httpx2

from tests.collector.conftest import Running
from tests.collector.support.span_request import PROTOBUF, request


def post(collector: Running, instance: str, spans: int = 1) -> int:
    message = request(spans)
    resource = message.resource_spans[0].resource
    for key, value in (("service.name", "host"), ("service.instance.id", instance)):
        resource.attributes.add(key=key).value.string_value = value
    body = message.SerializeToString()
    return httpx2.post(f"{collector.http}/v1/traces", content=body, headers=PROTOBUF, timeout=30).status_code


def conditions(collector: Running) -> dict[str, str]:
    collector.collector.health.look()
    return {row["name"]: row["state"] for row in collector.api.get("health")["conditions"]}
