"""Plugins that a worker process has to hold: some well behaved, most of them not."""

from __future__ import annotations

import asyncio
import ctypes
import dataclasses
import enum
import gc
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import pydantic


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Odd:
    pass


@dataclasses.dataclass
class Made:
    size: dataclasses.InitVar[int]


class Pair(NamedTuple):
    first: int
    second: str


class Colour(enum.Enum):
    RED = "#f00"


class Price:
    """What no one but its codec can make."""

    def __init__(self, cents: int) -> None:
        self._cents = cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Price) and other._cents == self._cents

    __hash__ = None  # type: ignore[assignment]


def price_out(price: Price) -> int:
    return price._cents


def price_in(cents: object) -> Price:
    if type(cents) is not int:
        raise TypeError("a price in cents")
    return Price(cents)


class Order(pydantic.BaseModel):
    number: int
    places: list[str]


class Renamed(pydantic.BaseModel):
    number: int = pydantic.Field(alias="nr")


class OwnError(Exception):
    def __init__(self, word: str, number: int) -> None:
        super().__init__(word, number)

    def __str__(self) -> str:
        return ", ".join(map(str, self.args))


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


def pair() -> Pair:
    return Pair(1, "two")


def colour() -> Colour:
    return Colour.RED


def price() -> Price:
    return Price(5)


def order() -> Order:
    return Order(number=7, places=["a", "b"])


def lying_order() -> Order:
    return Order.model_construct(number="many", places=3)  # type: ignore[arg-type]


def fail_in_own_way() -> None:
    raise OwnError("mine", 3)


_SETS_AN_ATTRIBUTE = b"\x80\x04cpathlib\nPurePath\nN}\x8c\x04_str\x8c\x04evils\x86b."
"""Unpickled, however few classes are allowed, it makes every path of the process read `evil`."""
HOSTILE_FRAMES = {
    "a pickle": [_SETS_AN_ATTRIBUTE],
    "a pickle after a header": [None, _SETS_AN_ATTRIBUTE],
    "a text where a number is told": [bytes((9, 1, 0, 0, 0, 6, 1, 0, 0, 0, 65))],
}
"""Name -> frames that a worker sends in the place of its own; None: the header of a result, as it should be."""


def send_anything(name: str) -> None:
    """Takes the connection of its process and answers for it."""
    frames: Any = HOSTILE_FRAMES[name]
    main: Any = sys.modules["__main__"]
    (calls,) = (one for one in gc.get_objects() if type(one) is socket.socket)
    for frame in frames:
        main._send(calls, main.Encoder().encode(("result", 0.0, 1, 0, "")) if frame is None else frame)
    time.sleep(60)


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


def reach(places: dict[str, Any]) -> dict[str, str]:
    """Tries all the ways to somebody else: `reached`, or the error's name."""

    def stream(family: int, address: Any) -> None:
        with socket.socket(family, socket.SOCK_STREAM) as made:
            made.settimeout(2)
            made.connect(address)

    def send(family: int, address: Any) -> None:
        with socket.socket(family, socket.SOCK_DGRAM) as made:
            made.sendto(b"x", address)

    def pair() -> None:
        made, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        made.sendto(b"x", places["datagrams"])

    def program() -> None:
        port = places["udp"]
        code = f"import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'', ('127.0.0.1', {port}))"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr
        if told:
            raise PermissionError if "PermissionError" in told else OSError(told)

    ways = {
        "tcp": lambda: stream(socket.AF_INET, ("127.0.0.1", places["tcp"])),
        "udp": lambda: send(socket.AF_INET, ("127.0.0.1", places["udp"])),
        "path": lambda: stream(socket.AF_UNIX, places["path"]),
        "abstract": lambda: stream(socket.AF_UNIX, places["abstract"]),
        "unix datagrams": lambda: send(socket.AF_UNIX, places["datagrams"]),
        "a pair of datagram sockets": pair,
        "a program's udp": program,
        "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close(),
        "packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
    }
    told = {}
    for name, way in ways.items():
        try:
            way()
            told[name] = "reached"
        except OSError as error:
            told[name] = type(error).__name__
    return told


def do_ordinary_things() -> list[str]:
    """What plugins do that have no need of a network."""
    done = [asyncio.run(asyncio.sleep(0.01, "slept"))]
    thread = threading.Thread(target=done.append, args=("threaded",))
    thread.start()
    thread.join()
    done.append(subprocess.run(["echo", "ran"], capture_output=True, text=True, check=True).stdout.strip())
    if (pid := os.fork()) == 0:
        os._exit(5)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5:
        done.append("forked")
    one, other = socket.socketpair()
    one.sendall(b"paired")
    return [*done, other.recv(10).decode()]


def try_system_calls(numbers: dict[str, int]) -> dict[str, int]:
    """Name -> errno, of calls with arguments that would do nothing."""
    libc, told = ctypes.CDLL(None, use_errno=True), {}
    for name, number in numbers.items():
        ctypes.set_errno(0)
        libc.syscall(number, -1, -1, -1, -1, -1, -1)
        told[name] = ctypes.get_errno()
    return told


def environment() -> dict[str, str]:
    return dict(os.environ)


def traceparent_of_a_child() -> str:
    return subprocess.run(["printenv", "TRACEPARENT"], capture_output=True, text=True, check=True).stdout.strip()


def burn(seconds: float) -> int:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
    return os.getpid()
