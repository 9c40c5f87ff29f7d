"""Who sends, who has gone silent, and whom nobody waits for."""

from __future__ import annotations

from datetime import datetime

import pytest
from plugwarden_collector.health.senders import FORGET, MAX_SENDERS, Senders

from tests.collector.support.still_clock import AT, after


def states(senders: Senders, at: datetime) -> dict[str, str]:
    return {item.instance: item.state for item in senders.states(at)}


def sending(senders: Senders, instance: str, every: float, *, times: int = 5, since: float = 0.0) -> float:
    """Exports of three signals each; answers the seconds of the last."""
    for number in range(times):
        for signal in range(3):
            senders.heard("host", instance, after(since + every * number + signal / 100))
    return since + every * (times - 1)


@pytest.mark.parametrize(("every", "limit"), [(5.0, 15.0), (1.0, 15.0), (60.0, 180.0), (300.0, 900.0)])
def test_a_sender_is_stale_after_three_of_its_own_export_intervals(every: float, limit: float) -> None:
    senders = Senders()
    last = sending(senders, "a", every)
    assert states(senders, after(last + limit)) == {"a": "sending"}
    assert states(senders, after(last + limit + 0.1)) == {"a": "silent"}
    senders.heard("host", "a", after(last + limit + 1))
    assert states(senders, after(last + limit + 2)) == {"a": "sending"}


def test_whoever_said_that_it_ends_is_not_waited_for_unless_it_sends_again() -> None:
    senders = Senders()
    last = sending(senders, "a", 5.0)
    senders.told_ending("host", "a", ending=True)
    assert states(senders, after(last + 60)) == {"a": "ended"}
    senders.heard("host", "a", after(last + 61))
    senders.told_ending("host", "a", ending=False)
    assert states(senders, after(last + 61 + 15)) == {"a": "sending"}
    assert states(senders, after(last + 300)) == {"a": "silent"}  # its longest gap is 61 s now


def test_whoever_sent_once_is_not_waited_for() -> None:
    senders = Senders()
    sending(senders, "once", 5.0, times=2)
    assert states(senders, after(900)) == {"once": "learning"}


def test_a_sender_is_forgotten_after_an_hour() -> None:
    senders = Senders()
    last = sending(senders, "a", 5.0)
    assert states(senders, after(last) + FORGET) == {"a": "silent"}
    assert states(senders, after(last + 1) + FORGET) == {}


def test_after_an_outage_the_old_interval_comes_back() -> None:
    senders = Senders()
    last = sending(senders, "a", 5.0)
    last = sending(senders, "a", 5.0, since=last + 600, times=60)
    assert states(senders, after(last + 20)) == {"a": "silent"}


def test_a_deployment_replaces_one_for_one() -> None:
    senders = Senders()
    last = sending(senders, "old-1", 5.0, times=50)
    sending(senders, "old-2", 5.0, times=50)
    sending(senders, "new-1", 5.0, since=last, times=20)
    found = states(senders, after(last + 95))
    assert sorted(found.values()) == ["replaced", "sending", "silent"]
    assert found["new-1"] == "sending"


def test_senders_are_bounded_and_the_least_recent_goes() -> None:
    senders = Senders()
    for number in range(MAX_SENDERS + 10):
        senders.heard("host", str(number), AT)
    found = states(senders, AT)
    assert len(found) == MAX_SENDERS
    assert "0" not in found
    senders.heard("x" * 10_000, "y" * 10_000, AT)
    assert max(len(item.service) for item in senders.states(AT)) == 200
