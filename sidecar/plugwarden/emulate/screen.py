"""An emulation on a terminal of 80 columns, and as lines of JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from typing import Any

from .advice import advice
from .course import Course, Row
from .tally import Tally, quantile

__all__ = ["JsonLines", "Screen"]

WIDTH = 80
_REASONS = {
    "circuit_open": "breaker", "bulkhead_full": "bulkhead", "rate_limited": "rate", "quarantined": "quarantined",
    "probation": "probation", "deadline_exceeded": "deadline", "quota_exceeded": "quota", "gate_fault": "gate",
}  # fmt: skip
_HEAD = "  time operation    calls   ok fail refused         fallb breaker     p50   p95"


class Screen:
    """For people."""

    def __init__(self, course: Course, write: Callable[[str], None]) -> None:
        self._course, self._write = course, write
        self._rows = 0

    def begin(self) -> None:
        """What is emulated."""
        course, terms = self._course, self._course.terms
        kind = "real time" if terms.real_time or terms.functions else "virtual time"
        self._wrapped(
            f"{course.manifest.id} {course.manifest.version}: {terms.rate:g} calls/s of each operation for {terms.seconds:g} s,"
            f" {kind}, seed {terms.seed}"
        )
        for fault in course.faults:
            self._wrapped(f"fault: {'' if fault.operation is None else fault.operation + ': '}{fault.text}")
        for note in course.notes:
            self._wrapped(f"note: {note}")
        self._write("")

    def tell(self, row: Row) -> None:
        """A row; the head stands over every 20th."""
        if self._rows % 20 == 0:
            self._write(_HEAD)
        self._rows += 1
        tally = row.tally
        state = "-" if row.breaker is None else row.breaker.word
        failed = sum(tally.failed.values())
        self._write(
            f"{row.at_seconds:>5.4g}s {row.operation[:12]:<12} {tally.calls:>5} {tally.succeeded:>4} {failed:>4}"
            f" {_refused(tally):<15} {tally.fallbacks:>5} {state:<9} {_time(quantile(tally.seconds, 0.5)):>5}"
            f" {_time(quantile(tally.seconds, 0.95)):>5}".rstrip()
        )

    def say(self, at_seconds: float, text: str) -> None:
        """A change of a breaker, or of the host."""
        self._wrapped(f"{at_seconds:>5.4g}s {text}", "       ")

    def end(self) -> None:
        """What callers saw, and what to change."""
        course = self._course
        self._write("")
        if course.cut_short:
            self._write(f"cut short at {course.ended_seconds:.3g} s")
        self._write("What a caller saw")
        for name, total in course.totals.items():
            quiet = course.quiet[name]
            share = (
                f"{(total.saw['answered'] + total.saw['answered late'] + total.fallbacks) / total.calls:.1%}"
                if total.calls
                else "none"
            )
            self._wrapped(
                f"  {name}: {total.calls} calls, {share} answered; p50 {_time(quantile(total.seconds, 0.5))},"
                f" p95 {_time(quantile(total.seconds, 0.95))}, longest {_time(max(total.seconds, default=None))};"
                f" before the first fault p95 {_time(quantile(quiet.seconds, 0.95))}",
                "    ",
            )
            for saw, count in sorted(total.saw.items(), key=lambda item: (-item[1], item[0])):
                self._write(f"    {count:>7}  {count / total.calls:>6.1%}  {saw}"[:WIDTH])
            if course.unanswered[name]:
                self._write(
                    f"    {course.unanswered[name]:>7}  {course.unanswered[name] / total.calls:>6.1%}  still waiting at the end"
                )
        self._write("Advice")
        for sentence in advice(course) or ["nothing: the declaration held"]:
            self._wrapped(f"  {sentence}", "    ")

    def _wrapped(self, text: str, further: str = "  ") -> None:
        for line in textwrap.wrap(text, WIDTH, subsequent_indent=further, break_on_hyphens=False) or [""]:
            self._write(line)


class JsonLines:
    """For programs: an object a line, each with its `event`."""

    def __init__(self, course: Course, write: Callable[[str], None]) -> None:
        self._course, self._write = course, write

    def begin(self) -> None:
        """What is emulated."""
        course, terms = self._course, self._course.terms
        self._emit(
            "begun", plugin=course.manifest.id, version=course.manifest.version, seconds=terms.seconds, rate=terms.rate,
            seed=terms.seed, faults=[fault.text for fault in course.faults], notes=course.notes,
        )  # fmt: skip

    def tell(self, row: Row) -> None:
        """A row."""
        state = None if row.breaker is None else row.breaker.word
        self._emit(
            "stretch", at_seconds=round(row.at_seconds, 6), operation=row.operation, **row.tally.as_dict(),
            running=row.running, breaker=state,
        )  # fmt: skip

    def say(self, at_seconds: float, text: str) -> None:
        """A change of a breaker, or of the host."""
        self._emit("change", at_seconds=round(at_seconds, 6), text=text)

    def end(self) -> None:
        """What callers saw, and what to change."""
        course = self._course
        operations = {
            name: {
                **total.as_dict(),
                "longest_seconds": quantile(total.seconds, 1.0),
                "callers_saw": dict(sorted(total.saw.items())),
                "still_waiting": course.unanswered[name],
                "peak_running": course.peak_running[name],
            }
            for name, total in course.totals.items()
        }
        self._emit(
            "summary", cut_short=course.cut_short, ended_seconds=round(course.ended_seconds, 6), host_ended_by=course.host_ended_by,
            operations=operations, advice=advice(course),
        )  # fmt: skip

    def _emit(self, event: str, **data: Any) -> None:
        self._write(json.dumps({"event": event, **data}, ensure_ascii=False))


def _refused(tally: Tally) -> str:
    if not tally.refused:
        return "-"
    (first, _), *others = tally.refused.most_common()
    text = f"{sum(tally.refused.values())} {_REASONS.get(first, first)}"
    return (text + "+" if others else text)[:15]


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    return f"{seconds:.1f}s" if seconds < 100 else f"{seconds:.0f}s"
