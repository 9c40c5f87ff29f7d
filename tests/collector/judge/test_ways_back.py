"""Which earlier version answers in the place of one that is isolated."""

from __future__ import annotations

import pytest
from plugwarden_collector.judge.ways_back import WayBack, WaysBack

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


def test_versions_that_somebody_has() -> None:
    assert WAYS.versions == {"1", "2"}
