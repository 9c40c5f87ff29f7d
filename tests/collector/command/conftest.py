"""A collector that has something to tell."""

from __future__ import annotations

import pytest
from plugwarden import Sidecar

from tests.collector.conftest import Running
from tests.collector.support.waiting import eventually


@pytest.fixture
def busy(collector: Running, sidecar: Sidecar) -> Running:
    """One that has counted ten calls of csv, version 1, and knows the name."""
    call = sidecar.wrap(lambda: None, plugin="csv", version="1", operation="x")
    for _ in range(10):
        call()
    assert sidecar.flush(timeout=30)
    eventually(lambda: ("csv", "1") in collector.collector.warden.standing.versions)
    return collector
