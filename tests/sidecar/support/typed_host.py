"""A host as an editor sees it, read by test_terms.py and never run: a line that says `wrong` is one that a type checker refuses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar, Unpack, assert_type

from plugwarden import BreakerPolicy, LastGood, Sidecar, Terms
from plugwarden.contract import Criticality
from plugwarden.testing import recording

F = TypeVar("F", bound=Callable[..., object])

sidecar = Sidecar("order-flow", trace_ratio=0.5, state_dir=Path("state"), protocol="grpc", loop_lag_seconds=None)
Sidecar(service="order-flow", collector_url=None, resource={"team": "orders"}, redact=str.upper)
Sidecar("order-flow", trace_ration=0.5)  # wrong: call-arg
Sidecar("order-flow", trace_ratio="a tenth")  # wrong: arg-type
Sidecar("order-flow", protocol="http")  # wrong: arg-type


@sidecar.plugin("csv", version="1.4.0", timeout=2.0, breaker=BreakerPolicy(), criticality="high", runner="thread")
def export(rows: list[str]) -> bytes:
    return b"".join(row.encode() for row in rows)


@sidecar.plugin("csv", version="1.4.0", timeuot=2.0)  # wrong: call-arg
def misspelt(rows: list[str]) -> bytes:
    return export(rows)


async def later(number: int) -> str:
    return str(number)


assert_type(export(["a"]), bytes)
wrapped = sidecar.wrap(
    later, plugin="geo", version="2", fallback=LastGood(60), caller_errors=[KeyError, "shop.NoSuchOrder"], rate=5
)
promised: Awaitable[str] = wrapped(1)
sidecar.wrap(later, plugin="geo", version="2", criticality=Criticality.LOW, downstream_errors=OSError, bulkhead=3)
sidecar.wrap(later, plugin="geo", version="2", runner="threads")  # wrong: arg-type
sidecar.wrap(later, plugin="geo", version="2", timeout="2 s")  # wrong: arg-type
sidecar.wrap(later, plugin="geo", version=2)  # wrong: arg-type
sidecar.wrap(later, plugin="geo")  # wrong: call-arg
export([1])  # wrong: list-item

with sidecar.invocation("geo", version="2", operation="warm-up"):
    pass
with sidecar.invocation("geo", version="2", operation="warm-up", timeout=1):  # wrong: call-arg
    pass


def observed(function: F, **terms: Unpack[Terms]) -> F:
    sidecar.wrap(function, plugin="geo", version="2", **terms)
    return function


observed(later, owner="geo team", concurrency=4)
observed(later, ownr="geo team")  # wrong: call-arg

with recording(seed=1, breakers=False) as recorder:
    recorder.sidecar.declare("plugin.toml").operation("export", workers=2)
with recording(seeds=1):  # wrong: call-arg
    pass
