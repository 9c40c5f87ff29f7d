"""A host's module: names bound to wrapped functions, as README writes them. No annotations are evaluated here."""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from plugwarden import Sidecar

sidecar = Sidecar(service="callables", span_exporter=InMemorySpanExporter())


def lookup(point: tuple[float, float], radius: int = 2, *, exact: bool = False) -> list[float]:
    """Looks up."""
    return [*point, radius, exact]


def warn() -> None:
    warnings.warn("old", DeprecationWarning, stacklevel=2)
    logging.getLogger("callables").warning("said", stacklevel=2)


async def ask(name: str, *, twice: bool = False) -> str:
    return name


def count(upto: int) -> Iterator[int]:
    yield from range(upto)


async def stream(upto: int) -> AsyncIterator[int]:
    for number in range(upto):
        yield number


class Plugin:
    """Has methods of all sorts."""

    def own(self, n: int) -> int:
        return n


class Scorer:
    """A plugin that is an object: it is called, it learns, and others may be part of it."""

    def __init__(self, weight: int) -> None:
        self.weight = weight
        self.seen: list[int] = []
        self.parts: list[Any] = []

    def __call__(self, number: int) -> int:
        self.seen.append(number)
        return self.weight * number


def _wrap(function: Any, operation: str) -> Any:
    return sidecar.wrap(function, plugin="host", version="1", operation=operation, breaker=False)


run = _wrap(lookup, "lookup")
warned = _wrap(warn, "warn")
asked = _wrap(ask, "ask")
counted = _wrap(count, "count")
streamed = _wrap(stream, "stream")
scorer = _wrap(Scorer(2), "score")
half = _wrap(functools.partial(lookup, radius=7), "half")


@sidecar.plugin("host", version="1", operation="decorated", breaker=False)
def decorated(x: int, /, y: int = 2) -> int:
    return x + y
