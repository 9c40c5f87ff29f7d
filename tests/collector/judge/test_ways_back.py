"""Which earlier version answers in the place of one that is isolated."""

from __future__ import annotations

import pytest
from plugwarden_collector.judge.ways_back import MOST_KEPT, WayBack, WaysBack

WAYS = WaysBack([WayBack("h1", "3", "x", "2"), WayBack("h1", "2", "x", "1"), WayBack("h2", "3", "x", "1")])


@pytest.mark.parametrize(
    ("instance", "operation", "barred", "wanted"),
    [
        ("h1", "x", (), "2"),
        ("h1", "x", ("2",), "1"),
        ("h1", "x", ("2", "1"), None),
        ("h2", "x", (), "1"),
        ("h2", "x", ("1",), None),
        ("h1", "y", (), None),
        ("h3", "x", (), None),
    ],
)
def test_the_first_on_the_way_that_may_be_counted_on(
    instance: str, operation: str, barred: tuple[str, ...], wanted: str | None
) -> None:
    assert WAYS.answering("3", operation, instance, lambda version: version in barred) == wanted


def test_a_circle_that_somebody_tells_ends() -> None:
    ways = WaysBack([WayBack("h1", "2", "x", "1"), WayBack("h1", "1", "x", "2")])
    assert ways.answering("2", "x", "h1", lambda version: True) is None
    assert WaysBack([WayBack("h1", "2", "x", "2")]).answering("2", "x", "h1", lambda version: False) is None


def test_versions_that_calls_of_one_may_go_back_to() -> None:
    assert WAYS.before("3") == {"1", "2"}
    assert WAYS.before("2") == {"1"}
    assert WAYS.before("1") == set()


def test_what_one_sender_makes_up_takes_no_room_of_what_others_have() -> None:
    made_up = [WayBack("evil", "2", f"op{number}", f"0.{number % 50}") for number in range(5_000)]
    ways = WaysBack([*made_up, WayBack("h1", "2", "x", "1"), WayBack("h2", "2", "x", "1")])
    assert len(ways.before("2")) == MOST_KEPT
    assert "1" in ways.before("2")
