"""The head that is kept outside of the store: kills, cuts, full disks."""

from __future__ import annotations

import http.server
import json
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import duckdb
import httpx2
import pytest
from plugwarden_collector.audit import Heads, Place, Records, entries, head_keeper
from plugwarden_collector.errors import SettingsError
from plugwarden_collector.store import Database
from plugwarden_collector.store.duckdb.ledger.chain import chain_of

from tests.collector.conftest import RULES, Running, running
from tests.collector.support.sealed_log import verified, write
from tests.collector.support.stores import path_of
from tests.collector.support.waiting import eventually


def test_a_kill_between_commit_and_head_is_not_taken_for_a_forgery(place: Place, tmp_path: Path) -> None:
    for seed in range(12):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path / "data")], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.01 + seed * 0.007)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        kept = Records(place.heads).load(_chain(tmp_path / "data"), (tmp_path / "data").resolve())
        assert kept is not None
        database = Database(tmp_path / "data")
        last = database.cursor().execute("select max(sequence) from decisions").fetchall()[0][0] or 0
        database.close()
        assert kept.heads[entries.DECISIONS].sequence <= last
        assert verified(tmp_path / "data").problems == ()
    assert last > 12, "it must have written something between the kills"


WRITE_FOR_EVER = """
import sys
from pathlib import Path
from plugwarden_collector.audit import Place
from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.store import Database, Writer, open_ledger
from datetime import datetime
database = Database(Path(sys.argv[1]))
ledger = open_ledger(database, Writer(database), Place.of(), datetime(2026, 1, 1))
print("ready", flush=True)
while True:
    ledger.audit.append([Draft(datetime(2026, 1, 1), "noted", "a", "b", "c")]).result()
"""


def _chain(folder: Path) -> str:
    database = Database(folder)
    try:
        with database.reading() as cursor:
            return chain_of(cursor)
    finally:
        database.close()


def test_the_metrics_carry_the_head(collector: Running) -> None:
    collector.api.post("quarantine", {"force": True, "plugin": "a", "reason": "why"})
    head = collector.api.get("audit/head")["decisions"]
    text = httpx2.get(f"{collector.url}/metrics").text
    assert f'plugwarden_audit_head{{hash="{head["hash"]}",stream="decisions"}} 1.0' in text
    assert 'plugwarden_audit_entries{stream="decisions"} 1.0' in text


def test_a_log_that_was_cut_pages_somebody_who_then_holds_its_head(place: Place, tmp_path: Path) -> None:
    told: queue.Queue[dict[str, Any]] = queue.Queue()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    write(tmp_path / "data", 3)
    connection = duckdb.connect(str(path_of(tmp_path / "data")))
    connection.execute("delete from decisions where sequence > 1")
    connection.close()
    with http.server.HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        rules = tmp_path / "rules.toml"
        url = f"http://127.0.0.1:{server.server_port}"
        rules.write_text(f"{RULES}\n[[receiver]]\nname = 'pager'\nurl = '{url}'\nseverities = ['page']\n")
        with running(tmp_path / "data", rules) as collector:
            collector.collector.health.look()
            body = told.get(timeout=20)
            assert "entries 2 to 3 are missing" in json.dumps(body["alerts"])
            assert body["auditHead"] == collector.api.get("audit/head")["decisions"]
        server.shutdown()


def test_acts_go_on_while_the_disk_takes_no_head_and_it_is_counted(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_keeper, "RETRY_SECONDS", 0.05)
    save, full = Records.save, threading.Event()

    def refuse(self: Records, heads: Heads) -> None:
        if full.is_set():
            raise SettingsError("No space left on device")
        save(self, heads)

    monkeypatch.setattr(Records, "save", refuse)

    def kept() -> int:
        found = Records(place.heads).load(log.told()["chain"], (tmp_path / "data").resolve())
        assert found is not None
        return found.heads[entries.DECISIONS].sequence

    with running(tmp_path / "data") as collector:
        log = collector.collector.audit
        full.set()
        for number in range(3):
            collector.api.post("quarantine", {"force": True, "plugin": f"p{number}", "reason": "why"})
        assert collector.api.get("audit/verify")["valid"]
        assert kept() == 0
        eventually(lambda: log.failures)
        full.clear()
        eventually(lambda: kept() == 3)
