"""What an emulation showed that should be changed in the manifest: each with the field, what was seen, and what to write."""

from __future__ import annotations

import math
from collections.abc import Iterator

from .course import Course
from .tally import Tally, quantile

__all__ = ["advice"]

GENEROUS = 4
"""A deadline of so many times the p95 in good health cuts off hardly anything that would still have answered."""


def advice(course: Course) -> list[str]:
    """Sentences, the most important first; none: there is nothing to change."""
    found = []
    if course.host_ended_by is not None:
        runner = course.manifest.operations[course.host_ended_by].get("runner", "inline")
        found.append(
            f'operations.{course.host_ended_by}.runner: "{runner}" runs in the host, which ended with the plugin;'
            ' runner = "process" would have lost one worker'
        )
    for name in course.manifest.operations:
        found += _of_one(course, name)
    return found


def _of_one(course: Course, name: str) -> Iterator[str]:
    declared, total, quiet = course.manifest.operations[name], course.totals[name], course.quiet[name]
    path, runner = f"operations.{name}", declared.get("runner", "inline")
    kinds = {fault.kind for fault in course.faults if fault.operation in (None, name)}
    if declared.get("timeout") is None and (course.unanswered[name] or _suffered(course, name)):
        waited = (
            f"{course.unanswered[name]} callers waited to the end"
            if course.unanswered[name]
            else "calls took as long as they liked"
        )
        yield f"{path}.timeout: is missing, and {waited}; {_deadline(quiet)}"
    elif total.late or course.unanswered[name]:
        longest = f", up to {max(total.seconds):.3g} s" if total.late else ""
        yield (
            f'{path}.runner: "{runner}" cannot stop a plain function at its deadline: {total.late + course.unanswered[name]} callers'
            f' waited past it{longest}; runner = "process" stops it, "thread" lets the caller go'
            if runner == "inline"
            else f"{path}: {course.unanswered[name]} callers waited to the end"
        )
    refused_in_peace = quiet.refused.get("bulkhead_full", 0)
    if refused_in_peace:
        yield (
            f"{path}.bulkhead: refused {refused_in_peace} calls when nothing was wrong; at {course.terms.rate:g} calls/s it needs"
            f" about {_places(course, name)} places, or a queue"
        )
    if quiet.refused.get("rate_limited"):
        yield (
            f"{path}.rate: refused {quiet.refused['rate_limited']} calls when nothing was wrong: {course.terms.rate:g} calls/s are"
            f" more than {declared['rate'].calls_per_second:g}; a burst lets peaks through"
        )
    if course.late_worker_waits[name] and _places(course, name) > declared.get("workers", 1):
        yield (
            f"{path}.workers: {course.late_worker_waits[name]} calls waited for a worker past half of their deadline;"
            f" at {course.terms.rate:g}"
            f" calls/s it needs about {_places(course, name)}"
        )
    needed = _places(course, name)
    if declared.get("bulkhead") is None and runner != "thread" and course.peak_running[name] > max(25, 3 * needed):
        yield (
            f"{path}.bulkhead: is missing, and up to {course.peak_running[name]} calls ran at once;"
            f" bulkhead = {{ concurrent = {max(4, 2 * needed)} }} bounds them"
        )
    exceptions = (
        total.calls - total.saw["answered"] - total.saw["answered late"] - total.fallbacks - course.unanswered[name]
    )
    if exceptions > 0 and declared.get("fallback") is None and course.host_ended_by is None:
        yield (
            f"{path}.fallback: is missing, and {exceptions} callers saw an exception;"
            " fallback = { last_good_seconds = 300 } or { value = … } would have answered"
        )
    if declared.get("breaker") is False and sum(total.failed.values()) > 20:
        yield f"{path}.breaker: is off, and {sum(total.failed.values())} calls failed one after the other; leave it on"
    if "memory" in kinds:
        quota = declared.get("quota")
        if runner != "process":
            yield f'{path}.runner: "{runner}" bounds no memory: what the plugin takes is the host\'s; runner = "process" with a quota does'
        elif quota is None or quota.memory_bytes is None:
            yield f"{path}.quota: bounds no memory; quota = {{ memory_bytes = … }} ends a worker that takes more"


def _suffered(course: Course, name: str) -> bool:
    usual = quantile(course.quiet[name].seconds, 0.95) or course.terms.latency_seconds
    return bool(course.totals[name].seconds) and max(course.totals[name].seconds) > 10 * usual


def _deadline(quiet: Tally) -> str:
    usual = quantile(quiet.seconds, 0.95)
    if usual is None:
        return "declare how long a call may take"
    return f"in good health 95 of 100 calls end within {usual:.2g} s: timeout = {max(0.01, GENEROUS * usual):.2g}"


def _places(course: Course, name: str) -> int:
    """Return the places that are needed, by Little's law from what a call itself takes, without its waiting; with as much again for
    peaks."""
    seconds = course.terms.latency_seconds
    if name in course.terms.functions:
        seconds = quantile(course.quiet[name].seconds, 0.5) or seconds
    return max(1, math.ceil(2 * course.terms.rate * seconds))
