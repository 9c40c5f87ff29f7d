"""Which earlier version answers in the place of one that is isolated."""

from __future__ import annotations

import pytest
from plugwarden_collector.judge.ways_back import MOST_EACH, MOST_KEPT, WayBack, WaysBack

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


def test_what_senders_make_up_takes_no_room_of_what_others_have() -> None:
    """However many names each tells, and however they sort: each has a say in a few, and first come those of processes that make calls."""
    made_up = [WayBack(f"a{sender}", "2", f"op{at}", f"0.{at:02d}") for sender in range(3) for at in range(50)]
    honest = [WayBack("h1", "2", "x", "1"), WayBack("h2", "2", "x", "1")]
    assert "1" in WaysBack([*made_up, *honest]).before("2")
    assert len(WaysBack(made_up[:50]).before("2")) == MOST_EACH
    many = [WayBack(f"a{sender}", "2", "x", f"0.{sender:02d}") for sender in range(50)]
    kept = WaysBack([*many, *honest[:1]]).before("2", {("h1", "x")})
    assert (len(kept), "1" in kept) == (MOST_KEPT, True)
    assert "1" in WaysBack([*many, *honest[:1]], called={"1"}).before("2")


def test_who_speaks_in_the_name_of_a_process_takes_its_way_back_from_nobody() -> None:
    """Of several that one tells, all are known; counted on is what somebody called."""
    ways = [WayBack("h1", "2", "x", "0.666"), WayBack("h1", "2", "x", "1.9")]
    assert WaysBack(ways).before("2") == {"0.666", "1.9"}
    assert WaysBack(ways).answering("2", "x", "h1", lambda version: False) is None
    assert WaysBack(ways, {"1.9"}).answering("2", "x", "h1", lambda version: False) == "1.9"
    flood = [WayBack("h1", "2", f"o{at}", f"0.{at}") for at in range(25)]
    assert "1.9" in WaysBack([*flood, ways[1]]).before("2", {("h1", "x")}), "operations that are called come first"
    newer = [WayBack("h1", "2", "x", f"0.{at}") for at in range(25)]
    assert "1.9" in WaysBack([*newer, ways[1]], {"1.9"}).before("2"), "versions that were called come first"
