"""Events to a real receiver: every transition, in order, and none lost while it is away or the collector is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector.conftest import RULES, running
from tests.collector.support.hooks import Hook
from tests.collector.support.waiting import eventually


@pytest.fixture
def hook() -> Iterator[Hook]:
    found = Hook()
    yield found
    found.stop()


def rules_for(folder: Path, url: str) -> Path:
    path = folder / "rules.toml"
    path.write_text(f'{RULES}\n[[receiver]]\nname = "bus"\nkind = "cloudevents"\nurl = "{url}"\n')
    return path


def kinds(hook: Hook) -> list[str]:
    return [item.body["type"].removeprefix("dev.plugwarden.") for item in hook.got]


def test_every_transition_is_one_event_and_a_restart_goes_on_where_it_was(tmp_path: Path, hook: Hook) -> None:
    data, rules = tmp_path / "data", rules_for(tmp_path, hook.url)
    with running(data) as first:
        first.api.post("quarantine", {"force": True, "plugin": "before", "reason": "nobody listened yet"})
    with running(data, rules) as second:
        held = second.api.post(
            "quarantine", {"force": True, "plugin": "csv", "version": "2", "reason": "by hand", "actor": "ann"}
        )
        eventually(lambda: hook.got)
        eventually(lambda: second.scalar("select count(*) from notifications where status = 'sent'"))
    hook.stop()
    with running(data, rules) as third:
        third.api.post(f"quarantine/{held['id']}/release", {"reason": "enough", "override_seconds": 60})
        third.api.post("automation", {"frozen": True, "reason": "release day"})
        eventually(lambda: third.scalar("select count(*) from notifications where status = 'failed'"))
    back = Hook(hook.server_port)
    try:
        with running(data, rules) as fourth:
            eventually(lambda: len(back.got) == 2)
            log = fourth.api.get("audit", stream="decisions")
            waiting = 'plugwarden_notifications_waiting{receiver="bus"}'
            text = fourth.api._http.get("/metrics").text
            assert f"{waiting} 0.0" in text
            assert 'plugwarden_notifications_total{receiver="bus",result="sent"} 2.0' in text
        with running(data, rules) as fifth:
            fifth.api.post("automation", {"frozen": False, "reason": "it is over"})
            eventually(lambda: len(back.got) == 3)
    finally:
        back.stop()
    assert kinds(hook) == ["quarantine.quarantined"]
    assert sorted(kinds(back)[:2]) == ["automation.frozen", "quarantine.released"], "nothing twice"
    assert kinds(back)[2:] == ["automation.unfrozen"]
    (first_event,) = hook.got
    body = first_event.body
    assert first_event.content_type == "application/cloudevents+json; charset=UTF-8"
    assert (body["specversion"], body["subject"]) == ("1.0", "csv@2")
    entry = next(row for row in log if row["kind"] == "quarantined" and row["quarantine_id"] == held["id"])
    assert body["id"] == f"{entry['sequence']}-{entry['hash']}"
    assert body["data"]["says"] == "ann"
    released = next(item.body for item in back.got if item.body["data"]["kind"] == "released")
    assert released["data"]["evidence"]["override_until"]
    assert len({item.body["source"] for item in [*hook.got, *back.got]}) == 1


def test_a_receiver_that_refuses_one_event_gets_those_of_other_subjects(tmp_path: Path, hook: Hook) -> None:
    hook.refused.add("geo")
    with running(tmp_path / "data", rules_for(tmp_path, hook.url)) as collector:
        held = collector.api.post("quarantine", {"force": True, "plugin": "geo", "reason": "by hand"})
        collector.api.post(f"quarantine/{held['id']}/release", {"reason": "enough"})
        collector.api.post("quarantine", {"force": True, "plugin": "csv", "reason": "by hand"})
        eventually(lambda: hook.got)
        assert [item.body["subject"] for item in hook.got] == ["csv"]
        hook.refused.clear()
        eventually(lambda: len(hook.got) == 3)
    assert [item.body["data"]["kind"] for item in hook.got if item.body["subject"] == "geo"] == [
        "quarantined", "released",
    ]  # fmt: skip
