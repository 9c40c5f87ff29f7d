"""A server of the package FastMCP, asked over standard input and output."""

from __future__ import annotations

from tests.hosts.row import Row

__all__ = ["ROW"]

SERVER = """
import os
from fastmcp import FastMCP
from tally import tally

server = FastMCP("weather", version="3.1")

@server.tool
def forecast(city: str, days: int = 1) -> str:
    tally("forecast")
    if city == "nowhere":
        raise ValueError("no such place")
    return f"rain in {city} for {days}"

@server.tool
async def climate(city: str) -> str:
    tally("climate")
    return f"mild in {city}"

if os.environ.get("HOST_OBSERVED"):
    from plugwarden import Sidecar
    from plugwarden.integrations import mcp

    mcp.instrument(server, Sidecar(breakers=False))
if __name__ == "__main__":
    server.run(show_banner=False)
"""
CLIENT = """
import asyncio, os, sys
from fastmcp import Client
from fastmcp.client.transports import PythonStdioTransport

async def main():
    transport = PythonStdioTransport("server.py", python_cmd=sys.executable, env=dict(os.environ), keep_alive=False)
    async with Client(transport) as client:
        print(sorted(tool.name for tool in await client.list_tools()))
        for number in range(20):
            for name, arguments in (
                ("forecast", {"city": f"c{number}", "days": number}),
                ("climate", {"city": f"c{number}"}),
                ("forecast", {"city": "nowhere" if number < 3 else "Oslo"}),
            ):
                answer = await client.call_tool(name, arguments, raise_on_error=False)
                print(name, answer.is_error, answer.content[0].text)

asyncio.run(main())
"""

ROW = Row(
    name="fastmcp",
    requires=("fastmcp==4.2.3",),
    packages=("fastmcp",),
    files={"server.py": SERVER, "client.py": CLIENT},
    command=("python", "client.py"),
    plugins=frozenset({"weather"}),
    varies=(
        r"(?m)^ +",
        r"(?m) +$",
        r"\[\d\d/\d\d/\d\d [\d:]+\]",
    ),
)
