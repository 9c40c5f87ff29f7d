"""A real Alertmanager takes our alerts, groups them, and passes on that they began, that they go on, and that they are over. It pushes
its own to us."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.collector.conftest import RULES, running
from tests.collector.support.moody_hook import MoodyHook
from tests.collector.support.waiting import eventually

ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")

needs_alertmanager = pytest.mark.skipif(
    ALERTMANAGER is None, reason="alertmanager is not installed (Debian: apt install prometheus-alertmanager)"
)


@contextmanager
def alertmanager(folder: Path, url: str) -> Iterator[str]:
    """An Alertmanager that passes on to a webhook; gives its address."""
    configure(folder, url)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [str(ALERTMANAGER), f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/alertmanager",
               f"--web.listen-address={address}", "--cluster.listen-address=", "--log.level=error"]  # fmt: skip
    process = subprocess.Popen(command)
    try:
        eventually(lambda: answers(f"http://{address}/-/ready"))
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(20)


def configure(folder: Path, url: str) -> None:
    (folder / "alertmanager.yml").write_text(
        "route: {receiver: hook, group_by: [plugin], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}\n"
        f"receivers:\n- name: hook\n  webhook_configs:\n  - {{url: '{url}', send_resolved: true}}\n"
    )


def answers(url: str) -> bool:
    try:
        return httpx2.get(url).status_code == 200
    except httpx2.HTTPError:
        return False


def passed_on(hook: MoodyHook, status: str) -> dict[str, Any]:
    """Alerts of that status that it told its webhook, by the id of their quarantine."""
    alerts = [alert for item in hook.taken for alert in item.body["alerts"] if alert["status"] == status]
    return {alert["labels"]["quarantine"]: alert for alert in alerts}


@pytest.mark.e2e
@needs_alertmanager
def test_alertmanager_takes_our_alerts_groups_them_and_knows_when_they_are_over(tmp_path: Path) -> None:
    hook = MoodyHook()
    with alertmanager(tmp_path, hook.url) as url:
        rules = tmp_path / "rules.toml"
        rules.write_text(f'{RULES}\n[[receiver]]\nname = "am"\nkind = "alertmanager"\nurl = "{url}"\n')
        with running(tmp_path / "data", rules) as collector:
            held = [
                collector.api.post(
                    "quarantine", {"force": True, "plugin": "csv", "version": version, "reason": 'by "hand" <b>'}
                )
                for version in ("1", "2")
            ]
            ids = {item["id"] for item in held}
            eventually(lambda: passed_on(hook, "firing").keys() == ids)
            assert any(len(item.body["alerts"]) == 2 for item in hook.taken), "they are one group"
            assert all(
                'by "hand" ‹b›' in alert["annotations"]["summary"] for alert in passed_on(hook, "firing").values()
            )
            there = httpx2.get(f"{url}/api/v2/alerts").json()
            assert {alert["labels"]["version"] for alert in there} == {"1", "2"}
            assert all(alert["endsAt"] > alert["startsAt"] for alert in there)
            for item in held:
                collector.api.post(f"quarantine/{item['id']}/release", {"reason": "enough", "actor": "ann"})
            eventually(lambda: passed_on(hook, "resolved").keys() == ids)
            over = passed_on(hook, "resolved").values()
            assert all("enough" in alert["annotations"]["description"] for alert in over)
            eventually(lambda: collector.scalar("select count(*) from tellings") == 0)
            assert collector.scalar("select count(*) from notifications where status <> 'sent'") == 0
    hook.stop()


@pytest.mark.e2e
@needs_alertmanager
def test_alertmanager_pushes_its_alerts_to_us_and_ours_do_not_come_back(tmp_path: Path) -> None:
    with alertmanager(tmp_path, "http://127.0.0.1:9/") as url:
        rules = tmp_path / "rules.toml"
        rules.write_text(f'{RULES}\n[[receiver]]\nname = "am"\nkind = "alertmanager"\nurl = "{url}"\n')
        with running(tmp_path / "data", rules) as collector:
            configure(tmp_path, f"{collector.url}/api/v1/pushed/alertmanager")
            assert httpx2.post(f"{url}/-/reload").status_code == 200
            labels = {"alertname": "DiskFull", "plugin": "csv", "version": "2", "severity": "page"}
            alert = {"labels": labels, "annotations": {"summary": "no room"}}
            assert httpx2.post(f"{url}/api/v2/alerts", json=[alert]).status_code == 200

            def pushed() -> list[tuple[str, str, str, str]]:
                rows = [row for row in collector.api.get("alerts")["alerts"] if row["source"] == "prometheus"]
                return [(row["name"], row["plugin_id"], row["summary"], row["state"]) for row in rows]

            eventually(lambda: pushed() == [("DiskFull", "csv", "no room", "firing")])
            collector.api.post("quarantine", {"force": True, "plugin": "geo", "reason": "by hand"})
            own = 'plugwarden_pushed_alerts_total{result="own"} 1.0'
            eventually(lambda: own in httpx2.get(f"{collector.url}/metrics").text)
            over = {**alert, "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2026-01-01T00:00:01Z"}
            assert httpx2.post(f"{url}/api/v2/alerts", json=[over]).status_code == 200
            eventually(lambda: pushed() == [("DiskFull", "csv", "no room", "inactive")], timeout=60.0)
