"""What no objective promises anything of that isolates: how a person's quarantine of it ends is told by what probation lets through."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from tests.collector.conftest import RULES, Running, running
from tests.collector.support.failing_plugin import entries
from tests.collector.support.span_request import PROTOBUF, request
from tests.collector.support.waiting import eventually

NARROWED = 'name = "exports work"\nplugins = "csv"\noperations = "export"'


def call(collector: Running, plugin: str, outcome: str) -> None:
    """Let calls of a plugin end just now."""
    told = {"plugin.id": plugin, "plugin.version": "1", "plugin.operation": "x", "plugin.outcome": outcome}
    body = request(60, **told, **{"service.name": "shop"}).SerializeToString()
    assert httpx2.post(f"{collector.http}/v1/traces", content=body, headers=PROTOBUF).status_code == 200


@pytest.mark.parametrize(
    ("plugin", "outcome", "kind"),
    [("csv", "success", "released"), ("csv", "error", "requarantined"), ("geo", "success", "released")],
)
def test_probation_is_judged_by_the_failures_of_its_own_calls(
    tmp_path: Path, plugin: str, outcome: str, kind: str
) -> None:
    """Before, it was never passed: after the step's longest time a person was asked, "too few calls to judge"."""
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES.replace('name = "availability"', NARROWED))
    with running(tmp_path / "data", rules) as collector:
        call(collector, plugin, "success")
        eventually(lambda: collector.api.get("plugins"))
        collector.api.post("quarantine", {"plugin": plugin, "reason": "a try", "hold_seconds": 1})
        eventually(lambda: entries(collector, "probation"))

        def judged() -> bool:
            call(collector, plugin, outcome)
            return bool(entries(collector, kind))

        eventually(judged)
        both = [bool(entries(collector, name)) for name in ("released", "requarantined")]
        assert both == [kind == "released", kind == "requarantined"]
