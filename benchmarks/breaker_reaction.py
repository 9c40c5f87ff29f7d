"""How soon a breaker sees that a plugin fails, and how often it is wrong, beside pybreaker and purgatory.

Everything is counted in calls: the breakers are given the clock (ours takes time as an argument; the others look at none
while they are closed), so a busy machine changes nothing.

1. *Reaction*: failed calls until the breaker opens, and for how long, after a healthy minute of 35 calls a second and in
   other situations. A stream that fails partly is random: the median of several.
2. *False openings*: streams of calls that fail as they ordinarily do, at 0.1, 1, 5 and 10 %, 10^7 calls each: at a thousand a
   second, and at 45 a minute, where a window holds just enough calls for its rates to be judged. Then streams whose
   failures come in runs (a chain of two states).
3. *Cost*: what a success and a failure cost the breaker alone.

`--calls N` for another number than 10^7; `--json` for programs. Exits with 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from plugwarden import BreakerPolicy
from plugwarden.contract import BreakerState
from plugwarden.gate import Breaker

PEERS = ("pybreaker", "purgatory")
TARGET_CALLS, TARGET_SECONDS = 10, 0.5
"""With its defaults it opens within ten failed calls or half a second, whichever is later."""
RATES = (0.001, 0.01, 0.05, 0.1)
CLUSTERS = ((0.001, 2.0), (0.01, 2.0), (0.01, 3.0), (0.01, 5.0))
"""Share of failed calls, mean length of a run of failures."""
LIMIT = 100_000


class Ours:
    """Our breaker, with the default policy unless another is given."""

    def __init__(self, policy: BreakerPolicy | None = None) -> None:
        self.breaker = Breaker(policy or BreakerPolicy(), spread=lambda: 0.0)

    def call(self, failed: bool, at: float) -> bool:
        """One call; False when it opened the breaker."""
        breaker = self.breaker
        if failed:
            breaker.record(True, at)
            return not breaker.refusing
        if at * 1e9 >= breaker.slot_ends_ns:
            breaker.turn(int(at * 1e9))
        breaker.calls += 1  # as the wrappers do
        return True


class Pybreaker:
    """pybreaker's, with its defaults: five failures in a row."""

    def __init__(self) -> None:
        import pybreaker

        self._breaker = pybreaker.CircuitBreaker()
        self._raised = (OSError, pybreaker.CircuitBreakerError)  # the call that opens it raises the latter

    def call(self, failed: bool, at: float) -> bool:
        """One call; False when it opened the breaker."""
        with contextlib.suppress(*self._raised):
            self._breaker.call(_plugin, failed)
        return not failed or self._breaker.current_state == "closed"


class Purgatory:
    """purgatory's, with its defaults: five failures in a row."""

    def __init__(self) -> None:
        from purgatory import SyncCircuitBreakerFactory

        self._breakers = SyncCircuitBreakerFactory()

    def call(self, failed: bool, at: float) -> bool:
        """One call; False when it opened the breaker."""
        breaker = self._breakers.get_breaker("benchmark")
        with contextlib.suppress(OSError), breaker:
            _plugin(failed)
        return not failed or breaker.context.state == "closed"


def _plugin(failed: bool) -> None:
    if failed:
        raise OSError


def breakers() -> dict[str, Callable[[], Any]]:
    """Name -> one that is closed and knows nothing."""
    found: dict[str, Callable[[], Any]] = {
        "sidecar": Ours,
        "sidecar, by rates alone": lambda: Ours(BreakerPolicy(sudden=False)),
    }
    kinds = {"pybreaker": Pybreaker, "purgatory": Purgatory}
    for name in PEERS:
        if importlib.util.find_spec(name) is None:
            print(f"{name} is not installed: pip install {name}", file=sys.stderr)
        else:
            found[name] = kinds[name]
    return found


def reaction(
    make: Callable[[], Any], *, past: int, failing: float, then: float, per_second: float, seed: int = 10
) -> tuple[int, float] | None:
    """(failed calls, seconds) from the moment that `then` of the calls fail until the breaker opens.

    None: it opened in the ordinary past, or it never did.
    """
    draw = random.Random(seed).random
    breaker = make()
    at, failures = 0.0, 0
    for _ in range(past):
        at += 1 / per_second
        if not breaker.call(draw() < failing, at):
            return None
    began = at
    for _ in range(LIMIT):
        at += 1 / per_second
        failed = draw() < then
        failures += failed
        if not breaker.call(failed, at):
            return failures, at - began
    return None


SITUATIONS: dict[str, dict[str, float]] = {
    "after a healthy minute, 35 calls/s": {"past": 2_100, "failing": 0.0, "then": 1.0, "per_second": 35},
    "the same at 1,000 calls/s": {"past": 60_000, "failing": 0.0, "then": 1.0, "per_second": 1_000},
    "never worked": {"past": 0, "failing": 0.0, "then": 1.0, "per_second": 35},
    "one call a minute, healthy for a day": {"past": 1_440, "failing": 0.0, "then": 1.0, "per_second": 1 / 60},
    "ordinarily 0.1 %": {"past": 20_000, "failing": 0.001, "then": 1.0, "per_second": 35},
    "ordinarily 1 %": {"past": 20_000, "failing": 0.01, "then": 1.0, "per_second": 35},
    "ordinarily 5 %": {"past": 20_000, "failing": 0.05, "then": 1.0, "per_second": 35},
    "ordinarily 10 %": {"past": 20_000, "failing": 0.1, "then": 1.0, "per_second": 35},
    "ordinarily 1 %, then 90 %": {"past": 20_000, "failing": 0.01, "then": 0.9, "per_second": 35},
    "ordinarily 1 %, then 70 %": {"past": 20_000, "failing": 0.01, "then": 0.7, "per_second": 35},
}
BOUND_TO_TARGET = tuple(SITUATIONS)[:8]
"""Where every call fails."""


def reaction_table(kinds: dict[str, Callable[[], Any]]) -> dict[str, dict[str, tuple[float, float] | None]]:
    """Situation -> breaker -> median (failed calls, seconds) until it opens, of eleven pasts."""
    table: dict[str, dict[str, tuple[float, float] | None]] = {}
    for situation, given in SITUATIONS.items():
        table[situation] = {}
        for name, make in kinds.items():
            seen = [reaction(make, seed=seed, **given) for seed in range(11)]  # type: ignore[arg-type]
            good = [one for one in seen if one is not None]
            table[situation][name] = (
                (statistics.median(one[0] for one in good), statistics.median(one[1] for one in good))
                if len(good) > len(seen) / 2
                else None
            )
        progress(situation)
    return table


def false_openings(calls: int, *, rate: float, run: float, per_second: float) -> int:
    """How often ours opens on a stream of which `rate` fails, in runs of `run` on average.

    Whenever it opens it is closed again and keeps what it has learned, as after good probes.
    """
    draw = random.Random(round(rate * 1e4 + 10 * run)).random
    goes_on = 1 - 1 / run
    begins = rate / run / (1 - rate)  # the chain is at rest at `rate`
    ours = Ours()
    call, breaker = ours.call, ours.breaker
    step, openings, failing = 1 / per_second, 0, False
    for number in range(calls):
        failing = draw() < (goes_on if failing else begins)
        call(failing, number * step)
        if failing and breaker.refusing:
            openings += 1
            breaker.force(BreakerState.CLOSED, "its probes succeeded")
    return openings


def runs_by_arithmetic(calls: int, rate: float, length: int = 5) -> float:
    """How often `length` failures in a row are to be expected, for those who count them alone."""
    return calls * (1 - rate) * rate**length


def opening_table(calls: int) -> list[tuple[str, float, int, int]]:
    """(stream, share that fails, false openings at 1,000 calls a second, at 45 a minute)."""
    table = []
    for rate in RATES:
        run = 1 / (1 - rate)  # each call fails by itself
        fast = false_openings(calls, rate=rate, run=run, per_second=1_000)
        progress(f"{rate:.1%} at 1,000 calls/s")
        slow = false_openings(calls, rate=rate, run=run, per_second=0.75)
        progress(f"{rate:.1%} at 45 calls/min")
        table.append((f"{rate:.1%}, each by itself", rate, fast, slow))
    for rate, run in CLUSTERS:
        fast = false_openings(calls, rate=rate, run=run, per_second=1_000)
        slow = false_openings(calls, rate=rate, run=run, per_second=0.75)
        progress(f"{rate:.1%} in runs of {run:g}")
        table.append((f"{rate:.1%}, in runs of {run:g}", rate, fast, slow))
    return table


def cost_table(rounds: int = 9, calls: int = 20_000) -> dict[str, float]:
    """What -> ns per call, medians of rounds in turn; a closed breaker."""
    table: dict[str, list[float]] = {"a success": [], "a failure, by rates alone": [], "a failure": []}
    for _ in range(rounds):
        for name, times in table.items():
            breaker = Breaker(BreakerPolicy(sudden=name == "a failure", failure_rate=1.0))
            breaker.record(False, 0.0)
            started = time.perf_counter_ns()
            if name == "a success":
                for _ in range(calls):
                    if breaker.slot_ends_ns <= 0:
                        breaker.turn(0)
                    breaker.calls += 1
            else:
                for number in range(calls):
                    if number & 1:
                        breaker.calls += 1
                    breaker.record(True, number / 1e6)
            times.append((time.perf_counter_ns() - started) / calls)
    return {name: statistics.median(times) for name, times in table.items()}


def progress(text: str) -> None:
    """Say how far it is, where somebody looks."""
    if sys.stderr.isatty():
        print(f"\r{text:<50}", end="", file=sys.stderr, flush=True)


def missed(
    reactions: dict[str, dict[str, tuple[float, float] | None]], openings: list[tuple[str, float, int, int]]
) -> Iterator[str]:
    """The targets that were not met, one a sentence."""
    for situation in BOUND_TO_TARGET:
        seen = reactions[situation]["sidecar"]
        if seen is None or (seen[0] > TARGET_CALLS and seen[1] > TARGET_SECONDS):
            yield f"{situation}: {seen}"
    for stream, _, fast, slow in openings[: len(RATES)]:
        if fast or slow:
            yield f"{stream}: opened {fast} and {slow} times"


def lines(
    reactions: dict[str, dict[str, tuple[float, float] | None]],
    openings: list[tuple[str, float, int, int]],
    costs: dict[str, float],
    calls: int,
) -> Iterator[str]:
    """The tables."""
    names = list(next(iter(reactions.values())))
    yield "Until it opens: failed calls, and seconds. A dash: more often than not it opened in the ordinary past already, or it"
    yield f"did not open within {LIMIT:,} calls."
    yield f"{'':<38}" + "".join(f"{name:>25}" for name in names)
    for situation, seen in reactions.items():
        cells = [("-" if one is None else f"{one[0]:,.0f}, {one[1]:.2f} s") for one in seen.values()]
        yield f"{situation:<38}" + "".join(f"{cell:>25}" for cell in cells)
    yield ""
    yield f"False openings of {calls:,} calls that fail as they ordinarily do, default policy"
    yield f"{'':<28}{'1,000 calls/s':>15}{'45 calls/min':>15}{'bound':>9}{'five in a row':>15}"
    bound = calls / BreakerPolicy().calls_per_false_opening
    for number, (stream, rate, fast, slow) in enumerate(openings):
        others = f"{runs_by_arithmetic(calls, rate):.2g}" if number < len(RATES) else ""
        yield f"{stream:<28}{fast:>15}{slow:>15}{bound:>9.2g}{others:>15}"
    yield "bound: of evidence, when the past is known. five in a row: what those that count them are to expect."
    yield ""
    yield "The breaker's own cost: " + ", ".join(f"{name} {value:.0f} ns" for name, value in costs.items())
    wrong = list(missed(reactions, openings))
    yield (
        f"target: within {TARGET_CALLS} failed calls or {TARGET_SECONDS:g} s, and no false opening of independent calls: "
        + ("MISSED: " + "; ".join(wrong) if wrong else "met")
    )


def main() -> int:
    """Print the tables; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=lambda text: int(float(text)), default=10_000_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    reactions = reaction_table(breakers())
    openings = opening_table(given.calls)
    costs = cost_table()
    if sys.stderr.isatty():
        print("\r" + " " * 50 + "\r", end="", file=sys.stderr)
    if given.json:
        print(json.dumps({"reaction": reactions, "false_openings": openings, "cost_ns": costs}))
    else:
        print("\n".join(lines(reactions, openings, costs, given.calls)))
    return bool(list(missed(reactions, openings)))


if __name__ == "__main__":
    sys.exit(main())
