"""How right and how fast the automation decides: every world of `tests/scenarios`, and fleets by chance, through the real code.

1. *Worlds and fleets*: hosts, breakers and obedience are simulated (`tests/scenarios/world`), judging and deciding are the real thing,
   with the default rules (objectives over 30 days) and with short objectives. Printed by kind: faults isolated, how many of them with
   the exact scope, the delay from a fault's beginning until all of its calls are refused, healthy scopes isolated (goal 0), and calls
   lost to faults beside calls that were refused though nothing was wrong with them.
2. *False alarms* (`--false-alarms`): 300 healthy plugins with ordinary noise for 30 days under `enforce`; isolations expected: 0.
   Simulated in turns of ten seconds (`--tick`), each day by itself, without breakers and without budgets, which isolate nothing. Failures
   are independent, but for a third of the streams, where they come in runs of up to three (`--longest-run`; 1: none).

`--fleets N` for another number than 1,000, `--first SEED` to begin elsewhere, `--rules default` for one rule set, `--no-worlds`,
`--show SEED` for the account of one fleet, `--json` for programs. Two processes. Exits with 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.scenarios.world import judge, load_world, run  # noqa: E402 - of this repository's root
from tests.scenarios.world.calm import LONGEST_RUN, Calm, chance_per_month, live_a_day  # noqa: E402
from tests.scenarios.world.dice import thrown  # noqa: E402
from tests.scenarios.world.world import RULE_SETS, World  # noqa: E402

WORLDS = sorted((ROOT / "tests/scenarios/worlds").glob("*.toml"))
PROCESSES = 2
SHOWN = 40
"""So many of the runs that went wrong are named."""
TARGET_FOUND, TARGET_EXACT = 0.99, 0.97


@dataclass(slots=True)
class Outcome:
    """What came of one world under one rule set."""

    name: str
    kind: str
    rules: str
    delays: list[float | None] = field(default_factory=list)
    """One for each fault that had to be isolated; None: it never was."""
    parts: list[str] = field(default_factory=list)
    """What each fault is of."""
    in_time: list[bool] = field(default_factory=list)
    exact: list[bool] = field(default_factory=list)
    healthy: int = 0
    """Isolations that took healthy calls."""
    calls: int = 0
    lost: int = 0
    wrongly: int = 0
    problems: list[str] = field(default_factory=list)
    cpu_seconds: float = 0.0


@dataclass(slots=True)
class Sum:
    """Outcomes taken together."""

    runs: int = 0
    as_it_should: int = 0
    faults: int = 0
    in_time: int = 0
    exact: int = 0
    healthy: int = 0
    delays: list[float] = field(default_factory=list)
    calls: int = 0
    lost: int = 0
    wrongly: int = 0

    def add(self, item: Outcome) -> None:
        """Take in one more run."""
        self.runs += 1
        self.as_it_should += not item.problems
        self.healthy += item.healthy
        self.calls += item.calls
        self.lost += item.lost
        self.wrongly += item.wrongly
        for delay, in_time, exact in zip(item.delays, item.in_time, item.exact, strict=True):
            self.add_fault(delay, in_time, exact)

    def add_fault(self, delay: float | None, in_time: bool, exact: bool) -> None:
        """Take in one fault."""
        self.faults += 1
        self.in_time += in_time
        if delay is not None:
            self.delays.append(delay)
            self.exact += exact

    def figures(self) -> dict[str, Any]:
        """What is printed."""
        cuts = statistics.quantiles(self.delays, n=20) if len(self.delays) > 1 else [*self.delays] * 19
        return {
            "runs": self.runs, "as_they_should": self.as_it_should, "faults": self.faults, "found": len(self.delays),
            "in_time": self.in_time, "exact": self.exact, "healthy_isolated": self.healthy,
            "p50_seconds": round(statistics.median(self.delays), 2) if self.delays else None,
            "p95_seconds": round(cuts[18], 2) if self.delays else None,
            "calls": self.calls, "lost": self.lost, "refused_wrongly": self.wrongly,
        }  # fmt: skip


def main() -> int:
    """Run what was asked for; 1 when a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--fleets", type=int, default=1000)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--rules", choices=RULE_SETS, action="append")
    parser.add_argument("--no-worlds", action="store_true")
    parser.add_argument("--show", type=int)
    parser.add_argument("--false-alarms", action="store_true")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--plugins", type=int, default=300)
    parser.add_argument("--tick", type=float, default=10.0)
    parser.add_argument("--longest-run", type=int, default=LONGEST_RUN)
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if asked.show is not None:
        return show(asked.show, asked.rules or RULE_SETS)
    if asked.false_alarms:
        return false_alarms(asked)
    tasks: list[tuple[str, str]] = [] if asked.no_worlds else [(str(path), "") for path in WORLDS]
    tasks += [("", str(seed)) for seed in range(asked.first, asked.first + asked.fleets)]
    rules = tuple(asked.rules or RULE_SETS)
    outcomes = [
        item for found in in_processes(_lived, [(*task, rules) for task in tasks], asked.processes) for item in found
    ]
    return told(outcomes, rules, asked.json)


def in_processes(work: Callable[[Any], Any], tasks: Sequence[Any], processes: int) -> Iterable[Any]:
    """The results of all tasks in any order, with progress on the error output."""
    began = said = time.monotonic()
    if processes < 2:
        results: Iterable[Any] = map(work, tasks)
        pool = None
    else:
        pool = multiprocessing.get_context("fork").Pool(processes)
        results = pool.imap_unordered(work, tasks, chunksize=1)
    for done, result in enumerate(results, 1):
        now = time.monotonic()
        if sys.stderr.isatty() or now - said > 10 or done == len(tasks):
            left = (now - began) / done * (len(tasks) - done)
            print(f"\r{done} of {len(tasks)}, {left:.0f} s left   ", end="", file=sys.stderr, flush=True)
            said = now
        yield result
    print(file=sys.stderr)
    if pool is not None:
        pool.close()
        pool.join()


def _lived(task: tuple[str, str, tuple[str, ...]]) -> list[Outcome]:
    """What came of one world, or of the fleet of a seed, under each rule set."""
    path, seed, rules = task
    world = load_world(Path(path)) if path else thrown(int(seed))
    return [_outcome(world, name, bool(path)) for name in rules if name in world.rules]


def _outcome(world: World, rules: str, in_file: bool) -> Outcome:
    began = time.process_time()
    found = run(world, rules)
    verdict = judge(found)
    parts, beside = world.kind.split(", beside ")[0].split(" + "), ", beside" in world.kind
    if not in_file:
        count = {0: parts[0], 1: "one fault", 2: "two faults"}[len(verdict.faults)]
        kind = f"fleet: {count}, beside what is nobody's" if beside else f"fleet: {count}"
    return Outcome(
        world.name,
        f"world: {world.kind}" if in_file else kind,
        rules,
        [item.delay_seconds for item in verdict.faults],
        [world.kind] * len(verdict.faults) if in_file else parts[: len(verdict.faults)],
        [item.in_time for item in verdict.faults],
        [item.exact for item in verdict.faults],
        len(verdict.healthy),
        found.harm.calls,
        found.harm.lost,
        found.harm.wrongly,
        verdict.problems,
        time.process_time() - began,
    )


def told(outcomes: Sequence[Outcome], rules: Sequence[str], as_json: bool) -> int:
    """Print what came out; 1 when a target was missed."""
    missed: list[str] = []
    report: dict[str, Any] = {}
    for name in rules:
        mine = [item for item in outcomes if item.rules == name]
        total, kinds, parts = Sum(), dict[str, Sum](), dict[str, Sum]()
        for item in mine:
            total.add(item)
            kinds.setdefault(item.kind, Sum()).add(item)
            if item.kind.startswith("fleet"):
                for part, delay, in_time, exact in zip(item.parts, item.delays, item.in_time, item.exact, strict=True):
                    parts.setdefault(f"fault of a fleet: {part}", Sum()).add_fault(delay, in_time, exact)
        report[name] = {
            "all": total.figures(),
            "kinds": {kind: kinds[kind].figures() for kind in sorted(kinds)},
            "faults": {part: parts[part].figures() for part in sorted(parts)},
            "cpu_seconds": round(sum(item.cpu_seconds for item in mine), 1),
        }
        if total.healthy:
            missed.append(f"{name}: {total.healthy} healthy scopes were isolated")
        if total.faults and len(total.delays) < TARGET_FOUND * total.faults:
            missed.append(f"{name}: {len(total.delays)} of {total.faults} faults were isolated")
        if total.delays and total.exact < TARGET_EXACT * len(total.delays):
            missed.append(f"{name}: {total.exact} of {len(total.delays)} scopes were exact")
        if not as_json:
            _print(name, report[name], mine)
    if as_json:
        report["missed"] = missed
        report["problems"] = {f"{item.name} ({item.rules})": item.problems for item in outcomes if item.problems}
        print(json.dumps(report, indent=1))
    else:
        print("\n".join(f"MISSED: {line}" for line in missed) or "all targets met")
    return 1 if missed else 0


def _print(name: str, report: dict[str, Any], outcomes: Sequence[Outcome]) -> None:
    print(f"\n== rules: {name} ({report['cpu_seconds']} s of CPU)")
    print(
        f"{'kind':56} {'runs':>5} {'right':>5} {'faults':>6} {'found':>5} {'exact':>5} {'wrong':>5} {'p50 s':>6} {'p95 s':>6} "
        f"{'lost':>7} {'refused':>8}"
    )
    for kind, item in [*report["kinds"].items(), *report["faults"].items(), ("all", report["all"])]:
        p50, p95 = (f"{item[key]:.2f}" if item[key] is not None else "-" for key in ("p50_seconds", "p95_seconds"))
        runs = [f"{item[key]:5}" if item["runs"] else f"{'':5}" for key in ("runs", "as_they_should")]
        harm = f"{item['healthy_isolated']:5} {p50:>6} {p95:>6} {item['lost']:7} {item['refused_wrongly']:8}"
        rest = harm if item["runs"] else f"{'':5} {p50:>6} {p95:>6}"
        print(f"{kind[:56]:56} {' '.join(runs)} {item['faults']:6} {item['found']:5} {item['exact']:5} {rest}")
    print(
        "wrong: healthy scopes isolated; lost: calls that failed for a fault; refused: calls refused though nothing was wrong with them"
    )
    wrong = [item for item in outcomes if item.problems]
    for item in wrong[:SHOWN]:
        print(f"  {item.name}: {item.problems[0]}")
    if len(wrong) > SHOWN:
        print(f"  and {len(wrong) - SHOWN} more")


def show(seed: int, rules: Sequence[str]) -> int:
    """Print the account of one fleet."""
    world = thrown(seed)
    for name in rules:
        found = run(world, name)
        verdict = judge(found)
        print(f"== fleet {seed}, {world.kind}, rules: {name}")
        for plugin in world.plugins:
            print(
                f"   {plugin.name}: {', '.join(plugin.operations)}; {plugin.calls_per_second:g}/s each; norm {plugin.norm:.1%}"
            )
        print("\n".join(f"{at:8.2f} s  {text}" for at, text in found.account))
        print("\n".join(verdict.problems) or "as it should be")
    return 0


def false_alarms(asked: argparse.Namespace) -> int:
    """Let healthy fleets live; 1 when anything was isolated."""
    tasks = [Calm(day, asked.plugins, asked.tick, asked.longest_run) for day in range(1, asked.days + 1)]
    days = list(in_processes(live_a_day, tasks, asked.processes))
    isolated = [item for day in days for item in day.isolated]
    calls, failed = sum(day.calls for day in days), sum(day.failed for day in days)
    bound = chance_per_month(asked.plugins, asked.tick)
    report = {
        "plugins": asked.plugins, "longest_run": asked.longest_run,
        "days": asked.days, "tick_seconds": asked.tick, "calls": calls, "failed": failed,
        "looked_closer": sum(day.looked_closer for day in days), "isolations": len(isolated), "isolated": isolated[:20],
        "incidents": sum(len(day.incidents) for day in days),
        "opened": [item for day in days for item in day.incidents][:20],
        "cpu_seconds": round(sum(day.cpu_seconds for day in days), 1), "expected_per_fleet_month": bound,
    }  # fmt: skip
    if asked.json:
        print(json.dumps(report, indent=1))
    else:
        print(f"{asked.plugins} healthy plugins, {asked.days} days, looked at every {asked.tick:g} s")
        print(
            f"{calls:,} calls, {failed:,} ordinary failures; suspected and looked at closer: {report['looked_closer']} times"
        )
        print(f"isolations: {len(isolated)} (expected: 0); incidents: {report['incidents']}")
        for item in [*isolated[:20], *report["opened"]]:
            print(f"  {item}")
        for name, value in bound.items():
            print(f"what the settings allow, isolations per fleet and month, {name}: at most {value:.3g}")
        print(f"{report['cpu_seconds']} s of CPU")
    return 1 if isolated else 0


if __name__ == "__main__":
    sys.exit(main())
