"""A backtest: the same decisions as live, on seconds and on minutes, and what it says of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from plugwarden_collector.control.backtest import backtest
from plugwarden_collector.rules.file import Rules, load_rules

from tests.collector.support.told_seconds import Calls, live

World = Callable[[int], Sequence[Calls]]
RULES = """
[[slo]]
name = "availability"
objective = 0.99
[[slo]]
name = "latency"
sli = "latency"
threshold = "250ms"
objective = 0.95
[policy]
enforcement = "enforce"
hold = "1h"
"""


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    file = tmp_path / "rules.toml"
    file.write_text(RULES)
    return load_rules(file)


def world(fault: Callable[[Calls, int], Calls]) -> World:
    """Four plugins with two operations in three processes for two tenants, each part twice a second; one of fifty fails by itself."""
    parts = [
        Calls(plugin, "1", operation, instance, tenant, good=2)
        for plugin in ("csv", "geo", "pdf", "xml")
        for operation in ("read", "write")
        for instance in ("h1", "h2", "h3")
        for tenant in ("a", "b")
    ]

    def calls(second: int) -> Sequence[Calls]:
        found = []
        for place, part in enumerate(parts):
            if (second * 7 + place * 13) % 100 == 0:
                part = failing(part, 1)
            found.append(fault(part, second))
        return found

    return calls


def failing(part: Calls, failed: int, *, slow: int = 0) -> Calls:
    return Calls(part.plugin, part.version, part.operation, part.instance, part.tenant, 2 - failed - slow, failed, slow)


def nothing(part: Calls, second: int) -> Calls:
    return part


def when(condition: Callable[[Calls], bool], *, slow: bool = False, since: int = 30) -> Callable[[Calls, int], Calls]:
    def fault(part: Calls, second: int) -> Calls:
        if second < since or not condition(part):
            return part
        return failing(part, 0, slow=2) if slow else failing(part, 2)

    return fault


FAULTS = {
    "a whole plugin": when(lambda part: part.plugin == "csv"),
    "one operation": when(lambda part: part.plugin == "csv" and part.operation == "read"),
    "one process": when(lambda part: part.plugin == "geo" and part.instance == "h2"),
    "one tenant of an operation": when(lambda part: part.plugin == "xml" and part.tenant == "b"),
    "a slow operation": when(lambda part: part.plugin == "pdf" and part.operation == "write", slow=True),
    "a host": when(lambda part: part.instance == "h3"),
    "nothing": nothing,
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_live_judging_decided_is_decided_again_from_the_stored_seconds(
    tmp_path: Path, rules: Rules, name: str
) -> None:
    judge = live(tmp_path / "data", rules, 60, world(FAULTS[name]), obey=True)
    report = backtest(tmp_path / "data", rules).as_dict()
    assert report["complete"]
    was = [(item.kind, item.scope) for item in judge.decisions]
    assert [(item["kind"], item["scope"]) for item in report["decisions"]] == was
    assert bool(was) == (name != "nothing")
