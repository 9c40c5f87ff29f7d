"""What tests of deciding share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.cycle.replay import replay
from plugwarden_collector.decide.changes import Changes

from tests.collector.support.logged import entry_of
from tests.collector.support.played_fleet import Fleet


@pytest.fixture
def comes_out_again(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test's fleets decided is decided again from the entry alone: what deciding reads is among the facts."""
    made: list[Draft] = []
    tick = Fleet.tick

    def noted(fleet: Fleet, seconds: float = 0.0) -> Changes:
        changes = tick(fleet, seconds)
        made.extend(changes.decisions)
        return changes

    monkeypatch.setattr(Fleet, "tick", noted)
    yield
    found = [(draft, replay(entry_of(draft))) for draft in made]
    assert [(draft.kind, draft.scope, again) for draft, again in found if again.same is not True] == []
