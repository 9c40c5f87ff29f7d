"""`plugwarden collector`: the process around the collector."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plugwarden_collector.audit import Place
from plugwarden_collector.errors import RulesError, SettingsError, StoreError
from plugwarden_collector.settings import Address, Settings
from plugwarden_collector.wording import HarmlessFormatter

from .output import console, emit_json, fail

if TYPE_CHECKING:
    from plugwarden_collector.app import Collector

__all__ = ["run_collector"]

SWITCH_SECONDS = 0.0005
"""The writer and the decoders take the interpreter's lock some hundred times a request, a few microseconds each; at Python's
own 5 ms each of these may wait for a turn, and the lag of a thousand sidecars is half as long again (benchmarks/fleet_load.py)."""


def run_collector(
    data: Path,
    grpc: str,
    http: str,
    api: str,
    rules: Path | None,
    as_json: bool,
    *,
    plugin_from: str,
    keep_raw: str,
    max_size: str,
    archive: Path | None,
    audit_key: Path | None,
    max_deletion: str,
    public_url: str = "",
) -> None:
    """Run until SIGINT or SIGTERM; ends with 1 when a part fails, 2 when it could not start."""
    sys.setswitchinterval(SWITCH_SECONDS)
    _log_to_stderr()
    try:
        settings = Settings(
            data,
            Address.parse(grpc, "--grpc"),
            Address.parse(http, "--http"),
            Address.parse(api, "--api"),
            rules,
            Settings.tokens_from(),
            Settings.identity_from(plugin_from),
            Settings.keep_from(keep_raw, max_size, archive, max_deletion),
            Place.of(audit_key),
            public_url,
        )
        settings.check()  # before all that a collector loads: who mistyped a path is told at once
        import uvloop

        uvloop.run(_run(settings, as_json))
    except RulesError as error:
        fail(error.lines, 2)
    except (SettingsError, StoreError) as error:
        fail(str(error), 2)


def _log_to_stderr() -> None:
    line = HarmlessFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    line.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(line)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for name in ("httpx", "httpx2", "httpcore", "httpcore2"):
        # They tell the whole address of every request, and a receiver's is often its secret.
        logging.getLogger(name).setLevel(logging.WARNING)


async def _run(settings: Settings, as_json: bool) -> None:
    from plugwarden_collector.app import open_app

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with open_app(settings) as collector:
        loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, _reload, collector, settings.rules))
        ready = {"grpc": collector.grpc, "http": collector.http, "api": collector.api}
        if as_json:
            told = {name: str(address) for name, address in ready.items()}
            emit_json({"event": "ready", **told, "audit": collector.audit.told()})
        else:
            console.print(
                f"collector ready: OTLP gRPC {collector.grpc}, OTLP HTTP {collector.http}, API http://{collector.api}, "
                f"data in {settings.data}; audit heads: {collector.audit.line()}",
                soft_wrap=True,
            )
        waiting: asyncio.Future[Any] = asyncio.create_task(stopping.wait())
        await asyncio.wait({waiting, collector.failed}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        # gRPC keeps the loop until the interpreter ends, and the loop this: the database would be let go after DuckDB itself.
        loop.remove_signal_handler(signal.SIGHUP)
        if collector.failed.done():
            await collector.failed
    # With them, whoever keeps this output can prove later what is missing.
    if as_json:
        emit_json({"event": "stopped", "audit": collector.audit.told()})
    else:
        console.print(f"collector stopped; audit heads: {collector.audit.line()}", soft_wrap=True)


def _reload(collector: Collector, rules: Path | None) -> None:
    log = logging.getLogger(__name__)
    if rules is None:
        log.warning("SIGHUP: there is no rules file to read again; start with --rules FILE")
        return
    try:
        loaded = collector.warden.reload(rules)
        log.info("rules read again: %d objectives from %s", len(loaded.objectives), rules)
    except RulesError as error:
        for line in error.lines:
            log.error("the old rules stay in force: %s", line)
