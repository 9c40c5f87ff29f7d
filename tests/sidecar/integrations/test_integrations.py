"""Against the real thing: pluggy in Datasette, entry points, stevedore, ASGI, MCP, commands, the OpenTelemetry SDK."""

from __future__ import annotations

import asyncio
import functools
import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

import pluggy
import pytest
from mcp import Client
from mcp.server.mcpserver import MCPServer
from mcp.types import CallToolResult, TextContent
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from plugwarden import BreakerPolicy, ConfigurationError, DeadlineExceeded, Sidecar
from plugwarden.contract import Action, Directive, DirectiveSet, Scope
from plugwarden.integrations import entry_points, stevedore
from plugwarden.integrations import mcp as mcp_integration
from plugwarden.integrations import pluggy as pluggy_integration
from plugwarden.integrations.asgi import PluginApp, RefusalAnswers
from plugwarden.integrations.command import command
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient


def isolate(sidecar: Sidecar, plugin: str) -> None:
    directives = (Directive("q-1", Action.ISOLATE, Scope(plugin), reason="it fails"),)
    sidecar._apply(DirectiveSet("e", sidecar.directives.revision + 1, directives))


# -- pluggy -------------------------------------------------------------------------------------------------------------

DATASETTE = """
import asyncio, sys, time
from plugwarden import Sidecar
from datasette import hookimpl
from datasette.app import Datasette
from datasette.plugins import pm

class Slow:
    # Answers, as Datasette allows, a coroutine function, and keeps its own time.
    __name__ = "slow"

    @hookimpl
    def extra_template_vars(self):
        async def inner():
            began = time.perf_counter()
            await asyncio.sleep(0.02)
            spent.append(time.perf_counter() - began)
            return {}

        return inner


spent = []
pm.register(Slow(), "datasette-slow")

from plugwarden.integrations import pluggy                     # the three lines
sidecar = Sidecar(service="datasette", endpoint=sys.argv[1], export_interval_seconds=0.2)
wrapped = pluggy.instrument(pm, sidecar)

async def main():
    app = Datasette([sys.argv[2]], metadata={"databases": {"places": {"description": "x"}}})
    await app.invoke_startup()
    for path in ("/", "/places", "/places/places", "/robots.txt", "/-/search?q=oslo", "/places/places.copyable", "/-/plugins.json"):
        answer = await app.client.get(path)
        assert answer.status_code < 500, (path, answer.status_code, answer.text[:300])

asyncio.run(main())
print(len(spent), sum(spent))
sidecar.close(10)
"""


@pytest.mark.e2e
def test_datasettes_third_party_plugins_show_their_latency_end_to_end(tmp_path: Path) -> None:
    from tests.collector.conftest import running

    database = tmp_path / "places.db"
    import sqlite3

    with sqlite3.connect(database) as connection:
        connection.execute(
            "create table places (name text, latitude real, longitude real, notes_markdown text, j text)"
        )
        connection.execute("""insert into places values ('Oslo', 59.9, 10.7, '**fjord**', '{"a": 1}')""")
    connection.close()
    with running(tmp_path / "data") as collector:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", DATASETTE, collector.http, str(database)],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        rows = collector.api.query(
            "select plugin_id as plugin, plugin_version as version, sum(calls) as calls, "
            "sum(duration_seconds_sum) as seconds from plugin_calls "
            "where plugin_id like 'datasette-%' group by all"
        ).to_pylist()
    measured = {row["plugin"]: row for row in rows}
    slow, (calls, seconds) = measured.pop("datasette-slow"), done.stdout.split()
    assert slow["calls"] == int(calls) > 0
    assert slow["seconds"] >= float(seconds)
    assert len(measured) >= 5, measured
    for plugin, row in measured.items():
        assert row["version"] == importlib.metadata.version(plugin)
        assert row["calls"] > 0
        assert row["seconds"] > 0


def test_a_refused_hook_has_nothing_to_say_and_the_host_goes_on(sidecar: Sidecar) -> None:
    spec, impl = pluggy.HookspecMarker("t"), pluggy.HookimplMarker("t")

    class Spec:
        @spec
        def names(self) -> list[str]: ...

    class Good:
        @impl
        def names(self) -> str:
            return "good"

    class Bad:
        @impl
        def names(self) -> str:
            return "bad"

    manager = pluggy.PluginManager("t")
    manager.add_hookspecs(Spec)
    manager.register(Good(), "good")
    manager.register(Bad(), "bad")
    assert pluggy_integration.instrument(manager, sidecar, describe=lambda plugin, name: (name, "1")) == 2
    assert pluggy_integration.instrument(manager, sidecar) == 0
    assert sorted(manager.hook.names()) == ["bad", "good"]
    isolate(sidecar, "bad")
    assert manager.hook.names() == ["good"]


# -- entry points and stevedore -------------------------------------------------------------------------------------------


def plugin_function(number: int) -> int:
    return number * 2


class PluginClass:
    def work(self, number: int) -> int:
        return number + 1

    def _private(self) -> None: ...


def test_entry_points_are_loaded_one_by_one_and_none_breaks_the_others(sidecar: Sidecar, outbox: Any) -> None:
    points = [
        importlib.metadata.EntryPoint("double", f"{__name__}:plugin_function", "g"),
        importlib.metadata.EntryPoint("broken", "no_such_module_at_all:x", "g"),
        importlib.metadata.EntryPoint("kind", f"{__name__}:PluginClass", "g"),
    ]
    loaded = {item.name: item for item in entry_points.load("g", sidecar, entry_points=points)}
    assert loaded["double"].object(4) == 8
    assert isinstance(loaded["broken"].error, ModuleNotFoundError)
    assert loaded["kind"].object is PluginClass
    assert sidecar.flush()
    assert outbox.calls(plugin_operation="load", plugin_outcome="success") == 2
    assert outbox.calls(plugin_operation="load", plugin_outcome="error") == 1
    assert outbox.calls(plugin_id="double", plugin_operation="call") == 1


def test_a_real_group_of_entry_points_loads(sidecar: Sidecar) -> None:
    loaded = list(entry_points.load("console_scripts", sidecar, entry_points=[
        point for point in importlib.metadata.entry_points(group="console_scripts") if point.name == "coloredlogs"
    ] or [next(iter(importlib.metadata.entry_points(group="pytest11")))]))  # fmt: skip
    assert all(item.version != "0" for item in loaded)


def test_stevedore_extensions_are_observed_where_they_stand(sidecar: Sidecar, outbox: Any) -> None:
    from stevedore.extension import Extension, ExtensionManager

    point = importlib.metadata.EntryPoint("adder", f"{__name__}:PluginClass", "g")
    other = importlib.metadata.EntryPoint("double", f"{__name__}:plugin_function", "g")
    manager = ExtensionManager.make_test_instance(
        [Extension("adder", point, PluginClass, PluginClass()), Extension("double", other, plugin_function, None)]  # type: ignore[arg-type]
    )
    assert stevedore.instrument(manager, sidecar) == 2
    assert stevedore.instrument(manager, sidecar) == 0
    assert manager.map(lambda extension: (extension.obj.work if extension.obj else extension.plugin)(5)) == [6, 10]
    assert sidecar.flush()
    assert outbox.calls(plugin_id="adder", plugin_operation="work") == 1
    assert outbox.calls(plugin_id="double", plugin_operation="call") == 1
    with pytest.raises(ConfigurationError, match="nothing"):
        stevedore.instrument(manager, sidecar, methods=["nothing"])


# -- ASGI ---------------------------------------------------------------------------------------------------------------


def test_a_mounted_application_is_observed_guarded_and_traced(sidecar: Sidecar, outbox: Any) -> None:
    async def page(request: Request) -> PlainTextResponse:
        if "crash" in request.query_params:
            raise ValueError("crash")
        return PlainTextResponse("hello", 500 if "fail" in request.query_params else 200)

    plugin = Starlette(routes=[Route("/", page, methods=["GET", "POST"])])
    host = Starlette(
        routes=[
            Mount(
                "/plugin",
                PluginApp(plugin, sidecar, plugin="reports", version="2", breaker=BreakerPolicy(minimum_calls=3)),
            ),
            Route("/own", lambda request: PlainTextResponse("own")),
        ]
    )
    client = TestClient(host, raise_server_exceptions=False)
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    answer = client.get("/plugin/", headers={"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"})
    assert answer.text == "hello"
    assert client.post("/plugin/").status_code == 200
    assert client.get("/plugin/?fail=1").status_code == 500
    assert client.get("/plugin/?crash=1").status_code == 500
    refused = client.get("/plugin/")
    assert refused.status_code == 503
    assert 5 <= int(refused.headers["retry-after"]) <= 6, "the breaker's first open time, rounded up"
    assert refused.text == "this part of the service is not available: circuit_open"
    assert client.get("/own").text == "own"
    assert sidecar.flush()
    assert outbox.calls(plugin_id="reports", plugin_operation="GET", plugin_outcome="error") == 2
    assert outbox.calls(plugin_operation="POST", plugin_outcome="success") == 1
    (span,) = (span for span in outbox.spans_sent if span.trace_id == trace_id)
    assert span.parent_id == "b7ad6b7169203331"


def test_requests_go_back_to_the_application_of_the_version_before(sidecar: Sidecar, outbox: Any) -> None:
    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"{request.app.state.version} {(await request.body()).decode()}")

    def made(version: str, **terms: Any) -> PluginApp:
        app = Starlette(routes=[Route("/", page, methods=["GET", "POST"])])
        app.state.version = version
        return PluginApp(app, sidecar, plugin="reports", version=version, **terms)

    client = TestClient(made("2", previous=made("1")))
    assert client.post("/", content="hello").text == "2 hello"
    directives = [Directive(f"q-{version}", Action.ISOLATE, Scope("reports", version)) for version in "21"]
    sidecar._apply(DirectiveSet("e", 1, directives[:1]))
    assert client.post("/", content="hello").text == "1 hello"
    assert client.get("/").text == "1 "
    sidecar._apply(DirectiveSet("e", 2, directives))
    assert client.get("/").status_code == 503
    assert sidecar.flush()
    assert outbox.calls(plugin_version="1", plugin_operation="POST", plugin_outcome="success") == 1


@pytest.mark.parametrize("wrong", ["plugin", "version", "unwrapped", "open"])
def test_an_application_that_is_no_earlier_version_is_refused_when_it_is_mounted(sidecar: Sidecar, wrong: str) -> None:
    app = Starlette()
    named = {"plugin": "tiles" if wrong == "plugin" else "reports", "version": "2" if wrong == "version" else "1"}
    previous: Any = app if wrong == "unwrapped" else PluginApp(app, sidecar, **named)
    level: Any = "security" if wrong == "open" else "normal"
    with pytest.raises(ConfigurationError, match="previous: "):
        PluginApp(app, sidecar, plugin="reports", version="2", previous=previous, criticality=level)


def test_applications_that_go_back_to_each_other_are_refused_when_they_are_mounted(sidecar: Sidecar) -> None:
    made = functools.partial(PluginApp, Starlette(), sidecar, plugin="reports")
    before = made(version="1", previous=made(version="2"))
    with pytest.raises(ConfigurationError, match="previous: reports@1 goes back to reports@2 itself"):
        made(version="2", previous=before)


def test_a_refusal_that_a_host_lets_through_is_its_answer(sidecar: Sidecar) -> None:
    lookup = sidecar.wrap(lambda: "here", plugin="geo", version="1", operation="lookup")

    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse(lookup())

    host = Starlette(routes=[Route("/", page)], middleware=[Middleware(RefusalAnswers)])
    client = TestClient(host)
    assert client.get("/").text == "here"
    directive = Directive("q-1", Action.ISOLATE, Scope("geo"), reason="its secret is in the reason")
    sidecar._apply(DirectiveSet("e", 1, (directive,)))
    refused = client.get("/")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "30")
    assert refused.text == "this part of the service is not available: quarantined"


@pytest.mark.parametrize(
    ("extensions", "expected"),
    [
        ({}, [("websocket.close", None)]),
        (
            {"websocket.http.response": {}},
            [("websocket.http.response.start", 503), ("websocket.http.response.body", None)],
        ),
    ],
)
def test_a_refused_websocket_is_told_as_far_as_the_server_can(
    sidecar: Sidecar, extensions: dict[str, Any], expected: list[tuple[str, int | None]]
) -> None:
    async def never(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("the gate is closed")

    app = PluginApp(never, sidecar, plugin="chat", version="1")
    sidecar._apply(DirectiveSet("e", 1, (Directive("q-1", Action.ISOLATE, Scope("chat")),)))
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "headers": [], "extensions": extensions}
    asyncio.run(app(scope, never, send))
    assert [(message["type"], message.get("status")) for message in sent] == expected


# -- MCP ----------------------------------------------------------------------------------------------------------------


def test_an_mcp_servers_tools_are_observed_and_an_error_in_a_result_counts(sidecar: Sidecar, outbox: Any) -> None:
    server: MCPServer[Any] = MCPServer("weather", version="3.1")

    @server.tool()
    def forecast(city: str) -> str:
        return f"rain in {city}"

    @server.tool()
    async def climate(city: str) -> CallToolResult:
        return CallToolResult(content=[TextContent(type="text", text="no such city")], is_error=True)

    assert mcp_integration.instrument(server, sidecar) == 2

    async def main() -> list[bool]:
        async with Client(server) as client:
            answers = [await client.call_tool(name, {"city": "Oslo"}) for name in ("forecast", "climate")]
            return [bool(answer.is_error) for answer in answers]

    assert asyncio.run(main()) == [False, True]
    assert sidecar.flush()
    assert outbox.calls(plugin_id="weather", plugin_version="3.1", plugin_operation="forecast") == 1
    assert outbox.calls(plugin_operation="climate", plugin_outcome="error", error_type="failed_result") == 1


# -- commands -----------------------------------------------------------------------------------------------------------


def test_a_command_is_observed_traced_and_killed_at_its_deadline(sidecar: Sidecar, outbox: Any) -> None:
    upper = command(sidecar, ["tr", "a-z"], plugin="tr", version="9", timeout=20.0)
    assert upper("A-Z", input=b"hello").stdout == b"HELLO"
    assert command(sidecar, ["false"], plugin="f", version="1")().returncode == 1
    tells = command(sidecar, ["printenv", "TRACEPARENT"], plugin="env", version="1")
    header = tells().stdout.decode().strip()
    sleeps = command(sidecar, ["sh", "-c", "sleep 60 & wait"], plugin="sleep", version="1", timeout=0.2)
    with pytest.raises(DeadlineExceeded):
        sleeps()
    with pytest.raises(FileNotFoundError):
        command(sidecar, ["/no/such/program"], plugin="none", version="1")()
    assert sidecar.flush()
    (span,) = (span for span in outbox.spans_sent if span.attributes["plugin.id"] == "env")
    assert header == f"00-{span.trace_id}-{span.span_id}-01"
    assert outbox.calls(plugin_id="f", plugin_outcome="error") == 1
    assert outbox.calls(plugin_id="sleep", plugin_outcome="timeout") == 1


# -- hosts with an OpenTelemetry SDK of their own -------------------------------------------------------------------------


def test_a_hosts_own_exporters_are_given_the_sdks_own_spans() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("host")
    sidecar = Sidecar(service="host", span_exporter=exporter, trace_ratio=1.0)

    def work(fail: bool) -> None:
        trace.get_current_span().set_attribute("rows", 3)
        with tracer.start_as_current_span("inside"):
            if fail:
                raise ValueError("no")

    wrapped = sidecar.wrap(work, plugin="csv", version="1", operation="export")
    with tracer.start_as_current_span("outside"):
        wrapped(False)
    with pytest.raises(ValueError):
        wrapped(True)
    assert sidecar.close(timeout=5)
    spans = exporter.get_finished_spans()
    (good,) = (span for span in spans if span.name == "csv export" and span.status.is_ok)
    (bad,) = (span for span in spans if span.name == "csv export" and not span.status.is_ok)
    (outside,) = (span for span in spans if span.name == "outside")
    assert good.attributes is not None
    assert good.attributes["rows"] == 3
    assert good.parent is not None
    assert good.parent.span_id == outside.context.span_id  # type: ignore[union-attr]
    assert bad.events[0].name == "exception"
    assert {span.parent.span_id for span in spans if span.name == "inside" and span.parent} == {
        good.context.span_id,  # type: ignore[union-attr]
        bad.context.span_id,  # type: ignore[union-attr]
    }
