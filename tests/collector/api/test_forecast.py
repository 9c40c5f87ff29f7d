"""What isolating by hand would cost, over HTTP: said before, true afterwards, and no hindrance where it cannot be said."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest
from plugwarden import PluginQuarantined, Sidecar
from plugwarden_collector.api.client import ApiError
from plugwarden_collector.control import live
from plugwarden_collector.errors import StoreError

from tests.collector.conftest import Running
from tests.collector.support.waiting import eventually


def refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except PluginQuarantined:
        return True
    return False


def test_what_was_foreseen_is_what_happens_also_to_a_version_that_nobody_called_before(
    collector: Running, sidecar: Sidecar
) -> None:
    before = sidecar.wrap(lambda: "1", plugin="geo", version="1", operation="find")
    find = sidecar.wrap(lambda: "2", plugin="geo", version="2", operation="find", previous=before)
    tell = sidecar.wrap(lambda: "2", plugin="geo", version="2", operation="tell")
    for _ in range(20):
        find()
        tell()
    assert sidecar.flush()

    def foreseen() -> dict[str, object]:
        return dict(collector.api.get("quarantine/forecast", plugin="geo", version="2"))

    told = eventually(lambda: (found := foreseen())["impact"] and found["impact"]["previous"] and found)  # type: ignore[index]
    assert told["scope"] == "geo@2"
    assert "calls go back to version 1 in the process that has it" in told["forecast"]
    assert [item["version"] for item in told["impact"]["previous"]] == ["1"]
    assert told["impact"]["refused"]["calls_per_minute"] == pytest.approx(
        told["impact"]["calls_per_minute"] / 2, rel=0.01
    )
    assert (told["running"], told["warning"]) == (0, None)
    assert collector.api.get("quarantine") == [], "nothing is done"

    held = collector.api.post("quarantine", {"plugin": "geo", "version": "2", "reason": "by hand"})
    assert "calls go back to version 1" in held["forecast"]
    eventually(lambda: refused(tell))
    # The earlier version is no newcomer, of which a small share would be let through.
    assert [find() for _ in range(50)] == ["1"] * 50
    with pytest.raises(ApiError, match="geo@2 is quarantined already"):
        foreseen()


def test_a_scope_is_isolated_where_its_forecast_cannot_be_made(
    collector: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*of: object) -> None:
        raise StoreError("the disk is gone")

    monkeypatch.setattr(live, "foreseen", fail)
    assert httpx2.get(f"{collector.url}/api/v1/quarantine/forecast?plugin=csv").status_code == 500
    held = collector.api.post("quarantine", {"plugin": "csv", "reason": "by hand"})
    assert (held["state"], held["forecast"]) == ("quarantined", None)
