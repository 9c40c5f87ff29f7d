"""A short run of the fuzz of pushed alerts (`make fuzz` runs a million)."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from random import Random

from tests.collector.support.fuzz_alerts import AlertPlace, push_body


def test_hostile_alerts_are_answered_bounded_and_stop_nothing(tmp_path: Path) -> None:
    async def fuzz() -> Counter[str]:
        place, random, results = AlertPlace(tmp_path), Random(5), Counter[str]()
        try:
            for _ in range(12):
                for _ in range(10):
                    body, _ = push_body(random)
                    assert await place.push(body, results) is None, body
                assert await place.check(random) is None
        finally:
            place.close()
        return results

    results = asyncio.run(fuzz())
    assert min(results["taken"], results["refused"]) > 200
    assert results["malformed"] > 0
