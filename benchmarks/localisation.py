"""Where a fault is, by itself: the search for factors beside RiskLoc and Adtributor, on the same generated tables.

F1 counts an element as found only if all of its attributes and values are right. `amounts` are tables like RiskLoc's own (S) and like
Squeeze's (one fault of one cuboid, several elements); `calls` are what a collector sees: few calls a leaf, of which a share fails.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from math import pi, sqrt

import numpy as np
from load.adtributor import adtributor
from load.anomalies import Case, Element, amounts, calls
from load.machine import load_average, quantile
from load.riskloc import riskloc
from numpy.typing import NDArray
from plugwarden_collector.judge.causes import Sample, explain
from plugwarden_collector.judge.causes.factors import Search
from plugwarden_collector.judge.causes.table import Table

LEAST_NOISE = 0.02
"""Least relative error of a forecast that is reckoned with."""


@dataclass(slots=True)
class Tally:
    """What one localiser found in some cases."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 where nothing was to be found and nothing was named."""
        named = 2 * self.right + self.wrong + self.missed
        return 2 * self.right / named if named else 1.0


def factors(case: Case) -> set[Element]:
    """The elements that our search names."""
    table = _table_of_amounts(case) if case.total is None else _table_of_calls(case, case.total)
    search = Search(table, [0.0] * len(case.sizes), most_conditions=len(case.sizes))
    return {tuple((at, int(value)) for at, value in factor.conditions) for factor in search.run()}


def _table_of_calls(case: Case, total: NDArray[np.float64]) -> Table:
    bad = total - case.real
    return Table(_columns(case.codes), total.tolist(), bad.tolist(), [case.expected_ratio] * len(total))


def _columns(codes: NDArray[np.int64]) -> list[list[str]]:
    return [list(map(str, column)) for column in codes.T.tolist()]


def _table_of_amounts(case: Case) -> Table:
    """Each leaf as so many calls as its forecast is sure of: what is missing of the amount are bad ones.

    The error of the forecast is measured where no fault is: on the side to which the whole does not deviate.
    """
    rising = case.real.sum() > case.predicted.sum()
    base, moved = (case.real, case.predicted) if rising else (case.predicted, case.real)
    some = (base > 0) | (moved > 0)
    both = (base + moved)[some]
    apart = 2 * (base - moved)[some] / both
    against = apart[apart < 0]
    noise = max(LEAST_NOISE, sqrt(float(np.mean(against**2))) if len(against) else 0.0)
    missing = np.clip(1 - np.divide(moved, base, out=np.ones_like(base), where=base > 0), 0.0, 1.0)[some]
    # Half of a normal distribution has this mean; so many calls have a variance like that of the forecast.
    usual, sure = noise / sqrt(2 * pi), 1 / noise
    count = len(missing)
    return Table(_columns(case.codes[some]), [sure] * count, (sure * missing).tolist(), [usual] * count)


LOCALISERS: dict[str, Callable[[Case], set[Element]]] = {
    "factors": factors,
    "RiskLoc": riskloc,
    "Adtributor": adtributor,
}


def tables(cases: int, seed: int) -> Iterator[tuple[str, str, Case]]:
    """Cases by family and group, each from a seed of its own."""

    def rng(*path: int) -> np.random.Generator:
        return np.random.default_rng([seed, *path])

    for faults in (1, 2, 3):
        for number in range(cases):
            drawn = rng(1, faults, number)
            yield "calls", f"{faults} faults", calls(drawn, (3, 6, 10, 8), faults=(faults, faults))
            yield (
                "amounts like RiskLoc's S",
                f"{faults} faults",
                amounts(rng(2, faults, number), (10, 12, 10, 8, 5), faults=(faults, faults)),
            )
            noisy = calls(rng(5, faults, number), (3, 6, 10, 8), faults=(faults, faults), uneven=1.0)
            yield "calls, usual failures uneven", f"{faults} faults", noisy
    for number in range(cases):
        yield "calls, a cause outside of all", "", calls(rng(6, number), (3, 6, 10, 8), everywhere=True)
    for layer in (1, 2, 3):
        for elements in (1, 2, 3):
            for number in range(cases):
                one = (1, 1)
                yield (
                    "calls, one fault",
                    f"layer {layer}, {elements} elements",
                    calls(
                        rng(3, layer, elements, number),
                        (3, 6, 10, 8),
                        faults=one,
                        elements=(elements,) * 2,
                        layers=(layer,) * 2,
                    ),
                )
                yield (
                    "amounts like Squeeze's B",
                    f"layer {layer}, {elements} elements",
                    amounts(
                        rng(4, layer, elements, number),
                        (10, 12, 10, 8),
                        faults=one,
                        elements=(elements,) * 2,
                        layers=(layer,) * 2,
                        noise=(0.0, 0.1),
                        deviation=(0.0, 0.0),
                    ),
                )


def fleet() -> list[Sample]:
    """Ten plugins of 200 cells, of which 200 together fail: a fifth operation of a second version, in all of their processes."""
    drawn = np.random.default_rng(7)
    found = []
    for plugin, version, operation, process in np.ndindex(10, 2, 5, 20):
        fails = version == 1 and operation == 4
        bad = int(drawn.binomial(20, 0.8 if fails else 0.005))
        errors = {f"Error{plugin}" if fails else "Stray": bad} if bad else {}
        since = datetime(2026, 1, 1) if fails else None
        place = f"process-{process}", f"machine-{process // 2}"
        found.append(
            Sample(f"p{plugin}", f"{version}", f"{operation}", 20, bad, 0.01, *place, errors=errors, since=since)
        )
    return found


def explain_ms(rounds: int = 20) -> list[float]:
    """CPU milliseconds in which a fleet of 1,000 plugins with 200 suspicious cells is explained."""
    samples = fleet()
    found = []
    for _ in range(rounds):
        began = time.process_time()
        explanation = explain(samples, running=1000)
        found.append((time.process_time() - began) * 1e3)
        if sorted(str(fault.scope) for fault in explanation.faults) != [
            f"p{at} version=1 operation=4" for at in range(10)
        ]:
            raise SystemExit(f"not what was planted: {explanation.faults}")
    return found


def main() -> None:
    """Print the table; `--json` for programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=5, help="of each group")
    parser.add_argument("--seed", type=int, default=121)
    parser.add_argument("--family", help="those whose name begins so")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    tallies: defaultdict[tuple[str, str], dict[str, Tally]] = defaultdict(
        lambda: {name: Tally() for name in LOCALISERS}
    )
    seconds: defaultdict[str, dict[str, list[float]]] = defaultdict(lambda: {name: [] for name in LOCALISERS})
    for family, group, case in tables(options.cases, options.seed):
        if options.family and not family.startswith(options.family):
            continue
        for name, localise in LOCALISERS.items():
            began = time.process_time()
            named = localise(case)
            seconds[family][name].append(time.process_time() - began)
            for key in {(family, group), (family, "all" if group else "")}:
                tally = tallies[key][name]
                tally.right += len(named & case.truth)
                tally.wrong += len(named - case.truth)
                tally.missed += len(case.truth - named)
    if options.json:
        found = [
            {"family": family, "group": group, **{name: round(tally.f1, 4) for name, tally in by_name.items()}}
            for (family, group), by_name in sorted(tallies.items())
        ]
        times = {
            family: {name: {"p50": quantile(each, 0.5), "max": max(each)} for name, each in by_name.items()}
            for family, by_name in seconds.items()
        }
        whole = {
            "seed": options.seed,
            "cases": options.cases,
            "f1": found,
            "cpu_seconds": times,
            "explain_ms": explain_ms(),
        }
        print(json.dumps(whole | {"load_average": load_average()}))
        return
    print(f"seed {options.seed}, {options.cases} cases of each group; F1, exact elements")
    print(f"{'':<52}" + "".join(f"{name:>12}" for name in LOCALISERS))
    for (family, group), by_name in sorted(tallies.items()):
        print(
            f"{', '.join(filter(None, (family, group))):<52}"
            + "".join(f"{tally.f1:12.3f}" for tally in by_name.values())
        )
    for family, times_by_name in seconds.items():
        cells = "".join(f"{quantile(each, 0.5) * 1e3:12.0f}" for each in times_by_name.values())
        print(f"{family + ', CPU ms a case (median)':<52}{cells}")
    fleet_ms = explain_ms()
    print(
        f"a fleet of 1,000 plugins with 200 suspicious cells, CPU ms: {quantile(fleet_ms, 0.5):.0f}, at most {max(fleet_ms):.0f}"
    )
    print(f"load average {load_average():.1f}")


if __name__ == "__main__":
    main()
