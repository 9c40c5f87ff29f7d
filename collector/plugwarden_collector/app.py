"""The collector as one context manager: everything started in order, and stopped in order under one deadline."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import socket
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from plugwarden.contract import DirectiveSet

from plugwarden_collector import __version__
from plugwarden_collector.announce.board import Board
from plugwarden_collector.announce.events import EventSender
from plugwarden_collector.announce.notify import Notifier
from plugwarden_collector.announce.receivers.cloudevents import source_of_events
from plugwarden_collector.api.request_counts import ApiCalls
from plugwarden_collector.audit.access_log import AccessLog
from plugwarden_collector.audit.entries import DECISIONS
from plugwarden_collector.clock import Clock, TrustedClock
from plugwarden_collector.control.live import Warden
from plugwarden_collector.control.pushed import PushedFollower, run_pushed_follower
from plugwarden_collector.control.retention import run_retention
from plugwarden_collector.control.timekeeping import resumed, run_timekeeping
from plugwarden_collector.control.watching import Watching, run_watching
from plugwarden_collector.decide.labels import tolder_of
from plugwarden_collector.durations import duration
from plugwarden_collector.errors import CollectorError, SettingsError
from plugwarden_collector.health import Arrivals, HealthWatch, run_health
from plugwarden_collector.health.metrics import own_registry
from plugwarden_collector.pushed import PushedAlerts, run_pushed_alerts
from plugwarden_collector.receive.grpc import start_grpc
from plugwarden_collector.receive.http import otlp_app
from plugwarden_collector.receive.intake import Intake
from plugwarden_collector.rules.file import DEFAULT_RULES, load_rules
from plugwarden_collector.settings import Address, Settings
from plugwarden_collector.store import (
    Audit,
    Database,
    Ledger,
    Notes,
    SpareLog,
    Telemetry,
    Writer,
    kept_time,
    open_ledger,
    run_notes,
    telemetry_of,
)
from plugwarden_collector.web.headers import API_HEADERS, with_headers
from plugwarden_collector.web.http_protocol import ObligingProtocol, PatientProtocol

__all__ = ["Collector", "open_app"]

STOP_SECONDS = 10.0
"""For everything together: stop receiving, drain, flush, close."""
KEEP_ALIVE_SECONDS = 75
"""Longer than exporters pause between two requests (5 to 60 s): they must not send into a connection just closed."""
WARM_SECONDS = 2.0
LOAD_SECONDS = 0.25
"""The processor is for those who send, who have waited for longest."""
RETRY_SECONDS = 5.0
NOTES_SECONDS = 2.0
"""Seconds that a stop gives to what was told and is not recorded yet."""
BACKLOG = 2048
"""As uvicorn has it."""
SPARE_NAME = "attempts.spare"
"""File beside the store, of attempts that it has not taken yet."""
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
    telemetry: Telemetry
    warden: Warden
    ledger: Ledger
    board: Board
    health: HealthWatch
    watching: Watching
    failed: asyncio.Future[None]
    """Ends with the error that one of the loops could not handle; the process must end then."""

    @property
    def audit(self) -> Audit:
        """The chains of the ledger."""
        return self.ledger.audit


@asynccontextmanager
async def open_app(settings: Settings, *, clock: Clock | None = None) -> AsyncIterator[Collector]:
    """Start everything; raises `SettingsError`, `RulesError` or `StoreError` before anything listens.

    `clock` is for tests; without one, the time is kept by a `TrustedClock`.
    """
    settings.check()
    rules = DEFAULT_RULES if settings.rules is None else load_rules(settings.rules)
    database = Database(settings.data)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(database.close)
        trusted = clock if isinstance(clock, TrustedClock) else None
        if clock is None:
            kept, same_boot = resumed(kept_time(database))
            clock = trusted = TrustedClock(kept, same_boot=same_boot)
        now_ns = trusted.now_ns if trusted is not None else time.time_ns
        woken: list[Warden] = []
        writer = Writer(database, on_commit=lambda: woken[0].wake() if woken else None, clock=clock, warm=False)
        stack.callback(writer.close, STOP_SECONDS / 2)
        ledger = open_ledger(database, writer, settings.audit, clock())
        audit = ledger.audit
        stack.callback(ledger.close)
        spare = SpareLog(settings.data / SPARE_NAME)
        stack.callback(spare.close)
        notes = Notes(ledger, spare)
        stack.callback(notes.close, NOTES_SECONDS)
        notifier = Notifier(clock, ledger, notes, settings.public_url)
        notifier.stamp, notifier.tolder = audit.stamp, tolder_of(database.epoch)
        board = Board(DirectiveSet())
        telemetry = telemetry_of(database, writer, audit)
        warden = Warden(telemetry, ledger, board, notifier, rules, clock)
        woken.append(warden)
        stack.callback(warden.close)
        await asyncio.wrap_future(audit.record_lost_key(clock()))
        events = EventSender(
            ledger,
            lambda: audit.heads[DECISIONS].sequence,
            lambda: warden.rules.receivers,
            source_of_events(database.epoch),
            clock,
            notes,
        )
        access = AccessLog(ledger, clock)
        stack.push_async_callback(access.close)
        access.started(__version__, settings.rules)
        intake = Intake(telemetry.ingest, settings.identity, now_ns)
        arrivals = Arrivals(clock)
        intake.on_stranger = access.refused
        intake.on_read, intake.on_taken = arrivals.read, arrivals.taken
        watching = Watching(telemetry, ledger, warden, arrivals.senders.living, clock)
        stack.callback(watching.close)
        health = HealthWatch(
            telemetry,
            intake,
            arrivals,
            warden,
            notifier,
            settings.keep,
            clock,
            ledger,
            notes,
            (lambda: trusted.reading().step) if trusted is not None else lambda: None,
            watching.failing,
        )
        stack.callback(health.close)
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        loops = [run_timekeeping(trusted, ledger)] if trusted is not None else []
        taking = asyncio.Event()
        """Set a moment after telemetry is taken: what takes much of the processor begins then."""
        for loop in (
            *loops,
            _after(taking, warden.run_warden()),
            _after(taking, run_retention(telemetry.upkeep, settings.keep, clock=clock)),
            notifier.run_notifier(),
            events.run_events(),
            run_notes(notes),
            _after(taking, run_health(health)),
            _after(taking, run_watching(watching)),
            access.run_access(),
            audit.run_heads(),
            _after(taking, _warm_store(writer)),
        ):
            stack.push_async_callback(_cancel, _spawn(loop, failed))
        calls = ApiCalls()
        pushed = PushedAlerts(ledger, clock, tolder_of(database.epoch))
        stack.callback(pushed.close)
        stack.push_async_callback(_cancel, _spawn(run_pushed_alerts(pushed), failed))
        follower = PushedFollower(warden, pushed, ledger)
        stack.callback(follower.close)
        stack.push_async_callback(_cancel, _spawn(run_pushed_follower(follower), failed))
        registry = own_registry(
            telemetry, intake, warden, board, notifier, events, health, calls, pushed, audit, access, notes, watching
        )

        begun = time.monotonic()
        parts: list[Any] = []
        stack.callback(lambda: [made.close() for made in parts])

        def not_ready() -> str | None:
            if not telemetry.condition.health().writing:
                return "the writer has ended"
            age = time.monotonic() - (warden.stats.ticked_at or begun)
            return None if age < STALE_TICK_SECONDS else f"the judging loop last turned {duration(age)} ago"

        async def api() -> Any:
            # A quarter of what a start has to load is for the API alone: who connects meanwhile waits to be accepted.
            await asyncio.sleep(LOAD_SECONDS)
            made = await asyncio.to_thread(importlib.import_module, "plugwarden_collector.api.app")
            taking.set()
            parts.append(
                made.Parts(
                    database,
                    writer,
                    telemetry,
                    warden,
                    board,
                    settings.tokens,
                    registry,
                    clock,
                    not_ready,
                    health,
                    calls,
                    pushed,
                    ledger,
                    access,
                    notifier,
                    watching,
                    settings.keep,
                    settings.public_url,
                )
            )
            return with_headers(made.api_app(parts[0]), API_HEADERS)

        server, grpc_port = await _listen_grpc(intake, settings)
        stack.push_async_callback(server.stop, 2.0)
        http_socket, http_port = _listen(stack, settings.http, "--http")
        api_socket, api_port = _listen(stack, settings.api, "--api")

        async def receiver() -> Any:
            return with_headers(otlp_app(intake, settings.tokens), API_HEADERS)

        otlp = _Server(http_socket, receiver(), ObligingProtocol)
        otlp.start(stack, failed)
        await otlp.started()
        _Server(api_socket, api(), PatientProtocol).start(stack, failed)
        stack.callback(
            otlp.leave
        )  # both servers end together: each looks ten times a second whether it shall, and then waits as long
        # Statements that run end first, so that nobody waits for them; what was started meanwhile ends with the process.
        stack.callback(telemetry.queries.close)
        stack.push_async_callback(_cancel, _spawn(_warm_readers(telemetry), failed))
        stack.callback(board.close)
        yield Collector(
            Address(settings.grpc.host, grpc_port),
            Address(settings.http.host, http_port),
            Address(settings.api.host, api_port),
            database,
            writer,
            telemetry,
            warden,
            ledger,
            board,
            health,
            watching,
            failed,
        )


async def _warm_readers(telemetry: Telemetry) -> None:
    """Ready to take data first: the processes of readers take some of the processor to start."""
    await asyncio.sleep(WARM_SECONDS)
    try:
        await asyncio.to_thread(telemetry.queries.warm)
    except (CollectorError, OSError) as error:  # whoever asks is told again, and no sooner
        logging.getLogger(__name__).error("reader processes could not be started: %s", error)


async def _listen_grpc(intake: Intake, settings: Settings) -> tuple[Any, int]:
    try:
        return await start_grpc(intake, settings.tokens, str(settings.grpc))
    except RuntimeError as error:
        raise SettingsError(f"--grpc: cannot listen on {settings.grpc}; is another collector running?") from error


def _listen(stack: contextlib.AsyncExitStack, address: Address, flag: str) -> tuple[socket.socket, int]:
    """A socket that others can connect to, and its port; who connects before it is served waits."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # Named, or asyncio does not know it for TCP and leaves Nagle's algorithm on: 40 ms on every answer with a body.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    stack.callback(listening.close)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address.host, address.port))
        listening.listen(BACKLOG)
    except OSError as error:
        raise SettingsError(f"{flag}: cannot listen on {address}: {error.strerror}") from error
    return listening, int(listening.getsockname()[1])


class _Server:
    """Serves an application on a socket, from when the application is there."""

    def __init__(
        self, listening: socket.socket, app: Coroutine[Any, Any, Any], protocol: type[PatientProtocol]
    ) -> None:
        self._listening, self._app, self._protocol = listening, app, protocol
        self._server: uvicorn.Server | None = None

    def start(self, stack: contextlib.AsyncExitStack, failed: asyncio.Future[None]) -> None:
        """Run it in a task of its own, which the stack ends."""
        self._task = _spawn(self._run(), failed)
        stack.push_async_callback(self._stop)

    async def started(self) -> None:
        """Returns once it accepts connections; raises what it ended with."""
        while self._server is None or not self._server.started:
            if self._task.done():
                await self._task
            await asyncio.sleep(0.01)

    async def _run(self) -> None:
        config = uvicorn.Config(
            await self._app,
            log_level="error",  # a line for each broken request would be theirs to fill the disk with
            access_log=False,
            lifespan="off",
            proxy_headers=False,
            http=self._protocol,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=2,
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        # `serve` would take over the process's signals, which has handlers of its own; this leaves them alone.
        await self._server._serve(sockets=[self._listening])

    def leave(self) -> None:
        """Have it end soon, and do not wait for that."""
        if self._server is not None:
            self._server.should_exit = True

    async def _stop(self) -> None:
        if self._server is None:
            await _cancel(self._task)
            return
        self.leave()
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(4.0):
                await self._task


async def _warm_store(writer: Writer) -> None:
    """What memory keeps of the store is read once telemetry is taken; until then the store itself is asked."""
    while True:
        try:
            await asyncio.to_thread(writer.warm)
            return
        except CollectorError as error:
            logging.getLogger(__name__).error("what memory keeps of the store could not be read yet: %s", error)
        await asyncio.sleep(RETRY_SECONDS)


async def _after(event: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Work that begins when something has happened."""
    try:
        await event.wait()
        await work
    finally:
        work.close()


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
