"""Plugins that a worker process has to hold: some well behaved, most of them not."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import socket
import subprocess
import sys
import time
from pathlib import Path


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Odd:
    pass


def add(first: int, second: int = 1) -> int:
    return first + second


async def add_later(first: int, seconds: float) -> int:
    await asyncio.sleep(seconds)
    return first + 1


def echo(value: object) -> object:
    return value


def spin() -> None:
    while True:
        pass


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def allocate() -> None:
    held = []
    while True:
        held.append(bytearray(1 << 20))


def fork_away(marker: str) -> None:
    """Leaves processes behind that detach themselves, as a daemon would."""
    for _ in range(3):
        if os.fork() == 0:
            try:
                os.setsid()
            except OSError:
                pass
            if os.fork() == 0:
                while True:
                    time.sleep(0.05)
                    with Path(marker).open("a") as file:
                        file.write(".")
            os._exit(0)
    time.sleep(600)


def exit_now(code: int) -> None:
    os._exit(code)


def exit_politely() -> None:
    sys.exit(4)


def fail() -> None:
    raise LookupError("nothing there", 3)


def odd() -> Odd:
    return Odd()


def point() -> Point:
    return Point(1, 2)


def evil() -> object:
    """A result that would run code in whoever unpickles it carelessly."""

    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (os.system, ("touch /tmp/plugwarden-bomb",))

    return Bomb()


def large(size: int) -> bytes:
    return b"x" * size


def read(path: str) -> str:
    return Path(path).read_text()


def write(path: str) -> int:
    return Path(path).write_text("hello")


def connect(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), 2):
        return "connected"


def environment() -> dict[str, str]:
    return dict(os.environ)


def traceparent_of_a_child() -> str:
    return subprocess.run(["printenv", "TRACEPARENT"], capture_output=True, text=True, check=True).stdout.strip()


def burn(seconds: float) -> int:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
    return os.getpid()
