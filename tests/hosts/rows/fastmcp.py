"""A server of the package FastMCP, asked over standard input and output."""

from __future__ import annotations

from tests.hosts.row import Row

from .mcp import WEATHER

__all__ = ["ROW"]

SERVER = WEATHER.substitute(module="fastmcp", kind="FastMCP", called="", run="show_banner=False")
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
        # Before the blanks: the second of a line is left out where it is that of the line before.
        r"\[\d\d/\d\d/\d\d [\d:]+\]",
        r"(?m)^ +",
        r"(?m) +$",
    ),
)
