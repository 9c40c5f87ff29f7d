"""A plugin that fails in a running collector until something is decided about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2

from tests.collector.conftest import Running

from .span_request import PROTOBUF, request
from .waiting import eventually

__all__ = ["entries", "fail", "failing_until", "rules_for"]

RULES = """
[[slo]]
name = "availability"
sli = "availability"
objective = 0.99
period = "30d"

[policy]
enforcement = "{enforcement}"
newcomer_grace = "0s"
max_actions_per_hour = {actions}
"""


def rules_for(folder: Path, enforcement: str, *, actions: int = 5) -> Path:
    """Write rules by which a plugin may be judged from its first call on."""
    file = folder / "rules.toml"
    file.write_text(RULES.replace("{enforcement}", enforcement).replace("{actions}", str(actions)))
    return file


def fail(collector: Running, calls: int = 60, version: str = "2") -> None:
    """Let calls of a plugin fail just now."""
    body = request(calls, **{
        "plugin.id": "csv", "plugin.version": version, "plugin.operation": "export", "plugin.outcome": "error",
        "plugin.error.source": "plugin", "error.type": "KeyError", "service.name": "shop",
    })  # fmt: skip
    answer = httpx2.post(f"{collector.http}/v1/traces", content=body.SerializeToString(), headers=PROTOBUF)
    assert answer.status_code == 200


def entries(collector: Running, kind: str) -> list[dict[str, Any]]:
    """Return the decisions of a kind, as the list gives them."""
    return [row for row in collector.api.get("audit", stream="decisions") if row["kind"] == kind]


def failing_until(collector: Running, kind: str) -> list[dict[str, Any]]:
    """Let calls fail until a decision of a kind stands; return those."""

    def decided() -> list[dict[str, Any]]:
        fail(collector)
        return entries(collector, kind)

    eventually(decided, timeout=30)
    return entries(collector, kind)
