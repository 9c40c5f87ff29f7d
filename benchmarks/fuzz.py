"""A million hostile inputs: no crash, no hang, no answer that is none, nothing stored half, nothing changed in a host.

Requests are drawn from a seed, go to the receiver without a network, and their rows into a real file. Findings are told
apart by what went wrong, and the first of each is cut down to what is needed. Ctrl-C ends it with what was found so far.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import dataclasses
import faulthandler
import json
import logging
import os
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import uvloop
from plugwarden.contract import DirectiveSet
from plugwarden_collector.store import Database

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' generators are the benchmark's

from tests.collector.conftest import running
from tests.collector.support.fuzz_alerts import AlertPlace, push_body
from tests.collector.support.fuzz_inputs import GENERATORS, Input
from tests.collector.support.fuzz_receiver import LATE, Receiver, fault, kept
from tests.collector.support.fuzz_statements import attempt, contents
from tests.collector.support.http_bytes import almost_http, statuses
from tests.collector.support.sql_grammar import statement
from tests.sidecar.support.fuzz_frames import HostState, frame
from tests.sidecar.support.fuzz_frames import attempt as attempt_frame
from tests.sidecar.support.fuzz_inputs import (
    directive_bytes,
    directive_fault,
    host_state,
    redaction_fault,
    redaction_text,
)
from tests.sidecar.support.fuzz_manifests import attempt as attempt_manifest
from tests.sidecar.support.fuzz_manifests import manifest_bytes

CHUNK = 256
"""Inputs under way at once; after each chunk the file must hold what was acknowledged, and no more."""
CHUNKS_PER_FILE = 400
HANG_SECONDS = 120
STATEMENTS_PER_LOOK = 500
PUSHES_PER_LOOK = 20
INPUTS_PER_LOOK = 1_000
FRAMES_PER_LOOK = 5_000
MAX_TRIALS = 300
"""To cut one finding down."""


@dataclass
class Finding:
    """One way to fail."""

    what: str
    count: int
    kind: str
    example: str
    """The smallest input that does it."""


@dataclass
class Report:
    """What a target has seen so far."""

    inputs: int = 0
    started: float = field(default_factory=time.perf_counter)
    shown: float = 0.0
    results: Counter[str] = field(default_factory=Counter)
    findings: dict[str, Finding] = field(default_factory=dict)

    def found(self, what: str, kind: str, example: Callable[[], str]) -> None:
        """Count a finding; the example is asked for at the first of its sort only."""
        sort = re.sub(r"\d+", "N", what)[:160]
        if sort in self.findings:
            self.findings[sort].count += 1
        else:
            self.findings[sort] = Finding(what, 1, kind, example())

    def progress(self) -> None:
        """One line for whoever waits, every other second."""
        now = time.perf_counter()
        if now - self.shown < 2:
            return
        self.shown = now
        rate = self.inputs / (now - self.started)
        print(f"\r{self.inputs:,} inputs, {rate:,.0f}/s, {len(self.findings)} findings ", end="", file=sys.stderr)


T = TypeVar("T")
Target = Callable[[Random, int, Report], None]
"""(random source, how many inputs, report to fill) -> nothing. It may be interrupted at any moment."""


def fuzz_receive(random: Random, inputs: int, report: Report) -> None:
    """Requests at the OTLP receiver."""
    kinds = [kind for kind, (_, share) in GENERATORS.items() for _ in range(share)]
    chunks = iter(range(0, inputs, CHUNK))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for receiver in _receivers(runner):
            for _, at in zip(range(CHUNKS_PER_FILE), chunks, strict=False):  # in this order: none may be lost
                drawn = [random.choice(kinds) for _ in range(min(CHUNK, inputs - at))]
                _chunk(runner, receiver, [(kind, GENERATORS[kind][0](random)) for kind in drawn], report)
            if report.inputs >= inputs:
                return


def _receivers(runner: asyncio.Runner) -> Iterator[Receiver]:
    """Each over a file of its own, so that none grows without end."""
    while True:
        with tempfile.TemporaryDirectory() as folder:
            receiver = runner.run(Receiver.opened(Path(folder)))
            try:
                receiver.stored()
                yield receiver
            finally:
                receiver.close()


def _chunk(runner: asyncio.Runner, receiver: Receiver, drawn: list[tuple[str, Input]], report: Report) -> None:
    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
    outcomes = runner.run(receiver.answers(item for _, item in drawn))
    promised, stored = kept(outcomes), receiver.stored()
    faulthandler.cancel_dump_traceback_later()
    late = False
    for (kind, item), outcome in zip(drawn, outcomes, strict=True):
        report.results[str(outcome.status)] += 1
        what = fault(item, outcome, strict=True)
        if what == LATE:  # it waited for all others of the chunk
            late = True
            what = fault(item, runner.run(receiver.answers([item]))[0], strict=True)
        if what is not None:
            report.found(what, kind, lambda item=item, what=what: _show(_smallest(runner, receiver, item, what)))
    receiver.stored()  # cutting down has stored its own
    if promised != stored and not late:  # what is late is stored, and its sender was not told
        what = f"{promised} rows acknowledged, {stored} stored"
        report.found(what, "several", lambda: _show_culprit(runner, drawn))
    if (wrong := receiver.judged()) is not None:
        report.found(wrong, "several", lambda: "within one chunk")
    report.inputs += len(drawn)
    report.progress()


def _smallest(runner: asyncio.Runner, receiver: Receiver, item: Input, what: str) -> Input:
    """Leave out ever smaller pieces of the body, as long as it fails in the same way."""
    sort = re.sub(r"\d+", "N", what)
    trials, size = 0, len(item.body) // 2
    while size and trials < MAX_TRIALS:
        at = 0
        while at < len(item.body) and trials < MAX_TRIALS:
            trials += 1
            less = dataclasses.replace(item, body=item.body[:at] + item.body[at + size :])
            found = fault(less, runner.run(receiver.answers([less]))[0], strict=True)
            if found is not None and re.sub(r"\d+", "N", found) == sort:
                item = less
            else:
                at += size
        size //= 2
    return item


def _show(item: Input) -> str:
    shown = item.headers if len(item.headers) > 3 else ()
    return f"{item.method} {item.path[:60]} {dict(shown) or item.kind} {base64.b64encode(item.body).decode()}"


def _show_culprit(runner: asyncio.Runner, drawn: list[tuple[str, Input]]) -> str:
    for receiver in _receivers(runner):
        for _, item in drawn:
            outcome = runner.run(receiver.answers([item]))
            if kept(outcome) != receiver.stored():
                return _show(item)
        break
    return "none of the chunk's inputs by itself"


def fuzz_sql(random: Random, inputs: int, report: Report) -> None:
    """Statements at the query interface: answered, refused or timed out, and nothing changes."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder))
        before = contents(database)
        for _ in range(inputs):
            sql = statement(random)
            faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
            try:
                report.results[attempt(database, sql)] += 1
            except Exception as error:  # noqa: BLE001 - whatever else is raised would be a 500
                report.found(f"{type(error).__name__}: {error}", "sql", lambda sql=sql: sql)
            faulthandler.cancel_dump_traceback_later()
            report.inputs += 1
            if report.inputs % STATEMENTS_PER_LOOK == 0 and contents(database) != before:
                report.found(
                    "something was changed", "sql", lambda sql=sql: f"within {STATEMENTS_PER_LOOK} up to {sql}"
                )
                before = contents(database)
            report.progress()
        database.close()


def fuzz_http(random: Random, inputs: int, report: Report) -> None:
    """Bytes that are almost HTTP, at both ports of a collector that runs."""
    logged: list[str] = []
    listening = logging.Handler(logging.ERROR)
    listening.emit = lambda record: logged.append(record.getMessage())  # type: ignore[method-assign]
    logging.disable(logging.WARNING)
    logging.getLogger().addHandler(listening)
    try:
        with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as collector:
            for _ in range(inputs):
                parts = almost_http(random)
                url = random.choice((collector.http, collector.url))
                try:
                    found = statuses(url.removeprefix("http://"), parts)
                except TimeoutError:
                    found = []
                    report.found("no answer, and no end", "http", lambda parts=parts: repr(parts))
                report.results.update(map(str, found or ["hung up"]))
                if any(code >= 500 and code != 503 for code in found):
                    report.found(f"answered {found}", "http", lambda parts=parts: repr(parts))
                for line in logged:
                    report.found(f"logged {line[:200]}", "http", lambda parts=parts: repr(parts))
                logged.clear()
                report.inputs += 1
                report.progress()
    finally:
        logging.getLogger().removeHandler(listening)
        logging.disable(logging.CRITICAL)


def fuzz_alerts(random: Random, inputs: int, report: Report) -> None:
    """Alerts pushed at a real store, some 30 in a request; an input is one of them."""
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        place = AlertPlace(Path(folder))
        while report.inputs < inputs:
            faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
            drawn = [push_body(random) for _ in range(PUSHES_PER_LOOK)]
            for body, size in drawn:
                try:
                    what = runner.run(place.push(body, report.results))
                except Exception as error:  # noqa: BLE001 - whatever is raised would be a 500
                    what = f"{type(error).__name__}: {error}"
                if what is not None:
                    report.found(what, "alerts", lambda body=body: base64.b64encode(body).decode())
                report.inputs += size
            what = runner.run(place.check(random))
            if what is not None:
                report.found(what, "alerts", lambda: f"within {PUSHES_PER_LOOK} pushes")
            faulthandler.cancel_dump_traceback_later()
            report.progress()
        place.close()


def fuzz_redaction(random: Random, inputs: int, report: Report) -> None:
    """Texts at the rules that mask secrets: none takes long, and nothing in the host changes."""
    _in_the_host(inputs, report, "redaction", lambda: redaction_text(random), redaction_fault, repr)


def fuzz_directives(random: Random, inputs: int, report: Report) -> None:
    """What a lying collector answers: read or refused, in time, and never so that a sidecar is deaf afterwards."""
    known = DirectiveSet("e", 7)

    def fault_of(body: bytes) -> str | None:
        return directive_fault(body, known)

    _in_the_host(
        inputs,
        report,
        "directives",
        lambda: directive_bytes(random),
        fault_of,
        lambda body: base64.b64encode(body).decode(),
    )


def _in_the_host(
    inputs: int,
    report: Report,
    kind: str,
    draw: Callable[[], T],
    fault_of: Callable[[T], str | None],
    show: Callable[[T], str],
) -> None:
    """Inputs at what runs in the host's process. Its state is compared now and then; the first looks may still import."""
    before: dict[str, object] = {}
    for number in range(inputs):
        drawn = draw()
        if number % INPUTS_PER_LOOK == 0:  # setting it takes a thread: of texts, a quarter of the time
            faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
        try:
            what = fault_of(drawn)
        except Exception as error:  # noqa: BLE001 - whatever is raised would be raised in the host's threads
            what = f"{type(error).__name__}: {error}"
        report.results["as it should be" if what is None else "a finding"] += 1
        if what is not None:
            report.found(what, kind, lambda drawn=drawn: show(drawn))
        report.inputs += 1
        if report.inputs % INPUTS_PER_LOOK == 0:
            after = host_state()
            for name in [name for name in before if before[name] != after[name]]:
                report.found(f"changed in the host: {name}", kind, lambda: f"within the last {INPUTS_PER_LOOK}")
            before = after
            report.progress()
    faulthandler.cancel_dump_traceback_later()


def fuzz_frames(random: Random, inputs: int, report: Report) -> None:
    """What a worker process sends its host: a value or refused, within 50 ms, and no class or module of the host changes."""
    _fuzz_bytes("frames", frame, attempt_frame, {"value", "refused"}, random, inputs, report)


def fuzz_manifests(random: Random, inputs: int, report: Report) -> None:
    """A plugin's own manifest under a host's grants: declared or refused, within 50 ms, and nothing is imported or changed."""
    _fuzz_bytes("manifests", manifest_bytes, attempt_manifest, {"declared", "refused"}, random, inputs, report)


def _fuzz_bytes(
    kind: str, draw: Callable[[Random], bytes], attempt: Callable[[bytes], str], well: set[str],
    random: Random, inputs: int, report: Report,
) -> None:  # fmt: skip
    for _ in range(100):  # what is made once, at the first use, is no change
        attempt(draw(Random(report.inputs)))
    state = HostState()
    while report.inputs < inputs:
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
        for _ in range(min(FRAMES_PER_LOOK, inputs - report.inputs)):
            data = draw(random)
            told = attempt(data)
            report.results[told] += 1
            report.inputs += 1
            if told not in well:
                report.found(told, kind, lambda data=data: base64.b64encode(data).decode())
        for change in state.changes():
            report.found(f"{change} was changed", kind, lambda: f"within {FRAMES_PER_LOOK} inputs")
        faulthandler.cancel_dump_traceback_later()
        report.progress()


TARGETS: Mapping[str, Target] = {
    "receive": fuzz_receive, "http": fuzz_http, "sql": fuzz_sql, "alerts": fuzz_alerts,
    "redaction": fuzz_redaction, "directives": fuzz_directives, "frames": fuzz_frames, "manifests": fuzz_manifests,
}  # fmt: skip
"""Name -> target."""


def main() -> int:
    """Print a table; `--json` for programs. 1 when something was found, 130 when interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=sorted(TARGETS), action="append", help="all of them when left out")
    parser.add_argument("--inputs", type=int, default=20_000, help="for each target")
    parser.add_argument("--seed", type=int, default=1, help="the same seed draws the same inputs")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ["RUST_BACKTRACE"] = "0"  # a panic in native code is a finding, its thirty frames are not
    logging.disable(logging.CRITICAL)  # the collector logs what it refuses, and that is all there is here
    for ended in (signal.SIGINT, signal.SIGTERM):  # a shell's background jobs ignore SIGINT until told otherwise
        signal.signal(ended, signal.default_int_handler)
    reports: dict[str, Report] = {}
    interrupted = False
    for name in options.target or TARGETS:
        reports[name] = Report()
        try:
            TARGETS[name](Random(options.seed), options.inputs, reports[name])
        except KeyboardInterrupt:
            interrupted = True
            break
        finally:
            print(file=sys.stderr)
    if options.json:
        print(json.dumps({name: _as_json(report) for name, report in reports.items()}))
    else:
        for name, report in reports.items():
            _print(name, report)
    return 130 if interrupted else int(any(report.findings for report in reports.values()))


def _as_json(report: Report) -> dict[str, Any]:
    seconds = time.perf_counter() - report.started
    return {
        "inputs": report.inputs,
        "inputs_per_second": report.inputs / seconds,
        "results": report.results,
        "findings": [dataclasses.asdict(found) for found in report.findings.values()],
    }


def _print(name: str, report: Report) -> None:
    rate = report.inputs / (time.perf_counter() - report.started)
    print(f"{name}: {report.inputs:,} inputs, {rate:,.0f}/s, {len(report.findings)} findings")
    print("  " + ", ".join(f"{count:,} × {result}" for result, count in report.results.most_common()))
    for found in report.findings.values():
        print(f"\n  {found.count:,} × {found.what}\n    {found.kind}: {found.example[:1500]}")


if __name__ == "__main__":
    sys.exit(main())
