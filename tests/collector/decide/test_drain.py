"""How far a scope that is isolated has drained, by what hosts told last."""

from __future__ import annotations

from dataclasses import replace

import pytest
from plugwarden.contract import QuarantineState, Scope
from plugwarden_collector.decide.drain import Drain, Running, drain

OBEYS, RUNS = QuarantineState.QUARANTINED.number, QuarantineState.HEALTHY.number
ONE = Running("csv", "2", "read", "h1", 3, OBEYS)
TOLD = [
    ONE,
    replace(ONE, plugin_operation="write", running=1),
    replace(ONE, plugin_version="1", running=7, state=RUNS),
    replace(ONE, instance_id="h2", running=2, state=RUNS),
    replace(ONE, plugin_id="geo", running=9),
]


@pytest.mark.parametrize(
    ("scope", "found"),
    [
        (Scope("csv"), Drain(13, 2, 2)),
        (Scope("csv", "2"), Drain(6, 2, 1)),
        (Scope("csv", "2", "write"), Drain(1, 1, 0)),
        (Scope("csv", "2", instance="h2"), Drain(2, 1, 1)),
        (Scope("csv", "2", tenant="acme"), Drain(None, 2, 0)),
        (Scope("nobody"), Drain(0, 0, 0)),
    ],
)
def test_calls_of_a_scope_are_counted_and_hosts_that_do_not_obey_yet(scope: Scope, found: Drain) -> None:
    assert drain(scope, TOLD) == found
    assert not found.done or found.hosts == 0


def test_it_has_drained_once_no_call_runs_and_none_can_begin() -> None:
    idle = replace(ONE, running=0)
    assert drain(Scope("csv", "2"), [idle]).done
    assert not drain(Scope("csv", "2"), [replace(idle, state=RUNS)]).done, "a call may still begin there"
    assert not drain(Scope("csv", "2"), [replace(idle, state=None)]).done
    assert not drain(Scope("csv", "2", tenant="acme"), [idle]).done, "nobody can tell"
