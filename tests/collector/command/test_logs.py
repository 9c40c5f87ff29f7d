"""`plugwarden logs`: the newest last, each once, and what arrives is followed."""

from __future__ import annotations

import json
import signal
import socket
import struct
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import pytest
from plugwarden_collector.api.refusals import ApiError
from plugwarden_collector.command.patience import pause_seconds

from tests.collector.conftest import Running
from tests.collector.support.command_line import plugwarden
from tests.collector.support.sent_trace import send_logs

RECORD = {
    "id": "1-1", "time": "2026-11-20T12:00:00Z", "severity_text": "INFO", "plugin_id": "csv", "service_name": "host", "trace_id": None,
}  # fmt: skip


def bodies(collector: Running, *arguments: str) -> list[str]:
    answer = plugwarden("logs", *arguments, "--json", url=collector.url)
    assert answer.returncode == 0, answer.stderr
    return [row["body"] for row in json.loads(answer.stdout)["logs"]]


def test_records_are_a_line_each_the_newest_last(shared: Running, name: str) -> None:
    trace = bytes.fromhex("ab" * 16)
    send_logs(shared, "one", "Two\nlines", "\x1b[2Jthree", plugin=name, trace_id=trace)
    send_logs(shared, "four", plugin=name, severity=17)
    answer = plugwarden("logs", "--plugin", name, url=shared.url)
    lines = answer.stdout.splitlines()
    assert (answer.returncode, len(lines)) == (0, 4)
    assert f"INFO  {name}: one [" in lines[0]
    assert f" trace={'ab' * 16}]" in lines[0]
    assert "Two ⏎ lines" in lines[1]
    assert f"ERROR {name}: four [" in lines[3]
    assert "\x1b" not in answer.stdout
    assert bodies(shared, "--plugin", name, "--limit", "2") == ["\x1b[2Jthree", "four"]
    assert bodies(shared, "--plugin", name, "--severity", "warn") == ["four"]
    assert bodies(shared, "--plugin", name, "--grep", "TWO") == ["Two\nlines"]
    assert bodies(shared, "--plugin", name, "--trace", "ab" * 16)[0] == "one"
    assert "no log record within 15m" in plugwarden("logs", "--plugin", "nobody", url=shared.url).stdout
    for arguments, code, said in (
        (["--severity", "loud"], 2, "--severity: 'loud' is none of trace, debug"),
        (["--around", "1-1", "0"], 2, "--around: 0 is not a number"),
        (["--around", "9999999-1", "3"], 1, "no log record 9999999-1"),
        (["--around", "x", "3"], 1, "around: must be"),
        (["--trace", "x"], 1, "trace_id: must be 32 hex digits"),
    ):
        wrong = plugwarden("logs", *arguments, url=shared.url)
        assert (wrong.returncode, said in wrong.stderr) == (code, True), wrong.stderr


def test_what_is_around_a_record_is_shown(shared: Running, name: str) -> None:
    for number in range(3):
        send_logs(shared, *(f"{number}.{place}" for place in range(3)), plugin=name)
    found = shared.api.get("logs", plugin=name, text="1.1")["logs"]
    around = ["--plugin", name, "--around", found[0]["id"]]
    assert bodies(shared, *around, "2") == ["0.2", "1.0", "1.1", "1.2", "2.0"]
    assert len(bodies(shared, *around, "100")) == 9


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
def test_page_by_page_nothing_is_lost_or_repeated(shared: Running, name: str, limit: int) -> None:
    cursor = shared.api.get("logs", plugin=name)["cursor"]
    sent, got = [], []
    for number in range(6):
        pages = [f"{number}.{place}" for place in range(3)]
        # Late ones too: those that arrive are told, whatever their time.
        send_logs(shared, *pages, plugin=name, at_ns=time.time_ns() - number * 3600 * 10**9)
        send_logs(shared, "of another")
        sent += pages
        page = shared.api.get("logs", plugin=name, after=cursor, limit=limit)
        got += [row["body"] for row in page["logs"]]
        cursor = page["cursor"]
    while page["logs"]:
        page = shared.api.get("logs", plugin=name, after=cursor, limit=limit)
        got += [row["body"] for row in page["logs"]]
        cursor = page["cursor"]
    assert got == sent


class _Troubled(BaseHTTPRequestHandler):
    """A collector that answers, has no room, is restarted, and answers again."""

    troubles: ClassVar[list[int]] = []
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        trouble = self.troubles.pop(0) if self.troubles else 200
        if trouble == 0:
            # Closed with a reset, as by a collector that was killed.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        number = len(self.asked)
        told: dict[str, Any] = {"logs": [{**RECORD, "body": f"record {number}"}], "cursor": f"1-{number}"}
        said = json.dumps(told if trouble == 200 else {"title": "no room", "detail": f"as {trouble}"}).encode()
        self.send_response(trouble)
        self.send_header("content-length", str(len(said)))
        if trouble == 429:
            self.send_header("retry-after", "0")
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.mark.parametrize("end", [401, signal.SIGINT])
def test_to_follow_outlasts_a_collector_that_is_busy_or_restarts(end: int) -> None:
    """The first look is answered; then come a refusal, a second one, a reset, another first refusal after an answer, and the end."""
    _Troubled.troubles, _Troubled.asked = [200, 429, 503, 0, 200, 502, 200, *([401] if end == 401 else [])], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Troubled)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        line = [sys.executable, "-W", "ignore", "-m", "plugwarden_collector", "logs", "--follow"]
        process = subprocess.Popen(
            [*line, "--url", f"http://127.0.0.1:{server.server_port}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert process.stdout is not None
        shown = [process.stdout.readline().split(": ")[1].split(" [")[0] for _ in range(3)]
        if end == signal.SIGINT:
            process.send_signal(end)
        _, said = process.communicate(timeout=20)
    finally:
        server.shutdown()
        server.server_close()
    assert shown == ["record 1", "record 5", "record 7"]
    cursors = [dict(parse_qsl(urlsplit(path).query)).get("after") for path in _Troubled.asked[:7]]
    assert cursors == [None, "1-1", "1-1", "1-1", "1-1", "1-5", "1-5"], "nothing is lost or repeated"
    waits = [text for text in said.splitlines() if text.endswith("; waiting for it")]
    assert waits == [f"plugwarden: no room: as {status}; waiting for it" for status in (429, 502)], "once each time"
    assert process.returncode == (1 if end == 401 else 0), said


def test_a_pause_grows_to_a_bound_and_is_as_long_as_was_asked_for() -> None:
    busy = ApiError(503, "no room", "")
    assert [pause_seconds(busy, number) for number in (1, 2, 3, 7, 5000)] == [0.5, 1.0, 2.0, 30.0, 30.0]
    for asked, seconds in (
        ("0", 0.5),
        ("7", 7.0),
        ("9999999", 30.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 1.0),
        ("-1", 1.0),
    ):
        assert pause_seconds(ApiError(429, "", "", retry_after=asked), 2) == seconds


def test_to_follow_ends_cleanly_with_ctrl_c(shared: Running, name: str) -> None:
    send_logs(shared, "before", plugin=name)
    line = [sys.executable, "-W", "ignore", "-m", "plugwarden_collector", "logs", "--plugin", name, "--follow"]
    process = subprocess.Popen(
        [*line, "--url", shared.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A job that a shell runs in the background ignores the signal, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    shown = [process.stdout.readline()]
    send_logs(shared, "first", "second", plugin=name)
    shown += [process.stdout.readline() for _ in range(2)]
    process.send_signal(2)
    rest, errors = process.communicate(timeout=20)
    assert [text.split(": ")[1].split(" [")[0] for text in shown] == ["before", "first", "second"]
    assert (process.returncode, rest, errors) == (0, "", "")
