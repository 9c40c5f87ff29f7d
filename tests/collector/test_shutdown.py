"""A collector that is told to stop lets everyone who waits go at once, and says nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from plugwarden.contract import DirectiveSet
from plugwarden_collector.announce.board import Board
from plugwarden_collector.command.processes import collector_command

from tests.collector.conftest import running
from tests.collector.support.waiting import eventually

HOLDERS = 50


class Line:
    """A connection that says what it hears to its end: held, streaming, or cut off."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.heard = b""
        self.failure: str | None = None

    async def until(self, mark: bytes) -> None:
        while mark not in self.heard:
            piece = await self.reader.read(65_536)
            assert piece, self.heard[-200:]
            self.heard += piece

    async def end(self) -> None:
        try:
            while piece := await self.reader.read(65_536):
                self.heard = (self.heard + piece)[-100_000:]
        except ConnectionError as error:
            self.failure = type(error).__name__
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


async def ask(address: str, method: str, path: str, body: bytes = b"") -> Line:
    host, port = address.split(":")
    line = Line(*await asyncio.open_connection(host, int(port)))
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccept: */*\r\n"
    line.writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    await line.writer.drain()
    return line


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[tuple[subprocess.Popen[str], str]]:
    free = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0"]
    process = subprocess.Popen(
        collector_command("--data", str(folder), *free),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())["api"]
    finally:
        process.kill()
        process.wait()


async def stopped(process: subprocess.Popen[str], lines: list[Line], number: int) -> tuple[int, str]:
    process.send_signal(number)
    await asyncio.gather(*(line.end() for line in lines))
    _, errors = await asyncio.to_thread(process.communicate, None, 60)
    return process.returncode, errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_held_requests_and_streams_end_cleanly_at_once(tmp_path: Path, number: int) -> None:
    async def run() -> None:
        async with started(tmp_path) as (process, api):
            first = await ask(api, "GET", "/api/v1/directives")
            await first.until(b"}")
            current = json.loads(first.heard.partition(b"\r\n\r\n")[2])
            after = f"after={current['revision']}&epoch={current['epoch']}&wait=60"
            held = [await ask(api, "GET", f"/api/v1/directives?{after}&instance=i{index}") for index in range(HOLDERS)]
            streams = [await ask(api, "GET", "/api/v1/directives/stream") for _ in range(HOLDERS)]
            for line in streams:
                await line.until(b"event: directives")
            await asyncio.sleep(0.5)  # until all of the held are held
            assert await stopped(process, [first, *held, *streams], number) == (0, "")
            assert Counter(line.failure for line in [*held, *streams]) == {None: 2 * HOLDERS}
            assert Counter(line.heard[:12] for line in held) == {b"HTTP/1.1 204": HOLDERS}
            for line in streams:
                assert line.heard.endswith(b"\r\n0\r\n\r\n"), "a stream that was cut off"
                assert line.heard.count(b"still here") <= 1, "a stream that turned in circles"

    asyncio.run(run())


def test_queries_under_way_are_told_and_hold_nobody_up(tmp_path: Path) -> None:
    async def run() -> None:
        async with started(tmp_path) as (process, api):
            slow = {"sql": "select count(*) from range(100000000) a, range(100000) b", "timeout_seconds": 60}
            long = {
                "sql": "select range as n, repeat('x', 200) as t from range(20000000)",
                "timeout_seconds": 60,
                "limit": 10**8,
            }
            lines = [await ask(api, "POST", "/api/v1/query", json.dumps(slow).encode())]
            arrow = await ask_arrow(api, json.dumps(long).encode())
            await arrow.until(b"HTTP/1.1 200")
            await asyncio.sleep(0.5)
            code, errors = await stopped(process, [*lines, arrow], signal.SIGTERM)
            assert (code, errors) == (0, "")
            assert lines[0].heard.startswith(b"HTTP/1.1 503"), lines[0].heard[:300]
            assert b"shutting down" in lines[0].heard

    asyncio.run(run())


def test_a_reader_who_takes_nothing_holds_nobody_up(tmp_path: Path) -> None:
    async def run() -> None:
        async with started(tmp_path) as (process, api):
            long = {
                "sql": "select range as n, repeat('x', 200) as t from range(20000000)",
                "timeout_seconds": 60,
                "limit": 10**8,
            }
            line = await ask_arrow(api, json.dumps(long).encode())
            await line.until(b"HTTP/1.1 200")
            await asyncio.sleep(0.5)  # until what is between us is full
            process.send_signal(signal.SIGTERM)
            _, errors = await asyncio.to_thread(process.communicate, None, 60)
            await line.end()
            assert (process.returncode, errors) == (0, "")

    asyncio.run(run())


async def ask_arrow(address: str, body: bytes) -> Line:
    host, port = address.split(":")
    line = Line(*await asyncio.open_connection(host, int(port)))
    line.writer.write(
        b"POST /api/v1/query HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"accept: application/vnd.apache.arrow.stream\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )
    await line.writer.drain()
    return line


def test_a_collector_leaves_no_thread_of_its_loop_or_its_pages(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with running(tmp_path) as collector:
        for path in ("plugins", "capacity", "quarantine", "alerts"):
            collector.api.get(path)
        collector.api.post("quarantine", {"force": True, "plugin": "csv", "reason": "a test"})
        assert {thread.name for thread in set(threading.enumerate()) - before} > {"plugwarden-judge_0"}
    eventually(lambda: not set(threading.enumerate()) - before)


def test_a_board_that_closes_lets_nobody_wait_again() -> None:
    async def run() -> None:
        board = Board(DirectiveSet("e", 1, ()))
        waiting = [asyncio.create_task(board.wait_beyond("e", 1, 60)) for _ in range(3)]
        await asyncio.sleep(0)
        board.close()
        assert await asyncio.gather(*waiting) == [None] * 3
        assert board.closing
        assert await board.wait_beyond("e", 1, 60) is None
        assert (await board.wait_beyond("e", 0, 60)) is not None

    asyncio.run(run())
