"""Whether a downstream explains that a plugin is slow."""

from __future__ import annotations

from dataclasses import replace

from plugwarden_collector.judge.waits import Waits, troubled_downstreams

SLOW = Waits("csv", "db", 20, 18.0, 0, usual_waits=500, usual_seconds=0.1, plugin_seconds=20.0)
"""0.9 s a wait instead of 0.1 s, and nine tenths of the plugin's time."""


def test_waits_that_take_longer_than_before_and_most_of_the_time_point_at_their_downstream() -> None:
    assert troubled_downstreams([SLOW]) == {
        "db": {"csv": "csv waits 900 ms for db, 9.0 times as long as before, 90 % of its time"}
    }


def test_waits_that_are_as_long_as_ever_or_a_small_part_of_the_time_do_not() -> None:
    assert troubled_downstreams([replace(SLOW, usual_seconds=0.6)]) == {}
    assert troubled_downstreams([replace(SLOW, plugin_seconds=60.0)]) == {}


def test_a_few_waits_or_an_unknown_past_say_nothing() -> None:
    assert troubled_downstreams([replace(SLOW, recent_waits=4)]) == {}
    assert troubled_downstreams([replace(SLOW, usual_waits=4)]) == {}


def test_waits_that_fail_point_at_it_however_quickly() -> None:
    failing = replace(SLOW, recent_seconds=0.1, recent_failures=5)
    assert list(troubled_downstreams([failing])) == ["db"]


def test_what_took_no_time_before_is_not_divided_by() -> None:
    assert "times" not in troubled_downstreams([replace(SLOW, usual_seconds=0.0)])["db"]["csv"]
