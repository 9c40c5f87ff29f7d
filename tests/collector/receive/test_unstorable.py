"""A request that the store can never take is refused for good, however it came; what came with it is kept."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Event
from typing import Any

import duckdb
import grpc
import pyarrow as pa
import pytest
from plugwarden_collector.errors import StoreError, UnstorableError
from plugwarden_collector.receive.decode.requests import Signal, read
from plugwarden_collector.receive.grpc import start_grpc
from plugwarden_collector.receive.intake import Intake
from plugwarden_collector.store import Database, Writer, telemetry_of
from plugwarden_collector.store.duckdb.write.commit import Committer
from plugwarden_collector.web.auth import TokenBook

from tests.collector.support.fuzz_inputs import JSON, Input
from tests.collector.support.fuzz_receiver import Outcome, Receiver, kept
from tests.collector.support.otlp_client import MESSAGES, PROTOBUF, SIGNALS, otlp_json

POISON = "what no engine takes"
STAGED = {"traces": "incoming_spans", "metrics": "incoming_points", "logs": "incoming_logs"}


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that refuses rows with a text of ours, as it refuses a value that its column cannot hold."""
    insert = Committer._insert

    def checked(self: Committer, staging: str, rows: pa.Table, *rest: Any) -> None:
        if staging in STAGED.values() and POISON in str(rows["service_name"].to_pylist()):
            raise duckdb.ConversionException("Conversion Error: a value cannot be cast")
        insert(self, staging, rows, *rest)

    monkeypatch.setattr(Committer, "_insert", checked)


def body(signal: str, service: str) -> Any:
    return MESSAGES[signal](service)


def test_of_a_group_the_writer_refuses_for_good_what_it_can_never_take_and_stores_the_rest(
    tmp_path: Path, poisoned: None
) -> None:
    database = Database(tmp_path)
    writer = Writer(database)
    release = Event()
    held = writer.run(lambda connection: release.wait(30))
    batches = [
        read(Signal.LOGS, body("logs", name).SerializeToString()) for name in ("one", POISON, "two", POISON, "three")
    ]
    hashes = [1, 2, 3, 2, 5]  # the poison is sent twice
    done: list[Future[bool]] = [
        writer.submit(hash, batch.tables, batch.nbytes) for hash, batch in zip(hashes, batches, strict=True)
    ]
    release.set()
    held.result(10)
    assert [future.result(10) for future in (done[0], done[2], done[4])] == [True] * 3
    assert [type(future.exception(10)) for future in (done[1], done[3])] == [UnstorableError] * 2
    assert "cannot be cast" in str(done[1].exception())
    with database.reading() as cursor:
        assert cursor.execute("select count(*) from logs").fetchall() == [(3,)]
    assert writer.stats.failed_requests == 1
    writer.close(10)
    database.close()


@pytest.mark.parametrize(
    "error",
    [
        duckdb.IOException("no room"),
        duckdb.OutOfMemoryException("no memory"),
        duckdb.FatalException("the database has been invalidated"),
        duckdb.InvalidInputException("not in this state"),
        duckdb.InternalException("a fault of the engine"),
        duckdb.TransactionException("conflict"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_the_engine_says_of_itself_is_worth_another_try(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise error

    monkeypatch.setattr(Committer, "_insert", fails)
    database = Database(tmp_path)
    writer = Writer(database)
    batch = read(Signal.LOGS, body("logs", "one").SerializeToString())
    told = writer.submit(1, batch.tables, batch.nbytes).exception(30)
    assert type(told) is StoreError
    writer.close(10)
    database.close()


PACKED: dict[str, Callable[[bytes], bytes]] = {"": bytes, "gzip": gzip.compress}


@pytest.mark.parametrize("encoding", PACKED)
@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
@pytest.mark.parametrize("signal", SIGNALS)
def test_over_http_it_is_answered_400_and_its_neighbours_200(
    signal: str, kind: str, encoding: str, tmp_path: Path, poisoned: None
) -> None:
    def request(service: str) -> Input:
        message = body(signal, service)
        data = PACKED[encoding](message.SerializeToString() if kind == PROTOBUF else otlp_json(message))
        headers = [(b"host", b"localhost"), (b"content-type", kind.encode()), (b"content-encoding", encoding.encode())]
        return Input(f"/v1/{signal}", data, tuple(headers))

    async def check() -> tuple[list[Outcome], int, dict[tuple[str, str, str], int]]:
        receiver = await Receiver.opened(tmp_path)
        receiver.stored()
        outcomes = await receiver.answers([request("one"), request(POISON), request("two")])
        found = outcomes, receiver.stored(), dict(receiver.intake.requests)
        receiver.close()
        return found

    outcomes, stored, counted = asyncio.run(check())
    assert [outcome.status for outcome in outcomes] == [200, 400, 200]
    refused = outcomes[1]
    assert refused.headers is not None
    assert b"retry-after" not in refused.headers
    if kind == JSON:
        assert "the store can never take its rows" in json.loads(refused.body)["message"]
    assert stored == kept(outcomes)
    assert counted == {(signal, "http", "stored"): 2, (signal, "http", "unstorable"): 1}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("signal", SIGNALS)
def test_over_grpc_it_is_an_invalid_argument_without_retry_info(
    signal: str, packed: bool, tmp_path: Path, poisoned: None
) -> None:
    async def check() -> grpc.aio.AioRpcError | None:
        database = Database(tmp_path)
        writer = Writer(database)
        intake = Intake(telemetry_of(database, writer).ingest)
        server, port = await start_grpc(intake, TokenBook(()), "127.0.0.1:0")
        service = SIGNALS[signal][0]
        refused = None
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            export = channel.unary_unary(f"/{service}/Export", None, None)
            for name in ("one", POISON, "two"):
                data = body(signal, name).SerializeToString()
                try:
                    await export(gzip.compress(data) if packed else data, timeout=30)
                except grpc.aio.AioRpcError as error:
                    assert (name, refused) == (POISON, None)
                    refused = error
        await server.stop(0)
        assert intake.requests == {(signal, "grpc", "stored"): 2, (signal, "grpc", "unstorable"): 1}
        writer.close(10)
        database.close()
        return refused

    refused = asyncio.run(check())
    assert refused is not None
    assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "the store can never take its rows" in (refused.details() or "")
    assert "RetryInfo" not in str(refused.trailing_metadata())
