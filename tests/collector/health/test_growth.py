"""Growth of the store."""

from __future__ import annotations

import pytest
from plugwarden_collector.health.growth import Growth

from tests.collector.support.still_clock import after


def test_growth_is_a_slope_and_unknown_at_first() -> None:
    growth = Growth()
    for seconds in range(0, 900, 5):
        growth.add(after(seconds), 1_000_000 + 2_000 * seconds + 5_000_000 * (seconds % 60 == 0))
        if seconds < 300:
            assert growth.bytes_per_second() is None
    assert growth.bytes_per_second() == pytest.approx(2_000, rel=0.2)
