"""The access log: who read with SQL, took a backup, was refused, pushed alerts or loaded rules."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import grpc
import httpx2
import pytest
from plugwarden_collector.api.client import CollectorClient
from plugwarden_collector.audit import Place
from plugwarden_collector.audit.entries import ACCESS, Draft
from plugwarden_collector.store import statement

from tests.collector.conftest import RULES, Running, running
from tests.collector.support.sealed_log import CI, verified
from tests.collector.support.stores import AT, opened, path_of


def seen_in(collector: Running, kind: str, token: str | None = None) -> list[dict[str, Any]]:
    with CollectorClient(collector.url, token=token or "t" * 32) as api:
        return [row for row in api.get("audit", stream="access") if row["kind"] == kind]


def test_reads_with_sql_are_on_record_and_repeats_are_folded(guarded: Running) -> None:
    with CollectorClient(guarded.url, token="r" * 32) as api:
        for _ in range(40):
            api.query("select 1 as one")
        api.query("select count(*) from spans where plugin_id = $secret", {"secret": "not for the log"})
    found = seen_in(guarded, "sql_read")
    assert sorted(row["reason"] for row in found) == [
        "select 1 as one",
        "select count(*) from spans where plugin_id = $secret",
    ]
    assert {row["actor"] for row in found} == {"looker"}
    assert "not for the log" not in json.dumps(found)


def test_a_backup_is_on_record(guarded: Running) -> None:
    assert httpx2.get(f"{guarded.url}/api/v1/backup", headers={"authorization": f"Bearer {CI}"}).status_code == 200
    (row,) = seen_in(guarded, "backup_read")
    assert (row["actor"], row["evidence"]["peer"]) == ("ci", "127.0.0.1")


def test_refused_tokens_are_on_record_without_the_token(guarded: Running) -> None:
    guess = "0123456789abcdef-guess"
    for number in range(30):
        headers = {"authorization": f"Bearer {guess}{number}"}
        assert httpx2.get(f"{guarded.url}/api/v1/plugins", headers=headers).status_code == 401
        assert (
            httpx2.post(
                f"{guarded.http}/v1/logs", headers={**headers, "content-type": "application/x-protobuf"}
            ).status_code
            == 401
        )
    assert httpx2.get(f"{guarded.url}/api/v1/plugins").status_code == 401
    headers = {"authorization": f"Bearer {'r' * 32}"}
    assert (
        httpx2.post(
            f"{guarded.url}/api/v1/automation", headers=headers, json={"frozen": True, "reason": "why"}
        ).status_code
        == 403
    )
    channel = grpc.insecure_channel(guarded.grpc)
    export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export", None, None)
    with pytest.raises(grpc.RpcError):
        export(b"", metadata=[("authorization", f"Bearer {guess}")], timeout=10)
    channel.close()
    found = seen_in(guarded, "refused")
    assert {(row["actor"], row["scope"], row["reason"]) for row in found} == {
        ("stranger at 127.0.0.1", "GET /api/v1/plugins", "an unknown token"),
        ("stranger at 127.0.0.1", "GET /api/v1/plugins", "no token"),
        ("stranger at 127.0.0.1", "OTLP/HTTP logs", "no token, or an unknown one"),
        ("stranger at 127.0.0.1", "OTLP/gRPC traces", "no token, or an unknown one"),
        ("looker", "POST /api/v1/automation", "lacks the scope admin"),
    }
    assert guess not in json.dumps(found)


def test_pushed_alerts_are_on_record_once_a_changed_set(guarded: Running) -> None:
    alert = {"labels": {"alertname": "everything is on fire", "plugin": "p0", "severity": "page"}}
    for _ in range(5):
        httpx2.post(f"{guarded.url}/api/v2/alerts", json=[alert], headers={"authorization": f"Bearer {CI}"})
    (row,) = seen_in(guarded, "alerts_pushed")
    assert (row["actor"], row["reason"]) == ("ci", "1 alert: everything is on fire p0 page firing")


def test_rules_are_on_record_with_what_they_said_and_without_secrets(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    secret = "\n[[receiver]]\nname = 'chat'\nurl = 'https://user:pw@chat.example/hook/S3CR3T?k=S3CR3T'\nseverities = ['page']\n"
    path.write_text(RULES + secret)
    with running(tmp_path / "data", path) as first:
        (row,) = seen_in(first, "started")
        assert 'enforcement = "enforce"' in row["evidence"]["rules"]["content"]
        path.write_text(RULES.replace("0.99", "0.95") + secret)
        first.collector.warden.reload(path)
        loaded = first.api.get("audit", stream="decisions")[0]
        assert (loaded["kind"], "0.95" in loaded["evidence"]["content"]) == ("rules_loaded", True)
        assert loaded["evidence"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        everything = json.dumps(first.api.get("audit"))
        assert "https://chat.example/" in everything
        assert "S3CR3T" not in everything
        assert "pw@" not in everything
    with running(tmp_path / "data", path) as second:
        assert len(seen_in(second, "started")) == 2
    with running(tmp_path / "data", path) as third:
        assert "content" not in seen_in(third, "started")[0]["evidence"]["rules"], (
            "the same text is not stored at each start"
        )
        assert third.api.get("audit/verify")["valid"]


def test_the_access_log_is_sealed_and_kept_like_the_decisions(place: Place, tmp_path: Path) -> None:
    with running(tmp_path / "data") as first:
        first.api.query("select 1")
        first.api.query("select 2")
        first.api.get("audit/head")
    connection = duckdb.connect(str(path_of(tmp_path / "data")))
    connection.execute("delete from access_log where sequence > 1")
    connection.close()
    assert "the access log was cut" in verified(tmp_path / "data").problems[0]


def test_old_entries_of_the_access_log_go_by_count_and_the_rest_still_verifies(place: Place, tmp_path: Path) -> None:
    with opened(tmp_path / "data") as store:
        log = store.ledger.audit
        drafts = [Draft(AT, "sql_read", "a", "s", str(number)) for number in range(130)]
        log.append(drafts, ACCESS).result(10)
        far = AT + timedelta(days=500)
        for keep, left in ((100, 100), (100, 100), (50, 50)):
            log.trim_access(keep, far).result(10)
            found = log.verify()
            assert (found.problems, found.verdicts[ACCESS].count, found.verdicts[ACCESS].first) == (
                (),
                left,
                131 - left,
            )
        assert len(store.database.fetch(statement("chain"))) == 2, "a trim that lets little go is put off"
        connection = store.database.cursor()
        connection.execute("delete from access_log where sequence < 100")
        assert "entry 81 is missing" in log.verify().problems[0]
        connection.close()
