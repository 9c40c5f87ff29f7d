"""What isolating by hand would cost, over HTTP: said before, true afterwards, and no hindrance where it cannot be said."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from plugwarden import Sidecar
from plugwarden.contract import Scope
from plugwarden_collector.api.client import ApiError
from plugwarden_collector.control import live
from plugwarden_collector.errors import StoreError

from tests.collector.conftest import Running
from tests.collector.support.refused import refused
from tests.collector.support.suggested import suggested
from tests.collector.support.waiting import eventually

Act = Callable[[Running, Scope], Any]


def by_hand(collector: Running, scope: Scope) -> Any:
    return collector.api.post(
        "quarantine", {"force": True, "plugin": scope.plugin, "version": scope.version, "reason": "by hand"}
    )


def approved(collector: Running, scope: Scope) -> Any:
    identity = suggested(collector, scope, "it fails")
    return collector.api.post(("quarantine", identity, "approve"), {"reason": "so it is"})


@pytest.mark.parametrize("act", [by_hand, approved])
def test_what_was_foreseen_is_what_happens_also_to_a_version_that_nobody_called_before(
    collector: Running, sidecar: Sidecar, act: Act
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

    held = act(collector, Scope("geo", "2"))
    assert "calls go back to version 1" in held["forecast"]
    (row,) = [item for item in collector.api.get("quarantine") if item["id"] == held["id"]]
    assert row["evidence"]["forecast"] == held["forecast"]
    assert [item["version"] for item in row["evidence"]["impact"]["previous"]] == ["1"]
    assert collector.api.get("audit", stream="decisions")[0]["evidence"] == row["evidence"], "it is on record"
    eventually(lambda: refused(tell))
    # The earlier version is no newcomer, of which a small share would be let through.
    assert [find() for _ in range(50)] == ["1"] * 50
    with pytest.raises(ApiError, match="geo@2 is quarantined already"):
        foreseen()


@pytest.mark.parametrize("act", [by_hand, approved])
@pytest.mark.parametrize("error", [StoreError("the disk is gone"), ValueError("cannot convert float infinity")])
def test_a_scope_is_isolated_where_its_forecast_cannot_be_made(
    shared: Running, name: str, monkeypatch: pytest.MonkeyPatch, error: Exception, act: Act
) -> None:
    def fail(*of: object) -> None:
        raise error

    monkeypatch.setattr(live, "foreseen", fail)
    held = act(shared, Scope(name))
    assert (held["state"], held["forecast"]) == ("quarantined", None)


def test_a_forecast_that_cannot_be_made_says_so(collector: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*of: object) -> None:
        raise StoreError("the disk is gone")

    monkeypatch.setattr(live, "foreseen", fail)
    with pytest.raises(ApiError, match="the disk is gone") as refusal:
        collector.api.get("quarantine/forecast", plugin="csv")
    assert refusal.value.status == 500


@pytest.mark.parametrize("act", [by_hand, approved])
def test_a_scope_is_isolated_before_its_forecast_is_there(
    collector: Running, monkeypatch: pytest.MonkeyPatch, act: Act
) -> None:
    made = threading.Event()
    monkeypatch.setattr(live, "foreseen", lambda *of: made.wait(60))
    monkeypatch.setattr(live, "FORECAST_SECONDS", 0.1)
    try:
        for plugin in ("csv", "geo"):  # one that waits for the forecast of the other waits no longer
            held = act(collector, Scope(plugin))
            assert (held["state"], held["forecast"]) == ("quarantined", None)
    finally:
        made.set()
