"""The collector as one context manager: everything started in order, and stopped in order under one deadline."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from plugwarden.contract import DirectiveSet

from plugwarden_collector.announce.board import Board
from plugwarden_collector.announce.notify import Delivery, Notifier
from plugwarden_collector.api.app import api_app
from plugwarden_collector.api.calls import ApiCalls
from plugwarden_collector.clock import Clock, utc_now
from plugwarden_collector.errors import SettingsError
from plugwarden_collector.health import Arrivals, HealthWatch, run_health
from plugwarden_collector.judge.rules import DEFAULT_RULES, load_rules
from plugwarden_collector.receive.grpc import start_grpc
from plugwarden_collector.receive.http import otlp_app
from plugwarden_collector.receive.intake import Intake
from plugwarden_collector.receive.patience import ObligingProtocol, PatientProtocol
from plugwarden_collector.settings import Address, Settings
from plugwarden_collector.store import Database, Writer
from plugwarden_collector.store.ledger import load_directives
from plugwarden_collector.store.retention import RetentionStats, run_retention
from plugwarden_collector.telemetry import own_registry
from plugwarden_collector.warden import Warden

__all__ = ["Collector", "open_app"]

STOP_SECONDS = 10.0
"""For everything together: stop receiving, drain, flush, close."""
KEEP_ALIVE_SECONDS = 75
"""Longer than exporters pause between two requests (5 to 60 s): they must not send into a connection just closed."""
STALE_TICK_SECONDS = 15.0
"""A loop that has not turned for this long is not ready."""


@dataclass(frozen=True, slots=True)
class Collector:
    """A running collector."""

    grpc: Address
    http: Address
    api: Address
    database: Database
    writer: Writer
    warden: Warden
    board: Board
    health: HealthWatch
    failed: asyncio.Future[None]
    """Ends with the error that one of the loops could not handle; the process must end then."""


@asynccontextmanager
async def open_app(settings: Settings, *, clock: Clock = utc_now) -> AsyncIterator[Collector]:
    """Start everything; raises `SettingsError`, `RulesError` or `StoreError` before anything listens."""
    settings.check()
    rules = DEFAULT_RULES if settings.rules is None else load_rules(settings.rules)
    database = Database(settings.data)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(database.close)
        board = Board(load_directives(database) or DirectiveSet(database.epoch, 0, ()))
        woken: list[Warden] = []
        writer = Writer(database, on_commit=lambda: woken[0].wake() if woken else None)
        stack.callback(writer.close, STOP_SECONDS / 2)
        notifier = Notifier(clock, lambda delivery: writer.run(_store_delivery(delivery)))
        warden = Warden(database, writer, board, notifier, rules, clock)
        woken.append(warden)
        intake = Intake(writer, settings.identity)
        arrivals = Arrivals(clock)
        intake.on_read, intake.on_taken = arrivals.read, arrivals.taken
        retention = RetentionStats()
        health = HealthWatch(database, writer, intake, arrivals, warden, notifier, settings.keep, retention, clock)
        stack.callback(health.close)
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for loop in (
            warden.run_warden(),
            run_retention(database, writer, settings.keep, retention, clock=clock),
            notifier.run_notifier(),
            run_health(health),
        ):
            stack.push_async_callback(_cancel, _spawn(loop, failed))
        calls = ApiCalls()
        registry = own_registry(database, writer, intake, warden, board, notifier, retention, health, calls)

        def not_ready() -> str | None:
            age = time.time() - warden.stats.ticked_at
            if not writer.alive:
                return "the writer has ended"
            return None if age < STALE_TICK_SECONDS else f"the judging loop last turned {age:.0f} s ago"

        server, grpc_port = await _listen_grpc(intake, settings)
        stack.push_async_callback(server.stop, 2.0)
        api = api_app(database, writer, warden, board, settings.tokens, registry, clock, not_ready, health, calls)
        http_port = await _serve(
            stack, otlp_app(intake, settings.tokens), settings.http, "--http", failed, ObligingProtocol
        )
        api_port = await _serve(stack, api, settings.api, "--api", failed, PatientProtocol)
        stack.callback(board.close)
        yield Collector(
            Address(settings.grpc.host, grpc_port),
            Address(settings.http.host, http_port),
            Address(settings.api.host, api_port),
            database,
            writer,
            warden,
            board,
            health,
            failed,
        )


async def _listen_grpc(intake: Intake, settings: Settings) -> tuple[Any, int]:
    try:
        return await start_grpc(intake, settings.tokens, str(settings.grpc))
    except RuntimeError as error:
        raise SettingsError(f"--grpc: cannot listen on {settings.grpc}; is another collector running?") from error


async def _serve(
    stack: contextlib.AsyncExitStack,
    app: Any,
    address: Address,
    flag: str,
    failed: asyncio.Future[None],
    protocol: type[PatientProtocol],
) -> int:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # Named, or asyncio does not know it for TCP and leaves Nagle's algorithm on: 40 ms on every answer with a body.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address.host, address.port))
    except OSError as error:
        listening.close()
        raise SettingsError(f"{flag}: cannot listen on {address}: {error.strerror}") from error
    config = uvicorn.Config(
        app,
        log_level="error",  # a line for each broken request would be theirs to fill the disk with
        access_log=False,
        lifespan="off",
        proxy_headers=False,
        http=protocol,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=2,
        server_header=False,
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # the process has its own
    task = _spawn(_run_server(server, listening), failed)

    async def stop() -> None:
        server.should_exit = True
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(4.0):
                await task
        listening.close()

    stack.push_async_callback(stop)
    while not server.started:
        if task.done():
            await task
        await asyncio.sleep(0.01)
    return int(listening.getsockname()[1])


async def _run_server(server: uvicorn.Server, listening: socket.socket) -> None:
    # `serve` would take over the process's signals; `_serve` leaves them alone.
    await server._serve(sockets=[listening])


def _spawn(work: Coroutine[Any, Any, Any], failed: asyncio.Future[None]) -> asyncio.Task[Any]:
    """A task with an owner: what escapes it ends the process."""

    def ended(task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and task.exception() is not None and not failed.done():
            failed.set_exception(task.exception())  # type: ignore[arg-type]

    task = asyncio.create_task(work)
    task.add_done_callback(ended)
    return task


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task


def _store_delivery(delivery: Delivery) -> Any:
    row = [
        delivery.at, delivery.receiver, delivery.fingerprint, delivery.status, delivery.attempt, delivery.error, delivery.body,
    ]  # fmt: skip
    return lambda connection: connection.execute("insert into notifications values (?, ?, ?, ?, ?, ?, ?)", row)
