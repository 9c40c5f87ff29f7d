"""Delivery to a real receiver: it may be away, and the collector may stop."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.collector.conftest import RULES as RULES_TEXT
from tests.collector.conftest import running


class Hook(ThreadingHTTPServer):
    """A receiver that can be away, and come back at the same place."""

    def __init__(self, port: int = 0) -> None:
        self.got: list[tuple[str, dict[str, str]]] = []
        super().__init__(("127.0.0.1", port), HookHandler)
        Thread(target=self.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class HookHandler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.got.append((body["status"], body["alerts"][0]["labels"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing."""


@pytest.fixture
def hook() -> Iterator[Hook]:
    found = Hook()
    yield found
    found.stop()


def eventually(look: Callable[[], Any]) -> Any:
    for _ in range(400):
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come about")


def rules_for(folder: Path, port: int) -> Path:
    path = folder / "rules.toml"
    path.write_text(f'{RULES_TEXT}\n[[receiver]]\nname = "hook"\nurl = "http://127.0.0.1:{port}/"\n')
    return path


def test_what_a_receiver_missed_is_told_once_after_a_restart_and_ends_there(tmp_path: Path, hook: Hook) -> None:
    port = hook.server_port
    rules = rules_for(tmp_path, port)
    hook.stop()
    with running(tmp_path / "data", rules) as first:
        held = first.api.post("quarantine", {"plugin": "csv", "reason": "by hand"})
        eventually(lambda: first.scalar("select count(*) from notifications where status = 'failed'"))
    back = Hook(port)
    try:
        with running(tmp_path / "data", rules) as second:
            eventually(lambda: back.got)
            eventually(lambda: second.scalar("select count(*) from notifications where status = 'sent'"))
        with running(tmp_path / "data", rules) as third:
            third.api.post(f"quarantine/{held['id']}/release", {"reason": "enough"})
            eventually(lambda: len(back.got) > 1)
        assert [(status, labels["quarantine"]) for status, labels in back.got] == [
            ("firing", held["id"]), ("resolved", held["id"]),
        ]  # fmt: skip
    finally:
        back.stop()


def test_a_silence_by_the_name_of_an_alert_holds_for_as_long_as_it_lasts(tmp_path: Path, hook: Hook) -> None:
    with running(tmp_path / "data", rules_for(tmp_path, hook.server_port)) as collector:
        body = {"matchers": {"alertname": "plugin quarantined"}, "seconds": 600, "comment": "known"}
        silence = collector.api.post("silences", body)
        collector.api.post("quarantine", {"plugin": "csv", "reason": "by hand"})
        time.sleep(1.5)
        assert hook.got == []
        collector.api.post(f"silences/{silence['id']}/end", {"reason": "enough"})
        eventually(lambda: hook.got)
        assert collector.scalar("select count(*) from notifications") <= 1
