"""What it costs to decode a request, by the ways there are: in C or in general, one by one or 32 at once.

The requests are those that a sidecar of 50 plugins sends every five seconds, its metrics and a selection of its spans, from
200 sidecars; and one of 2,000 spans. Ways take turns, so that all of them see the same machine; medians, and ratios of them.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from load.captured import INSTANCE, capture
from load.machine import load_average
from load.span_requests import SPANS, make_requests
from plugwarden_collector.receive.decode.batch import Signal
from plugwarden_collector.receive.decode.fast import read_plain
from plugwarden_collector.receive.decode.identity import DEFAULT_IDENTITY
from plugwarden_collector.receive.decode.metrics import read_many_metrics, read_metrics
from plugwarden_collector.receive.decode.native import available
from plugwarden_collector.receive.decode.requests import parse
from plugwarden_collector.receive.decode.schema import narrow_request
from plugwarden_collector.receive.decode.spans import read_spans
from ptars import HandlerPool

SIDECARS = 200
TOGETHER = 32
_READERS = {Signal.TRACES: read_spans, Signal.METRICS: read_metrics}
_HANDLERS = {
    signal: HandlerPool([narrow_request(signal).file]).get_for_message(narrow_request(signal)) for signal in _READERS
}
Way = Callable[[Sequence[bytes]], Any]


def ways(signal: Signal) -> dict[str, Way]:
    """How 32 requests can be decoded."""
    now = time.time_ns()

    def one_by_one(bodies: Sequence[bytes]) -> None:
        for body in bodies:
            _READERS[signal](parse(signal, body), DEFAULT_IDENTITY, now)

    def general_at_once(bodies: Sequence[bytes]) -> None:
        if not read_many_metrics(_HANDLERS[signal].list_to_record_batch(list(bodies)), DEFAULT_IDENTITY, now):
            raise SystemExit("refused")

    def fast_one_by_one(bodies: Sequence[bytes]) -> None:
        for body in bodies:
            if read_plain(signal, [body], DEFAULT_IDENTITY, now) is None:
                raise SystemExit("not taken")

    def fast_at_once(bodies: Sequence[bytes]) -> None:
        if read_plain(signal, bodies, DEFAULT_IDENTITY, now) is None:
            raise SystemExit("not taken")

    def bare(bodies: Sequence[bytes]) -> None:
        for body in bodies:
            parse(signal, body)

    found: dict[str, Way] = {"in general, one by one": one_by_one}
    if signal is Signal.METRICS:
        found["in general, at once"] = general_at_once
    if available():
        found |= {"in C, one by one": fast_one_by_one, "in C, at once": fast_at_once}
    return found | {"ptars alone, one by one": bare}


def measured(signal: Signal, bodies: Sequence[bytes], together: int, rounds: int) -> dict[str, float]:
    """Milliseconds a request, by way."""
    chance, found = random.Random(1), {name: list[float]() for name in ways(signal)}
    for _ in range(rounds):
        chosen = chance.sample(bodies, together)  # those that come together are never the same
        for name, decode in ways(signal).items():
            started = time.perf_counter()
            decode(chosen)
            found[name].append((time.perf_counter() - started) / together * 1e3)
    return {name: statistics.median(times) for name, times in found.items()}


def requests() -> dict[str, tuple[Signal, list[bytes], int]]:
    """What is decoded: signal, bodies and how many at once."""
    interval = capture(50, 10)[1]
    found = {}
    for signal in (Signal.METRICS, Signal.TRACES):
        request, items = interval.requests[signal.value], interval.items[signal.value]
        bodies = [
            bytes(
                request.renamed({INSTANCE.encode(): f"sidecar-{number:04d}".encode()}).stamp(
                    time.time_ns() - interval.ended_ns, number + 1
                )
            )
            for number in range(SIDECARS)
        ]
        unit = "points" if signal is Signal.METRICS else "spans"
        found[f"{items} {unit}, {len(bodies[0]) / 1e3:.0f} kB"] = signal, bodies, TOGETHER
    large, _ = make_requests(8, lambda place: ("load", f"plugin-{place // 20 % 10}", "1.0.0", f"op {place % 20}"))
    found[f"{SPANS} spans, {len(large[0]) / 1e3:.0f} kB"] = (
        Signal.TRACES,
        [bytes(request.stamp(0, 0)) for request in large],
        4,
    )
    return found


def main() -> None:
    """Print the tables; `--json` for programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {
        name: measured(signal, bodies, together, options.rounds)
        for name, (signal, bodies, together) in requests().items()
    }
    if options.json:
        print(json.dumps(found | {"load_average": load_average()}))
        return
    for name, times in found.items():
        print(f"{name} a request")
        slowest = next(iter(times.values()))
        for way, each in times.items():
            print(f"  {way:<26}{each:9.3f} ms{each / slowest:8.3f}")
    print(f"\nload average {load_average():.1f}")


if __name__ == "__main__":
    main()
