"""`make hosts`: each host without us and with us, and a table of what came of it.

    make hosts                            all of them; the first time it builds their environments
    make hosts ARGS="--only flask,celery" some
    make hosts ARGS="--suite-runs 70"     a test suite of others, so many times without and with us

Progress goes to stderr. Exits with 1 when a host behaved otherwise, a call was not counted or a host could not be run.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from typing import Any

from tests.hosts import suites
from tests.hosts.environments import FOLDER, EnvironmentFailedError, build
from tests.hosts.pages import SECTIONS, broken_promise
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
        return _run_all(rows, given.runs, as_json=given.json)
    except KeyboardInterrupt:
        print("\nstopped; what it had started is ended", file=sys.stderr)
        return 130


def _run_all(rows: list[Row], runs: int, *, as_json: bool) -> int:
    """The hosts, and the how-tos that need their environments; answers the exit code."""
    hosts = _run_hosts(rows, runs, as_json=as_json)
    pages = _run_pages({row.name for row in rows}, as_json=as_json)
    if as_json:
        print(json.dumps({"runs": runs, "hosts": hosts, "how_tos": pages}, indent=2))
    good = all(one.get("same") and one.get("exact") for one in hosts) and not any(one["fault"] for one in pages)
    return 0 if good else 1


def _run_pages(names: set[str], *, as_json: bool) -> list[dict[str, str]]:
    requires = {row.name: row.requires for row in ROWS}
    found = []
    for section in SECTIONS:
        if section.environment in names:
            try:
                python = build(section.environment, requires[section.environment])
                fault = broken_promise(section, python, FOLDER / "work/page")
            except (EnvironmentFailedError, HostFailedError) as error:
                fault = str(error)
            found.append({"how_to": section.name, "fault": fault})
            _say(f"how-to {section.name}: {fault or 'as it says'}")
            if not as_json:
                print(f"how-to {section.name:<40} {'NO' if fault else 'as it says'}")
    return found


def _run_hosts(rows: list[Row], runs: int, *, as_json: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if not as_json:
        print(f"{'host':<34} {'same':<5} {'calls':>6} {'exact':<6} {'CPU s':>7} {'with us':>8} {'ratio':>6}")
    for number, row in enumerate(rows, 1):
        title = f"{row.name} ({', '.join(row.requires[:2]) or 'Python alone'})"
        began = time.monotonic()
        try:
            _say(f"[{number}/{len(rows)}] {title}: environment")
            python = build(row.name, row.requires)
            without, observed = [], []
            for turn in range(runs):
                _say(f"[{number}/{len(rows)}] {title}: run {turn + 1} of {runs}")
                without.append(run(row, python, FOLDER / "work" / row.name, observed=False))
                observed.append(run(row, python, FOLDER / "work" / row.name, observed=True))
        except (EnvironmentFailedError, HostFailedError) as error:
            _say(f"{error}")
            found.append({"host": row.name, "requires": row.requires, "error": str(error)})
            if not as_json:
                print(f"{title:<34} could not be run")
            continue
        verdict = judge(without, observed)
        for line in (*verdict.differences, *verdict.miscounts):
            _say(f"{row.name}: {line}")
        _say(f"[{number}/{len(rows)}] {title}: {time.monotonic() - began:.0f} s")
        found.append(_as_json(row, verdict))
        if not as_json:
            print(
                f"{title:<34} {'yes' if verdict.same else 'NO':<5} {verdict.calls:>6} "
                f"{'yes' if verdict.exact else 'NO':<6} {verdict.cpu_without_seconds:>7.2f} "
                f"{verdict.cpu_with_seconds:>8.2f} {verdict.cpu_ratio:>6.2f}",
                flush=True,
            )
    return found


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
