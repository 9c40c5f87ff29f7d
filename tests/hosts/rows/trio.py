"""A host on trio whose nursery runs plugins side by side, and cancels some of them."""

from __future__ import annotations

from tests.hosts.row import Row

__all__ = ["ROW"]

HOST = """
import trio
from sources import fetch, lines

async def main():
    found = []

    async def one(number):
        found.append(await fetch(number))

    async with trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(one, number)
    print(sorted(found))
    with trio.move_on_after(0.05) as scope:
        await fetch(-1)
    print("cancelled", scope.cancelled_caught)
    print([line async for line in lines(20)])
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fetch, 1000)
    except* ValueError as group:
        print("failed", group.exceptions)

trio.run(main)
"""
SOURCES = """
import trio
from tally import tally

async def fetch(number):
    tally("fetch")
    if number == 1000:
        raise ValueError(number)
    await trio.sleep(60 if number < 0 else 0.001)
    return number

async def lines(count):
    tally("lines")
    for number in range(count):
        await trio.sleep(0)
        yield number
"""

ROW = Row(
    name="trio",
    requires=("trio==0.35.0",),
    packages=("trio",),
    files={"host.py": HOST, "sources.py": SOURCES},
    command=("python", "host.py"),
    plugins=frozenset({"sources"}),
    host_file='[[callable]]\ntarget = "sources:fetch"\n[[callable]]\ntarget = "sources:lines"\n',
)
