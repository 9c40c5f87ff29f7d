"""What a page shows of the past."""

from __future__ import annotations

from datetime import timedelta

from plugwarden_collector.health.history import History
from plugwarden_collector.health.readings import Readings

from tests.collector.support.still_clock import AT, after


def test_history_is_bounded_and_thinned_to_what_a_chart_can_show() -> None:
    history = History()
    for seconds in range(0, 8 * 3600, 5):
        if history.due(after(seconds)):
            history.add(Readings(after(seconds)))
    whole = history.columns(AT, 10_000)["at"]
    assert len(whole) == 2160
    assert whole[-1] - whole[0] == timedelta(hours=6) - timedelta(seconds=10)
    assert 300 <= len(history.columns(AT, 360)["at"]) <= 360
