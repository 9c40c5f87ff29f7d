"""A whole collector in this process, on free ports, over a real file."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from plugwarden import Sidecar
from plugwarden_collector import app
from plugwarden_collector.api.client import CollectorClient
from plugwarden_collector.app import Collector, open_app
from plugwarden_collector.clock import Clock, utc_now
from plugwarden_collector.health import watch
from plugwarden_collector.settings import Address, Settings
from plugwarden_collector.store import Database

from tests.collector.support.documented import watching
from tests.collector.support.kept import kept_readers, kept_schema, own_schema
from tests.collector.support.rolled_store import Store
from tests.collector.support.still_clock import StillClock


class Running:
    """A collector that runs in a thread, and how to talk to it."""

    def __init__(self, collector: Collector, token: str | None) -> None:
        self.collector = collector
        self.grpc = str(collector.grpc)
        self.http = f"http://{collector.http}"
        self.url = f"http://{collector.api}"
        self.api = CollectorClient(self.url, token=token)

    def scalar(self, sql: str, **parameters: Any) -> Any:
        """The one value of a query."""
        return self.api.query(sql, parameters).column(0)[0].as_py()


@contextmanager
def running(
    data: Path,
    rules: Path | None = None,
    token: str | None = None,
    http: Address | None = None,
    clock: Clock = utc_now,
    judging: bool = True,
    **environ: str,
) -> Iterator[Running]:
    """Run a collector for the length of a block, on free ports unless `http` names one; not before its loop has turned, unless
    `judging` is false. What it answers must be as its OpenAPI document says."""
    free = Address("127.0.0.1", 0)
    if token:
        environ["PLUGWARDEN_TOKEN"] = token
    settings = Settings(data, free, http or free, free, rules, Settings.tokens_from(environ))
    started: list[Collector] = []
    failed: list[BaseException] = []
    ready = threading.Event()
    stop: list[Callable[[], object]] = []

    async def serve() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(stopping.set))
        async with open_app(settings, clock=clock) as collector:
            started.append(collector)
            ready.set()
            await stopping.wait()

    def run() -> None:
        try:
            uvloop.run(serve())
        except BaseException as error:
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    with watching(data), ExitStack() as stack:
        thread.start()
        assert ready.wait(30)
        if not started:
            thread.join()
            raise failed[0]
        stack.callback(thread.join, 30)
        stack.callback(stop[0])
        found = Running(started[0], token)
        stack.callback(found.api.close)
        stats, end = started[0].warden.stats, time.monotonic() + 30
        while judging and not (stats.ticks or stats.failures) and time.monotonic() < end and not failed:
            time.sleep(0.005)
        yield found
    if failed:
        raise failed[0]


RULES = """
[[slo]]
name = "availability"
objective = 0.99
period = "6h"
keep_firing_for = "1s"
[policy]
enforcement = "enforce"
hold = "1h"
probation_steps = [0.5, 1.0]
step = "1s"
step_min_calls = 5
newcomer_grace = "0s"
"""


@pytest.fixture(scope="session", autouse=True)
def nobody_is_waiting_to_send() -> Iterator[None]:
    """A quarter of a second for those who have waited to send is time lost at each start of a collector here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "LOAD_SECONDS", 0.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Schema and reader processes are not what most tests are about."""
    with kept_schema(tmp_path_factory.mktemp("schema")), kept_readers():
        yield


@pytest.fixture(scope="module")
def migrated_anew() -> Iterator[None]:
    """For tests of migrations and of files."""
    with own_schema():
        yield


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """An empty store, for all tests of a module that only read."""
    opened = Database(tmp_path_factory.mktemp("store"))
    yield opened
    opened.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store that a test feeds and rolls up by hand."""
    made = Store(tmp_path)
    yield made
    made.close()


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.toml"
    path.write_text(RULES)
    return path


@pytest.fixture
def collector(tmp_path: Path, rules: Path) -> Iterator[Running]:
    with running(tmp_path / "data", rules) as found:
        yield found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One collector for all tests that only add to it; each uses names of its own."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "rules.toml").write_text(RULES)
    with running(folder / "data", folder / "rules.toml") as found:
        yield found


@pytest.fixture
def name() -> str:
    return f"test-{os.urandom(6).hex()}"


@pytest.fixture
def sidecar(collector: Running) -> Iterator[Sidecar]:
    made = Sidecar(
        service="host",
        endpoint=collector.http,
        collector_url=collector.url,
        export_interval_seconds=0.2,
        trace_ratio=1.0,
    )
    yield made
    made.close(timeout=10)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> StillClock:
    """A clock for a collector that looks at itself when a test tells it to, and at no other time."""
    monkeypatch.setattr(watch, "EVERY_SECONDS", 3600.0)
    return StillClock()
