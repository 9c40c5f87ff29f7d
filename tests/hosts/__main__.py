"""`make hosts`: each host without us and with us, and a table of what came of it.

    make hosts                            all of them; the first time it builds their environments
    make hosts ARGS="--only flask,celery" some
    make hosts ARGS="--again"             also what was done before; else only what is new or changed
    make hosts ARGS="--suite-runs 70"     a test suite of others, so many times without and with us

Progress goes to stderr. Ctrl-C ends it, and the next time it goes on from there. Exits with 1 when a host behaved otherwise,
a call was not counted or a host could not be run.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.hosts import suites
from tests.hosts.environments import FOLDER, EnvironmentFailedError, build, sidecar_hash
from tests.hosts.ledger import Ledger
from tests.hosts.pages import SECTIONS, Section, broken_promise
from tests.hosts.row import Row
from tests.hosts.rows import ROWS
from tests.hosts.trial import HostFailedError, run
from tests.hosts.verdict import Verdict, judge

__all__ = ["main"]


def main() -> int:
    """Answers the exit code."""
    parser = argparse.ArgumentParser("make hosts", description="Hosts of others, without us and with us.")
    parser.add_argument("--only", default="", metavar="NAME,…", help=f"of {', '.join(row.name for row in ROWS)}")
    parser.add_argument("--runs", type=int, default=3, help="of each kind, interleaved [3]")
    parser.add_argument("--again", action="store_true", help="run also what was done before and has not changed")
    parser.add_argument("--json", action="store_true", help="one document on stdout in place of the table")
    parser.add_argument("--suite-runs", type=int, default=0, metavar="N", help="in place of hosts: run a test suite")
    given = parser.parse_args()
    if given.runs < 1:
        parser.error("--runs: at least 1")
    names = [name for name in given.only.split(",") if name]
    unknown = [name for name in names if name not in {row.name for row in ROWS}]
    if unknown:
        parser.error(f"--only: no such host: {', '.join(unknown)}; there are {', '.join(row.name for row in ROWS)}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if given.suite_runs:
            return suites.compare(given.suite_runs, as_json=given.json)
        rows = [row for row in ROWS if not names or row.name in names]
        return _run_all(rows, given.runs, again=given.again, as_json=given.json)
    except KeyboardInterrupt:
        _say("\nstopped; what it had started is ended")
        return 130


def _run_all(rows: list[Row], runs: int, *, again: bool, as_json: bool) -> int:
    """The hosts, and the how-tos that need their environments; answers the exit code."""
    ledger = Ledger(FOLDER / "done", sidecar_hash(), runs)
    sections = [section for section in SECTIONS if section.environment in {row.name for row in rows}]
    hosts: list[dict[str, Any]] = []
    pages: list[dict[str, Any]] = []
    stopped = False
    if not as_json:
        print(
            f"{'host':<34} {'same':<5} {'calls':>6} {'exact':<6} {'CPU s':>7} {'with us':>8} {'ratio':>6}", flush=True
        )
    try:
        pace = _Pace(len(rows) + len(sections))
        for row in rows:
            hosts.append(_done(ledger, row, row.name, again, pace, partial(_run_host, row, runs, pace)))
            _show(_line(row, hosts[-1]), as_json)
        for section in sections:
            page = partial(_run_page, section)
            pages.append(_done(ledger, section, section.environment, again, pace, page))
            fault = pages[-1]["fault"]
            _show(f"how-to {section.name:<40} {f'NO: {fault}' if fault else 'as it says'}", as_json)
    except KeyboardInterrupt:
        stopped = True
    if as_json:
        print(json.dumps({"runs": runs, "stopped": stopped, "hosts": hosts, "how_tos": pages}, indent=2))
    if stopped:
        _say(
            f"\nstopped; what it had started is ended; {len(hosts)} of {len(rows)} hosts and {len(pages)} of {len(sections)} "
            "how-tos are done; the next `make hosts` goes on from there"
        )
        return 130
    good = all(one.get("same") and one.get("exact") for one in hosts) and not any(one["fault"] for one in pages)
    return 0 if good else 1


class _Pace:
    """How far it is, and how long the rest will take at the pace so far."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._run, self._seconds = total, 0, 0, 0.0

    def passed(self, seconds: float | None) -> None:
        """One more is done: in so many seconds, or long ago."""
        self._done += 1
        if seconds is not None:
            self._run += 1
            self._seconds += seconds

    def __str__(self) -> str:
        left = f", {self._seconds / self._run * (self._total - self._done) / 60:.0f} min left" if self._run else ""
        return f"[{self._done + 1}/{self._total}{left}]"


def _done(
    ledger: Ledger, of: Row | Section, environment: str, again: bool, pace: _Pace, run_it: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """What came of a host or how-to: before, unless it is to be run again, or now. What could not be run is not kept."""
    with ledger.holding(environment, lambda: _say(f"{pace} {of.name}: another run has its environment, waiting")):
        known = None if again else ledger.done(of)
        if known is not None:
            _say(f"{pace} {of.name}: done before")
            pace.passed(None)
            return known
        began = time.monotonic()
        _say(f"{pace} {of.name}: environment")
        found = run_it()
        took = time.monotonic() - began
        _say(f"{pace} {of.name}: {took:.0f} s")
        pace.passed(took)
        if "error" not in found:
            ledger.note(of, found)
        return found


def _run_page(section: Section) -> dict[str, Any]:
    requires = {row.name: row.requires for row in ROWS}
    try:
        python = build(section.environment, requires[section.environment])
        fault = broken_promise(section, python, FOLDER / "work/pages" / section.environment)
    except (EnvironmentFailedError, HostFailedError) as error:
        return {"how_to": section.name, "fault": str(error), "error": str(error)}
    return {"how_to": section.name, "fault": fault}


def _run_host(row: Row, runs: int, pace: _Pace) -> dict[str, Any]:
    try:
        python = build(row.name, row.requires)
        without, observed = [], []
        for turn in range(runs):
            _say(f"{pace} {row.name}: run {turn + 1} of {runs}")
            without.append(run(row, python, FOLDER / "work" / row.name, observed=False))
            observed.append(run(row, python, FOLDER / "work" / row.name, observed=True))
    except (EnvironmentFailedError, HostFailedError) as error:
        _say(f"{error}")
        return {"host": row.name, "requires": row.requires, "error": str(error)}
    verdict = judge(without, observed)
    for line in (*verdict.differences, *verdict.miscounts):
        _say(f"{row.name}: {line}")
    return _as_json(row, verdict)


def _line(row: Row, found: dict[str, Any]) -> str:
    title = f"{row.name} ({', '.join(row.requires[:2]) or 'Python alone'})"
    if "error" in found:
        return f"{title:<34} could not be run"
    return (
        f"{title:<34} {'yes' if found['same'] else 'NO':<5} {found['calls']:>6} {'yes' if found['exact'] else 'NO':<6} "
        f"{found['cpu_without_seconds']:>7.2f} {found['cpu_with_seconds']:>8.2f} {found['cpu_ratio']:>6.2f}"
    )


def _show(line: str, as_json: bool) -> None:
    if not as_json:
        print(line, flush=True)


def _as_json(row: Row, verdict: Verdict) -> dict[str, Any]:
    return {
        "host": row.name,
        "requires": row.requires,
        "same": verdict.same,
        "exact": verdict.exact,
        "calls": verdict.calls,
        "cpu_without_seconds": round(verdict.cpu_without_seconds, 3),
        "cpu_with_seconds": round(verdict.cpu_with_seconds, 3),
        "cpu_ratio": round(verdict.cpu_ratio, 3),
        "differences": verdict.differences,
        "miscounts": verdict.miscounts,
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
