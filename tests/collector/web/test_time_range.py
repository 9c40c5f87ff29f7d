"""Time ranges that a caller names."""

from __future__ import annotations

from datetime import datetime

import pytest
from plugwarden_collector.web.time_range import TimeRange


@pytest.mark.parametrize("since", ["1600-01-01", "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59", "500000h"])
def test_times_that_cannot_be_meant_are_refused(since: str) -> None:
    with pytest.raises(ValueError, match="1970"):
        TimeRange.parse(since, None, datetime(2026, 11, 20, 6))
