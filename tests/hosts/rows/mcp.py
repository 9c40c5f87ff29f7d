"""A server of the MCP Python SDK, asked over standard input and output by the SDK's client."""

from __future__ import annotations

from string import Template

from tests.hosts.row import Row

__all__ = ["CLIENT", "ROW", "WEATHER"]

WEATHER = Template("""
import os
from $module import $kind
from tally import tally

server = $kind("weather", version="3.1")

@server.tool$called
def forecast(city: str, days: int = 1) -> str:
    tally("forecast")
    if city == "nowhere":
        raise ValueError("no such place")
    return f"rain in {city} for {days}"

@server.tool$called
async def climate(city: str) -> str:
    tally("climate")
    return f"mild in {city}"

if os.environ.get("HOST_OBSERVED"):
    from plugwarden import Sidecar
    from plugwarden.integrations import mcp

    mcp.instrument(server, Sidecar(breakers=False))
if __name__ == "__main__":
    server.run($run)
""")
"""A server of two tools; `module` has its class, `kind`."""
CLIENT = """
import asyncio, os, sys
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

async def main():
    server = StdioServerParameters(command=sys.executable, args=["server.py"], env=dict(os.environ))
    async with stdio_client(server, errlog=open(os.devnull, "w")) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        print(sorted(tool.name for tool in (await session.list_tools()).tools))
        for number in range(20):
            for name, arguments in (
                ("forecast", {"city": f"c{number}", "days": number}),
                ("climate", {"city": f"c{number}"}),
                ("forecast", {"city": "nowhere" if number < 3 else "Oslo"}),
            ):
                answer = await session.call_tool(name, arguments)
                failed = getattr(answer, "is_error", None)
                print(name, getattr(answer, "isError", None) if failed is None else failed, answer.content[0].text)

asyncio.run(main())
"""

ROW = Row(
    name="mcp",
    requires=("mcp==2.3.0",),
    packages=("mcp",),
    files={
        "server.py": WEATHER.substitute(
            module="mcp.server.mcpserver", kind="MCPServer", called="()", run='transport="stdio"'
        ),
        "client.py": CLIENT,
    },
    command=("python", "client.py"),
    plugins=frozenset({"weather"}),
)
