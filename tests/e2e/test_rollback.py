"""The whole loop over real sockets: a release fails, the automation isolates it, and users get the version before, which hosts kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from plugwarden import Sidecar

from tests.collector.conftest import Running, running
from tests.collector.support.waiting import eventually

RULES = """
[policy]
enforcement = "enforce"
newcomer_grace = "0s"
hold = "10m"

[[slo]]
name = "availability"
sli = "availability"
objective = 0.99
period = "30d"
"""


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "rules.toml").write_text(RULES)
    with running(tmp_path / "data", tmp_path / "rules.toml") as found:
        yield found


def host(collector: Running) -> tuple[Sidecar, Callable[[], str]]:
    """A process that kept version 1 and calls version 2, which fails every call."""
    sidecar = Sidecar(
        service="maps",
        endpoint=collector.http,
        collector_url=collector.url,
        export_interval_seconds=0.2,
        breakers=False,
    )

    def fail() -> str:
        raise RuntimeError("broken release")

    before = sidecar.wrap(lambda: "1", plugin="geo", version="1", operation="find")
    return sidecar, sidecar.wrap(fail, plugin="geo", version="2", operation="find", previous=before)


def test_users_get_the_version_before_once_the_release_is_isolated(collector: Running) -> None:
    hosts = [host(collector) for _ in range(2)]

    def answered() -> bool:
        answers = []
        for _, find in hosts:
            with suppress(RuntimeError):
                answers.append(find())
        return answers == ["1", "1"]

    assert eventually(answered, 30)
    (held,) = [item for item in collector.api.get("quarantine") if item["ended_at"] is None]
    assert (held["plugin_id"], held["plugin_version"], held["state"]) == ("geo", "2", "quarantined")
    assert "calls go back to version 1 in the 2 processes that have it" in held["reason"]
    assert held["reason"].count(". ") <= 3
    (back,) = held["evidence"]["impact"]["previous"]
    assert (back["version"], back["instances"]) == ("1", 2)
    # Version 1 was never called before: calls that go back to it are not those of a newcomer, which would get a small share.
    assert [find() for _, find in hosts for _ in range(50)] == ["1"] * 100
    for sidecar, _ in hosts:
        assert sidecar.flush()
    counted = "select sum(calls) from plugin_calls where plugin_version = $version and outcome = $outcome"
    assert eventually(lambda: collector.scalar(counted, version="1", outcome="success") >= 102)
    assert collector.scalar(counted, version="2", outcome="rejected") >= 102
    collector.api.post(("quarantine", held["id"], "release"), {"reason": "fixed", "actor": "ann"})

    def fails_again() -> bool:
        with suppress(RuntimeError):
            return hosts[0][1]() == "never"
        return True

    assert eventually(fails_again, 10), "after a release the newer version is called again"
    for sidecar, _ in hosts:
        sidecar.close()
