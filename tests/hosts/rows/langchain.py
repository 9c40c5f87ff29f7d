"""LangChain's tools: made by the decorator, called plainly, in batches, from threads and asynchronously."""

from __future__ import annotations

from tests.hosts.row import Row

__all__ = ["ROW"]

HOST = """
import asyncio, os
from langchain_core.messages import ToolCall
from langchain_core.tools import StructuredTool, ToolException, tool
import functions

if os.environ.get("HOST_OBSERVED"):
    from plugwarden import Sidecar

    sidecar = Sidecar(breakers=False)
    for name in ("weather", "later", "broken"):
        setattr(functions, name, sidecar.wrap(getattr(functions, name), plugin="functions", version="1.0", operation=name))

weather, later = tool(functions.weather), tool(functions.later)
broken = StructuredTool.from_function(functions.broken, handle_tool_error=True)
print(weather.args, later.args, weather.description)
print([weather.invoke({"city": "Oslo", "days": number}) for number in range(50)])
print(weather.batch([{"city": f"c{number}"} for number in range(50)]))
print(weather.invoke(ToolCall(name="weather", args={"city": "Bern"}, id="1", type="tool_call")).content)
try:
    weather.invoke({"days": "many"})
except Exception as error:
    print(type(error).__name__)
print([broken.invoke({"city": "x"}) for _ in range(5)])

async def main():
    print(await asyncio.gather(*(later.ainvoke({"city": f"c{number}"}) for number in range(50))))
    print(await weather.ainvoke({"city": "Rome"}))

asyncio.run(main())
"""
FUNCTIONS = '''
import asyncio
from langchain_core.tools import ToolException
from tally import tally

def weather(city: str, days: int = 1) -> str:
    """What it will be like."""
    tally("weather")
    return f"rain in {city} for {days}"

async def later(city: str) -> str:
    """What it will be like, later."""
    tally("later")
    await asyncio.sleep(0.001)
    return f"sun in {city}"

def broken(city: str) -> str:
    """Never works."""
    tally("broken")
    raise ToolException(f"no {city}")
'''

ROW = Row(
    name="langchain",
    requires=("langchain-core==1.8.3",),
    packages=("langchain_core",),
    files={"host.py": HOST, "functions.py": FUNCTIONS},
    command=("python", "host.py"),
    plugins=frozenset({"functions"}),
)
