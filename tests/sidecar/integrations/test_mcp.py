"""Against the real SDKs: MCPServer and the low-level server, FastMCP of the SDK before 2.0, and the package FastMCP."""

from __future__ import annotations

import asyncio
import importlib.metadata
from importlib.util import find_spec
from typing import Any

import pytest
from plugwarden import ConfigurationError, Sidecar
from plugwarden.contract import BreakerState
from plugwarden.integrations.mcp import MAX_TOOLS, instrument

from tests.sidecar.support.counted_outcomes import CALLER, PLUGIN, outcomes
from tests.sidecar.support.isolation import isolate

SDK = importlib.metadata.version("mcp") if find_spec("mcp") else ""
before_2 = pytest.mark.skipif(not SDK.startswith("1."), reason="the MCP SDK before 2.0 is not installed")
sdk_2 = pytest.mark.skipif(not SDK.startswith("2."), reason="the MCP SDK 2 is not installed")
package = pytest.mark.skipif(find_spec("fastmcp") is None, reason="fastmcp is not installed")
TRACE = "0af7651916cd43dd8448eb211c80319c"
META = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
GOOD = ("success", "")


def forecast(city: str, days: int = 1) -> str:
    if city == "nowhere":
        raise ValueError("no data")
    return f"rain in {city}"


async def climate(city: str) -> str:
    return f"mild in {city}"


def told(answer: Any) -> tuple[bool, str]:
    """Whether a result is an error, and its text."""
    failed = getattr(answer, "is_error", None)
    return bool(answer.isError if failed is None else failed), str(answer.content[0].text)


def check(sidecar: Sidecar, outbox: Any, ask: Any, plugin: str = "weather") -> None:
    """The same of every kind of server that has `forecast` and `climate`; `ask(tool, arguments, meta)` calls it."""
    assert ask("forecast", {"city": "Oslo"}, META) == (False, "rain in Oslo")
    assert ask("climate", {"city": "Oslo"}, META) == (False, "mild in Oslo")
    assert ask("forecast", {"city": "nowhere"}, None)[0]
    for _ in range(30):
        assert ask("forecast", {"city": "Oslo", "days": "many"}, None)[0]
    breaker = sidecar.breaker(plugin, "3.1", "forecast")
    assert breaker is not None
    assert breaker.state is BreakerState.CLOSED
    assert ask("forecast", {"city": "Oslo"}, None) == (False, "rain in Oslo")
    found = outcomes(sidecar, "forecast")
    assert (found[GOOD], found[PLUGIN]) == (2, 1)
    assert set(found) <= {GOOD, PLUGIN, CALLER}
    isolate(sidecar, plugin)
    failed, text = ask("climate", {"city": "Oslo"}, None)
    assert failed
    assert "not available: quarantined" in text
    assert sidecar.flush()
    spans = [span for span in outbox.spans_sent if span.trace_id == TRACE]
    assert sorted(span.attributes["plugin.operation"] for span in spans) == ["climate", "forecast"]
    assert {span.parent_id for span in spans} == {"b7ad6b7169203331"}


# -- the SDK, 2.x ---------------------------------------------------------------------------------------------------------


def ask_2(server: Any) -> Any:
    from mcp import Client
    from mcp.shared.exceptions import MCPError

    def ask(tool: str, arguments: dict[str, Any], meta: Any) -> tuple[bool, str]:
        async def main() -> tuple[bool, str]:
            async with Client(server) as client:
                try:
                    return told(await client.call_tool(tool, arguments, meta=meta))
                except MCPError as error:
                    return True, str(error)

        return asyncio.run(main())

    return ask


@sdk_2
def test_the_tools_of_an_mcp_server_are_observed_those_added_later_too(sidecar: Sidecar, outbox: Any) -> None:
    from mcp.server.mcpserver import MCPServer

    server: Any = MCPServer("weather", version="3.1")
    server.tool()(forecast)
    assert instrument(server, sidecar) == 1
    assert instrument(server, sidecar) == 0
    server.tool()(climate)
    check(sidecar, outbox, ask_2(server))


@sdk_2
def test_the_tools_of_a_low_level_server_are_observed(sidecar: Sidecar, outbox: Any) -> None:
    from mcp import types
    from mcp.server.lowlevel import Server
    from mcp.shared.exceptions import MCPError

    async def tools(context: Any, params: Any) -> Any:
        return types.ListToolsResult(
            tools=[types.Tool(name=name, input_schema={"type": "object"}) for name in ("forecast", "climate")]
        )

    async def call(context: Any, params: Any) -> Any:
        arguments = params.arguments or {}
        if params.name not in {"forecast", "climate"}:
            raise ValueError(f"unknown tool {params.name}")
        if not isinstance(arguments.get("days", 1), int):
            raise MCPError(-32602, "days: not a number")
        if arguments["city"] == "nowhere":
            return types.CallToolResult(content=[types.TextContent(type="text", text="no data")], is_error=True)
        says = "rain" if params.name == "forecast" else "mild"
        return types.CallToolResult(content=[types.TextContent(type="text", text=f"{says} in {arguments['city']}")])

    server: Any = Server("weather", version="3.1", on_call_tool=call, on_list_tools=tools)
    del server.middleware[:]  # a host may have taken out the SDK's own reading of `_meta.traceparent`
    instrument(server, sidecar)
    assert instrument(server, sidecar) == 0
    ask = ask_2(server)

    from mcp import Client

    async def listed() -> None:
        async with Client(server) as client:
            await client.list_tools()

    asyncio.run(listed())
    check(sidecar, outbox, ask)
    for number in range(5):
        assert ask(f"invented{number}", {}, None)[0]
    assert outcomes(sidecar, "_OTHER") == {("rejected", ""): 5}


@sdk_2
def test_names_of_tools_that_callers_invent_are_few_operations(sidecar: Sidecar) -> None:
    from mcp import types
    from mcp.server.lowlevel import Server

    async def call(context: Any, params: Any) -> Any:
        return types.CallToolResult(content=[])

    server: Any = Server("any", on_call_tool=call)
    instrument(server, sidecar)
    handler = server.get_request_handler("tools/call").handler

    async def main() -> None:
        for number in range(MAX_TOOLS + 50):
            params = types.CallToolRequestParams(name=f"tool{number}")
            await handler(type("Context", (), {"meta": None})(), params)

    asyncio.run(main())
    assert len(sidecar.operations) == MAX_TOOLS + 1
    assert outcomes(sidecar, "_OTHER") == {GOOD: 50}


def test_what_is_no_server_is_named(sidecar: Sidecar) -> None:
    with pytest.raises(ConfigurationError, match="no MCP server that is known"):
        instrument(object(), sidecar)


# -- the SDK before 2.0 -----------------------------------------------------------------------------------------------------


def ask_1(server: Any) -> Any:
    from mcp.shared.memory import create_connected_server_and_client_session  # type: ignore[attr-defined]

    def ask(tool: str, arguments: dict[str, Any], meta: Any) -> tuple[bool, str]:
        async def main() -> tuple[bool, str]:
            async with create_connected_server_and_client_session(server) as client:
                return told(await client.call_tool(tool, arguments, meta=meta))

        return asyncio.run(main())

    return ask


@before_2
def test_the_tools_of_the_sdks_fastmcp_are_observed(sidecar: Sidecar, outbox: Any) -> None:
    from mcp.server.fastmcp import FastMCP  # type: ignore[attr-defined]

    server = FastMCP("weather")
    server._mcp_server.version = "3.1"  # type: ignore[attr-defined]
    server.tool()(forecast)
    assert instrument(server, sidecar, describe=lambda tool: ("weather", "3.1")) == 1
    server.tool()(climate)
    check(sidecar, outbox, ask_1(server))


@before_2
def test_the_tools_of_the_earlier_low_level_server_are_observed(sidecar: Sidecar, outbox: Any) -> None:
    from mcp import types
    from mcp.server.lowlevel import Server

    server: Any = Server("weather", version="3.1")
    schema = {"type": "object", "properties": {"days": {"type": "integer"}}}

    @server.list_tools()  # type: ignore[untyped-decorator]
    async def tools() -> list[Any]:
        return [types.Tool(name=name, inputSchema=schema) for name in ("forecast", "climate")]  # type: ignore[call-arg]

    @server.call_tool()  # type: ignore[untyped-decorator]
    async def call(name: str, arguments: dict[str, Any]) -> list[Any]:
        text = forecast(**arguments) if name == "forecast" else await climate(**arguments)
        return [types.TextContent(type="text", text=text)]

    instrument(server, sidecar)
    check(sidecar, outbox, ask_1(server))
    assert outcomes(sidecar, "forecast")[CALLER] == 30


# -- the package FastMCP --------------------------------------------------------------------------------------------------


@package
def test_the_tools_of_the_package_fastmcp_are_observed(sidecar: Sidecar, outbox: Any) -> None:
    from fastmcp import Client, FastMCP  # type: ignore[import-not-found]

    server = FastMCP("weather", version="3.1")
    server.tool(forecast)
    instrument(server, sidecar)
    assert instrument(server, sidecar) == 0
    server.tool(climate)

    def ask(tool: str, arguments: dict[str, Any], meta: Any) -> tuple[bool, str]:
        async def main() -> tuple[bool, str]:
            async with Client(server) as client:
                return told(await client.call_tool(tool, arguments, meta=meta, raise_on_error=False))

        return asyncio.run(main())

    check(sidecar, outbox, ask)
    assert outcomes(sidecar, "forecast")[CALLER] == 30
