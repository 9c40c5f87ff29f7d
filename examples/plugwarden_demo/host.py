"""The host: takes documents, runs the plugins' hooks on them, and goes on whatever a plugin does.

Everything Plugwarden is in three places: the sidecar is made, the span processor is added, and `instrument` wraps the
plugins. Commands come in on stdin, one JSON object a line; events go out on stdout.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import inspect
import json
import logging
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx2
import pluggy
from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from plugwarden import BreakerPolicy, CallNotPermitted, Sidecar
from plugwarden.integrations.pluggy import instrument

from . import plugins
from .corpus import Document, documents
from .hooks import PROJECT, DocumentHooks

__all__ = ["main"]

RELEASES = {"1.4.0": plugins.Markdown, "2.0.0": plugins.MarkdownAscii, "2.0.1": plugins.MarkdownFixed}
MAX_IN_FLIGHT = 64
"""Documents beyond it wait: the host has its own back-pressure."""


class Host:
    """Owns the plugin manager, the sidecar and the pipeline."""

    def __init__(self, sidecar: Sidecar, client: httpx2.AsyncClient, rate: float) -> None:
        self._sidecar = sidecar
        self._rate = rate
        self._tracer = trace.get_tracer("demo.host")
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(DocumentHooks)
        self._counted = threading.Lock()
        self.calls: Counter[tuple[str, str]] = Counter()
        """(plugin, version) -> invocations, counted by the host itself and independently of the sidecar."""
        self.documents = 0
        self.unhandled: Counter[str] = Counter()
        for plugin in (
            plugins.Markdown(), plugins.Template(), plugins.Highlight(), plugins.Schema(), plugins.Profile(),
            plugins.Table(), plugins.Thumbnail(), plugins.Catalog(client, sidecar), plugins.Dedupe(client, sidecar),
            plugins.Links(client, sidecar),
        ):  # fmt: skip
            self._register(plugin)

    def deploy(self, version: str) -> None:
        """Replace the markdown plugin; the version that ran so far becomes the fallback of the new one."""
        previous = self._manager.get_plugin("markdown")
        last_good = getattr(self, "_last_good", None) or self._function(previous)
        self._last_good = last_good
        self._manager.unregister(name="markdown")
        self._register(RELEASES[version](), fallback=last_good)

    def _register(self, plugin: Any, fallback: Callable[..., Any] | None = None) -> None:
        self._count(plugin.name, plugin.version)
        try:
            with self._sidecar.invocation(plugin.name, version=plugin.version, operation="load"):
                self._manager.register(plugin, name=plugin.name)
        except CallNotPermitted:
            # It is on probation from the start. Registered all the same: its calls go to the fallback until let through.
            self._manager.register(plugin, name=plugin.name)
        lookup = inspect.iscoroutinefunction(getattr(plugin, "on_document", None))
        options: dict[str, Any] = {"breaker": BreakerPolicy(open_seconds=2.0)}
        if fallback is not None:
            options["fallback"] = fallback
        if lookup:
            options |= {"timeout": 3.0, "fallback": _nothing_known, "downstream_errors": (httpx2.HTTPError,)}
        instrument(
            self._manager,
            self._sidecar,
            describe=lambda found, name: (found.name, found.version),  # type: ignore[attr-defined]
            options=lambda *_: options,
        )
        for implementation in self._implementations(plugin):
            implementation.function = self._tallied(plugin.name, plugin.version, implementation.function)

    def _implementations(self, plugin: Any) -> list[Any]:
        callers = self._manager.get_hookcallers(plugin) or ()
        return [item for caller in callers for item in caller.get_hookimpls() if item.plugin is plugin]

    def _function(self, plugin: Any) -> Callable[..., Any]:
        found: Callable[..., Any] = self._implementations(plugin)[0].function
        return found

    def _tallied(self, name: str, version: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._count(name, version)
            return function(*args, **kwargs)

        call.__plugwarden__ = True  # type: ignore[attr-defined]  # already wrapped inside
        return call

    def _count(self, name: str, version: str) -> None:
        with self._counted:
            self.calls[name, version] += 1

    async def run(self, stopping: asyncio.Event) -> None:
        """Take documents at the given rate until told to stop; those under way are finished."""
        slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number, document in enumerate(documents()):
                if stopping.is_set():
                    break
                await slots.acquire()
                group.create_task(self._process(document)).add_done_callback(lambda _: slots.release())
                due = started + (number + 1) / self._rate
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, due - time.monotonic())):
                        await stopping.wait()

    async def _process(self, document: Document) -> None:
        """One document through every plugin that wants it. Whatever escapes a plugin here is a failure of the demo."""
        try:
            with self._tracer.start_as_current_span("process document") as span:
                span.set_attribute("document.name", document.name)
                span.set_attribute("document.kind", document.kind)
                hook = getattr(self._manager.hook, f"on_{document.kind}")
                await asyncio.to_thread(hook, document=document)
                await asyncio.gather(*self._manager.hook.on_document(document=document))
        except Exception as error:  # noqa: BLE001 - counted, and the demo fails for it
            self.unhandled[type(error).__name__] += 1
        self.documents += 1


async def _nothing_known(document: Document) -> dict[str, object]:
    return {}


async def _serve(arguments: argparse.Namespace) -> int:
    service, instance = "document-pipeline", str(uuid.uuid4())
    sidecar = Sidecar(service=service, instance_id=instance, export_interval_seconds=1.0, environment="demo")
    logging.getLogger().addHandler(sidecar.log_handler())
    logging.getLogger().setLevel(logging.INFO)
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service, SERVICE_INSTANCE_ID: instance}))
    provider.add_span_processor(sidecar.span_processor())
    trace.set_tracer_provider(provider)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    limits = httpx2.Limits(max_connections=200, max_keepalive_connections=50)
    async with httpx2.AsyncClient(base_url=arguments.registry, limits=limits, timeout=10.0, trust_env=False) as client:
        host = Host(sidecar, client, arguments.rate)

        def command() -> None:
            line = sys.stdin.readline()
            if not line:
                loop.remove_reader(sys.stdin)
                stopping.set()
                return
            order = json.loads(line)
            if order["do"] == "deploy":
                host.deploy(order["version"])
                _tell({"event": "deployed", "version": order["version"], "at": time.time()})
            elif order["do"] == "stop":
                stopping.set()

        if not arguments.standalone:
            loop.add_reader(sys.stdin, command)
        for order in arguments.deploy:
            version, _, seconds = order.partition("@")
            loop.call_later(float(seconds), host.deploy, version)
        metrics_port = sidecar.serve_metrics(arguments.metrics_port)
        _tell({"event": "ready", "metrics": metrics_port})
        await host.run(stopping)
    sent = await asyncio.to_thread(sidecar.close, 20.0)
    _tell(
        {
            "event": "done",
            "documents": host.documents,
            "unhandled": dict(host.unhandled),
            "calls": {f"{plugin}@{version}": count for (plugin, version), count in sorted(host.calls.items())},
            "all_sent": sent,
        }
    )
    return 0 if not host.unhandled and sent else 1


def _tell(event: dict[str, Any]) -> None:
    print(json.dumps(event), flush=True)


def main() -> None:
    """Run the host until stdin closes, a stop command or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--registry", required=True, help="base address of the registry service")
    parser.add_argument("--rate", type=float, default=16.0, help="documents per second")
    parser.add_argument("--metrics-port", type=int, default=0, help="for Prometheus; 0 picks a free one")
    parser.add_argument(
        "--deploy",
        action="append",
        default=[],
        metavar="VERSION@SECONDS",
        help="deploy this version so long after the start",
    )
    parser.add_argument("--standalone", action="store_true", help="take no commands from stdin")
    raise SystemExit(asyncio.run(_serve(parser.parse_args())))


if __name__ == "__main__":
    main()
