"""A receiver's address is often its secret: no log line of a collector holds it, at no level and however a delivery ends."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import httpx2
import pytest
from plugwarden_collector.rules.receiver import ReceiverKind

from tests.collector.conftest import RULES
from tests.collector.support.mail_server import MailServer

SECRET = "T0PS3CR3T"
AT_LEVEL = """
import logging, sys
configured, level = logging.basicConfig, sys.argv.pop(1)
logging.basicConfig = lambda **given: configured(**{**given, "level": level})
from plugwarden_collector.command.main import main
main()
"""
"""The command, at a level of the test's."""


class Hook(http.server.BaseHTTPRequestHandler):
    """Takes what comes below /good, and fails at everything else."""

    paths: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200 if self.path.startswith("/good") else 500)
        self.send_header("content-length", "0")
        self.end_headers()
        self.paths.append(self.path)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[int]:
    Hook.paths.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
def test_no_log_line_holds_the_address_of_a_receiver(level: str, hook: int, tmp_path: Path) -> None:
    addresses = {
        "good": f"http://127.0.0.1:{hook}/good/{SECRET}?token={SECRET}",
        "bad": f"http://user:{SECRET}@127.0.0.1:{hook}/bad/{SECRET}",
        "away": f"http://127.0.0.1:9/{SECRET}",
    }
    rules = tmp_path / "rules.toml"
    tables = {name: f'url = "{url}"' for name, url in addresses.items()}
    for kind in ("alertmanager", "slack", "pagerduty"):
        key = f'\nrouting_key = "{SECRET}"' if kind == "pagerduty" else ""
        for way in ("good", "bad"):
            tables[f"{kind} {way}"] = f'kind = "{kind}"\nurl = "http://u:{SECRET}@127.0.0.1:{hook}/{way}/{SECRET}"{key}'
    mail = MailServer()
    password = tmp_path / "password"
    password.write_text(SECRET)
    tables["email"] = (
        f'kind = "email"\nsmarthost = "127.0.0.1:{mail.port}"\nfrom = "p@a.net"\nto = "b@a.net"\nusername = "ann"\n'
        f'password_file = "{password}"'
    )
    rules.write_text(RULES + "".join(f'\n[[receiver]]\nname = "{name}"\n{text}\n' for name, text in tables.items()))
    free = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0"]
    arguments = ["collector", "--json", "--data", "data", "--rules", str(rules), *free]
    log = tmp_path / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-c", AT_LEVEL, level, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PLUGWARDEN_AUDIT_KEY_FILE": str(tmp_path / "key/audit.key")},
            stdout=subprocess.PIPE,
            stderr=sink,
        )
    try:
        assert process.stdout is not None
        url = f"http://{json.loads(process.stdout.readline())['api']}"
        assert (
            httpx2.post(f"{url}/api/v1/quarantine", json={"force": True, "plugin": "a", "reason": "a test"}).status_code
            < 300
        )
        until = time.monotonic() + 60
        told: dict[str, str] = {}
        while set(told) < set(tables):
            assert time.monotonic() < until, (Hook.paths, told, log.read_text()[-2000:])
            asked = {
                "sql": "select receiver, string_agg(coalesce(error, 'taken'), ' ') from notifications where status <> 'begun' group by all"
            }
            told = dict(httpx2.post(f"{url}/api/v1/query", json=asked).json()["rows"])
            kept = httpx2.post(
                f"{url}/api/v1/query", json={"sql": "select body::varchar, error from notifications"}
            ).text
            kept += httpx2.get(f"{url}/api/v1/rules").text + httpx2.get(f"{url}/metrics").text
            kept += httpx2.get(f"{url}/api/v1/audit", params={"stream": "access"}).text
            time.sleep(0.1)
    finally:
        process.terminate()
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()
        mail.stop()
    text = log.read_text()
    assert {path.split("/")[1] for path in Hook.paths} == {"good", "bad"}
    assert SECRET not in text
    assert "token=" not in text
    assert SECRET not in str(told), "nor do the reasons that are stored"
    assert SECRET not in kept, "nor what was sent, the rules, metrics and the access log, as they are kept and shown"
    assert {name.split()[0] for name in tables} >= {kind.value for kind in ReceiverKind} - {
        "webhook",
        "cloudevents",
        "apprise",
    }
