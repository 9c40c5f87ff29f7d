"""Frames as a worker process under a plugin's hands might send them; for tests/sidecar/runners/test_decode.py and benchmarks/fuzz.py."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable
from random import Random
from typing import Any

from plugwarden.codec import Carrier
from plugwarden.runners.child.encode import Encoder
from plugwarden.runners.child.tags import LENGTH, Tag
from plugwarden.runners.child.wire import UnsafeResult, loads_untrusted

from tests.sidecar.support import worker_plugins as plugins

__all__ = ["MAX_MS", "HostState", "attempt", "frame"]

MAX_MS = 50.0
"""Of CPU, for one frame of up to 64 KiB."""
_TAGS = tuple(value for name, value in vars(Tag).items() if name.isupper())
_CONTAINERS = (Tag.LIST, Tag.TUPLE, Tag.DICT, Tag.SET, Tag.FROZENSET, Tag.ORDERED, Tag.COUNTER, Tag.DEQUE, Tag.OBJECT)
_DECLARED = tuple(map(Carrier.of, (plugins.Point, plugins.Pair, plugins.Colour, plugins.Order)))
_NAMES = [(one.kind.__module__, one.kind.__qualname__, one.how) for one in _DECLARED]
_MAKERS = [one.make for one in _DECLARED]
_PICKLE = b"\x80\x04cpathlib\nPurePath\nN}\x8c\x04_str\x8c\x04evils\x86b."


class HostState:
    """What all classes and modules of the process hold, by identity."""

    def __init__(self) -> None:
        for kind in _classes():
            if "__dataclass_fields__" in _vars_of(kind) and _told(kind, "__module__").startswith("plugwarden."):
                dataclasses.fields(kind)  # ours make them for who asks first
        self._classes = [(kind, dict(_vars_of(kind))) for kind in _classes()]
        self._names = frozenset(sys.modules)
        self._modules = {
            name: dict(vars(module))
            for name, module in sys.modules.items()
            if hasattr(module, "__dict__") and not name.startswith("hypothesis")  # it times collections of garbage
        }

    def changes(self) -> list[str]:
        """What is another object now, or is gone, or is new: `module.Class.attribute`."""
        found = [
            f"{_told(kind, '__module__')}.{_told(kind, '__qualname__')}.{name}"
            for kind, before in self._classes
            for name in _differing(before, _vars_of(kind))
        ]
        for name, before in self._modules.items():
            if name in sys.modules:
                found += [f"{name}.{other}" for other in _differing(before, vars(sys.modules[name]))]
        return found + [f"module {name}" for name in sys.modules if name not in self._names]


# A class of another test may answer nothing about itself, so none is asked.
_vars_of = type.__dict__["__dict__"].__get__
_told = type.__getattribute__


def _classes() -> list[type]:
    found: dict[int, type] = {}
    left: list[type] = [object]
    while left:
        for kind in type.__subclasses__(left.pop()):
            if id(kind) not in found:
                found[id(kind)] = kind
                left.append(kind)
    return list(found.values())


_MISSING = object()
_OF_PYTHON = frozenset({"__abstractmethods__", "_abc_impl", "__warningregistry__", "_", "last_exc", "last_value"})


def _differing(before: Any, now: Any) -> list[str]:
    return [
        str(name) for name in {*before, *now} - _OF_PYTHON if before.get(name, _MISSING) is not now.get(name, _MISSING)
    ]


def attempt(data: bytes) -> str:
    """`value` or `refused`; anything else is a finding: an exception of another kind, or how long it took."""
    took_ms = MAX_MS + 1
    for _ in range(3):  # a pause of the machine's, or a collection of garbage, does not come three times
        if took_ms <= MAX_MS:
            break
        began = time.thread_time()
        try:
            loads_untrusted(data, _MAKERS)
            told = "value"
        except UnsafeResult:
            told = "refused"
        except BaseException as error:  # it is what is looked for
            return f"raised {type(error).__name__}"
        took_ms = (time.thread_time() - began) * 1000
    return told if took_ms <= MAX_MS else f"took {took_ms:.0f} ms"


def frame(random: Random) -> bytes:
    """One frame: a value, a value that was damaged, or one built to hurt."""
    return random.choice(_KINDS)(random)


def _value(random: Random, depth: int = 0) -> Any:
    kind = random.randrange(22 if depth < 4 else 12)
    if kind >= 12:
        items = [_value(random, depth + 1) for _ in range(random.choice((0, 1, 2, 5, 9)))]
        if kind < 16:
            return items
        if kind < 18:
            return tuple(items)
        keys = [_scalar(random, random.randrange(12)) for _ in items]
        return dict(zip(keys, items, strict=True)) if kind < 21 else set(keys)
    return _scalar(random, kind)


def _scalar(random: Random, kind: int) -> Any:
    made: Any = (
        None, True, random.getrandbits(64) - (1 << 63), random.getrandbits(300), random.random(), "text", "ü" * 9, b"bytes",
        plugins.Pair(1, "x"), plugins.Colour.RED, (1, "x"), 2.0**random.randrange(60),
    )  # fmt: skip
    return made[kind]


def _encoded(random: Random) -> bytes:
    return Encoder(_NAMES).encode(_value(random))


def _damaged(random: Random) -> bytes:
    data = bytearray(_encoded(random))
    for _ in range(random.choice((1, 1, 2, 5))):
        how, at = random.randrange(5), random.randrange(len(data) + 1)
        if how == 0:
            data[at : at + random.randrange(9)] = b""
        elif how == 1:
            data[at:at] = random.randbytes(random.randrange(9))
        elif how == 2 and at < len(data):
            data[at] ^= 1 << random.randrange(8)
        elif how == 3 and at < len(data):
            data[at] = random.choice(_TAGS)
        else:
            data[at : at + 4] = LENGTH.pack(random.choice((0, 1, 255, 1 << 16, 1 << 24, (1 << 32) - 1)))
    return bytes(data)


def _tags(random: Random) -> bytes:
    """Tags with plausible counts behind them, and whatever follows."""
    out = bytearray()
    for _ in range(random.randrange(1, 40)):
        out.append(random.choice(_TAGS))
        out += random.choice((LENGTH.pack(random.randrange(4)), random.randbytes(random.randrange(17)), b""))
    return bytes(out)


def _nested(random: Random) -> bytes:
    deep = random.choice((10, 64, 127, 128, 129, 1_000, 10_000))
    tags = [random.choice(_CONTAINERS) for _ in range(min(deep, 7))]
    return b"".join(bytes((tags[level % len(tags)],)) + LENGTH.pack(1) for level in range(deep)) + b"\0"


def _colliding(random: Random) -> bytes:
    count = random.choice((50, 200, 1_000, 4_000))
    step, shift = random.choice(((sys.hash_info.modulus, 0), (1, 44), (1, 50), (1, 56)))
    encode = Encoder().encode
    keys = [1 + number * step << shift for number in range(count)]
    wrapped: Callable[[int], Any] = random.choice((lambda key: key, lambda key: (key,), lambda key: (key, 1)))
    parts = b"".join(encode(wrapped(key)) for key in keys)
    tag = random.choice((Tag.DICT, Tag.SET, Tag.FROZENSET, Tag.ORDERED, Tag.COUNTER))
    values = b"" if tag in (Tag.SET, Tag.FROZENSET) else b"\0" * count
    return bytes((tag,)) + LENGTH.pack(count) + parts + values


def _many(random: Random) -> bytes:
    """As many as possible of something small."""
    one = random.choice(
        (
            b"\0",
            bytes((Tag.LIST,)) + LENGTH.pack(0),
            bytes((Tag.SET,)) + LENGTH.pack(0),
            bytes((Tag.TEXT,)) + LENGTH.pack(0),
        )
    )
    count = random.choice((100, 2_000, 60_000 // len(one)))
    return bytes((Tag.LIST,)) + LENGTH.pack(count) + one * count


def _large_numbers(random: Random) -> bytes:
    part = bytes((Tag.BIG,)) + LENGTH.pack(size := random.choice((9, 1_000, 1_025, 20_000))) + random.randbytes(size)
    tag, count = random.choice(((Tag.FRACTION, 2), (Tag.RANGE, 3), (Tag.SLICE, 3), (Tag.SET, 1), (Tag.TUPLE, 3)))
    return bytes((tag,)) + LENGTH.pack(count) + part * count


_KINDS: tuple[Callable[[Random], bytes], ...] = (
    *[_encoded] * 20, *[_damaged] * 60, *[_tags] * 30, *[lambda random: random.randbytes(random.randrange(60))] * 20,
    *[lambda random: _PICKLE + random.randbytes(3)] * 5, *[_nested] * 4, _colliding, _many, _large_numbers,
)  # fmt: skip
