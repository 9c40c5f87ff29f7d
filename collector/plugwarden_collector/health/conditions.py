"""Alerts on ourselves: what was read of the collector, and which of its conditions that makes true. Pure.

They use the state machine of the alerts on plugins and are kept apart from them: they never drive a quarantine. Each has two
limits, and between them it stays as it is, so that it does not flap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from plugwarden.contract import MAX_NAME

from plugwarden_collector.decide.alert import Alert, AlertState, Reading, transition
from plugwarden_collector.durations import ago, duration
from plugwarden_collector.figures import counted, percent, size

from .readings import Readings
from .senders import MIN_SILENCE_SECONDS

__all__ = ["RULES", "Change", "Condition", "ConditionRule", "Verdict", "judge", "starting", "verdict"]

PAGE, TICKET = "page", "ticket"
DAY_SECONDS = 86_400.0
UNTOLD_SECONDS = 600.0
"""Seconds for which a receiver may be away: as long as its own restart or a deployment of it takes, ten times over."""
_KINDS = {"error_type": "error types", "downstream": "downstreams"}


@dataclass(frozen=True, slots=True)
class ConditionRule:
    """What is looked at, and what to do about it."""

    name: str
    title: str
    severity: str
    next_step: str
    """What to do when it fires."""
    read: Callable[[Readings], Reading]
    for_seconds: float = 0.0
    """It must be true for this long before it fires."""
    keep_seconds: float = 60.0
    """It must be false for this long before it ends."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One alert on ourselves as it stands."""

    rule: ConditionRule
    alert: Alert
    summary: str = "not looked at yet"
    """The numbers as of the last look."""
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A condition that went from one state to another."""

    at: datetime
    condition: Condition
    before: str
    after: str
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the collector is well, in one sentence."""

    level: str
    """`green`, `amber` or `red`."""
    text: str


def starting() -> dict[str, Condition]:
    """Every condition before the first look."""
    return {rule.name: Condition(rule, Alert(f"c-{rule.name}")) for rule in RULES}


def judge(
    conditions: Mapping[str, Condition], readings: Readings, at: datetime
) -> tuple[dict[str, Condition], list[Change]]:
    """Bring every condition forward by one look; return them and which changed state."""
    after: dict[str, Condition] = {}
    changes: list[Change] = []
    for name, condition in conditions.items():
        rule = condition.rule
        reading = rule.read(readings)
        alert, reason = transition(
            condition.alert, reading, at, for_seconds=rule.for_seconds, keep_firing_seconds=rule.keep_seconds
        )
        fresh = replace(condition, alert=alert, summary=reading.reason)
        if reason is not None:
            fresh = replace(fresh, changed_at=at)
            changes.append(Change(at, fresh, condition.alert.state.value, alert.state.value, reason))
        after[name] = fresh
    return after, changes


def verdict(conditions: Mapping[str, Condition], readings: Readings) -> Verdict:
    """The worst that is true now."""
    firing = [item for item in conditions.values() if item.alert.state is AlertState.FIRING]
    pages = [item for item in firing if item.rule.severity == PAGE]
    pending = [item for item in conditions.values() if item.alert.state is AlertState.PENDING]
    for level, found in (("red", pages), ("amber", firing), ("amber", pending)):
        if found:
            first, more = found[0], len(firing) + len(pending) - 1
            others = f" ({counted(more, 'further condition')} below)" if more else ""
            return Verdict(level, f"{first.rule.title}: {first.summary}{others}")
    if readings.quiet_seconds is None:
        return Verdict("green", "The collector is well; nothing has been sent to it yet.")
    lag = "" if readings.lag_p99_seconds is None else f", stored within {duration(readings.lag_p99_seconds)} (p99)"
    senders = f"{counted(readings.senders, 'sender')} heard {ago(readings.quiet_seconds)}{lag}"
    return Verdict("green", f"The collector is well: {senders}; nothing waits that should not.")


def _band(value: float | None, high: float, low: float, text: str) -> Reading:
    """At `high` or above it is true, at `low` or below it is not; in between, or unknown, it stays as it is."""
    if value is None or low < value < high:
        return Reading(None, text)
    return Reading(value >= high, text)


def _no_telemetry(now: Readings) -> Reading:
    if now.quiet_seconds is None:
        return Reading(None, "nothing has been sent since the start")
    text = f"the last telemetry came {duration(now.quiet_seconds)} ago"
    if now.quiet_limit_seconds is None:  # nobody sends regularly, or everybody was forgotten
        return Reading(False if now.quiet_seconds <= MIN_SILENCE_SECONDS else None, text)
    over = now.quiet_seconds > now.quiet_limit_seconds
    return Reading(over, f"{text}, against a limit of {duration(now.quiet_limit_seconds)}" if over else text)


def _senders_silent(now: Readings) -> Reading:
    if not now.silent:
        return Reading(False, f"all of {counted(now.senders, 'sender')} send" if now.senders else "nobody sends yet")
    names = ", ".join(now.silent[:5]) + (", …" if len(now.silent) > 5 else "")
    text = f"{len(now.silent)} of {counted(now.senders, 'sender')} silent for more than 3 of their export intervals: {names}"
    # When nobody sends at all, "no telemetry" says so.
    return Reading(None if _no_telemetry(now).burning else True, text)


def _ingest_lag(now: Readings) -> Reading:
    if now.stalled_seconds:
        text = f"{counted(now.queued_requests, 'request')} waiting, and nothing was committed for {duration(now.stalled_seconds)}"
        return _band(max(now.stalled_seconds, now.lag_p99_seconds or 0.0), 10.0, 1.0, text)
    if now.lag_p99_seconds is None:
        return Reading(False, "nothing came in within a minute, and nothing waits")
    return _band(
        now.lag_p99_seconds, 2.0, 1.0, f"p99 from receipt to disk {duration(now.lag_p99_seconds)} over a minute"
    )


def _back_pressure(now: Readings) -> Reading:
    return Reading(now.busy > 0, f"{counted(now.busy, 'request')} told to come back within a minute")


def _queue(now: Readings) -> Reading:
    ratio = now.queued_bytes / now.queue_bound_bytes if now.queue_bound_bytes else 0.0
    text = f"{size(now.queued_bytes)} of {size(now.queue_bound_bytes)} waiting for a commit ({percent(ratio)})"
    return _band(ratio, 0.8, 0.5, text)


def _commits(now: Readings) -> Reading:
    if now.commit_p99_seconds is None:
        return Reading(False, "no commit within a minute")
    return _band(now.commit_p99_seconds, 1.0, 0.5, f"p99 of commits {duration(now.commit_p99_seconds)} over a minute")


def _judging(now: Readings) -> Reading:
    if now.tick_failures:
        return Reading(True, f"{counted(now.tick_failures, 'turn')} of the judging loop failed within a minute")
    return _band(now.tick_age_seconds, 10.0, 5.0, f"the judging loop last turned {duration(now.tick_age_seconds)} ago")


def _rollups(now: Readings) -> Reading:
    text = f"{counted(now.uncounted_rows, 'row')} stored and not counted yet, the oldest for {duration(now.rollup_lag_seconds)}"
    return _band(now.rollup_lag_seconds, 10.0, 5.0, text)


def _clock(now: Readings) -> Reading:
    off = now.clock_step_seconds
    if off is None:
        return Reading(False, "the wall clock goes with the steady clock")
    way = "ahead of" if off > 0 else "behind"
    return Reading(
        True,
        f"the wall clock stepped and is {duration(abs(off))} {way} the time that judging, holds and retention go by",
    )


def _aside(now: Readings) -> Reading:
    if not now.set_aside:
        return Reading(False, "everything that is stored could be counted")
    return Reading(
        True, f"{counted(now.set_aside_rows, 'row')} could not be counted: {'; '.join(now.set_aside)[:1000]}"
    )


def _audit(now: Readings) -> Reading:
    if not now.audit_breaks:
        return Reading(False, "the decision log goes on where it was left")
    return Reading(True, "; ".join(now.audit_breaks)[:1000])


def _names(now: Readings) -> Reading:
    if not now.names_beyond:
        return Reading(False, f"all of {counted(now.names, 'plugin version')} are told apart")
    services = ", ".join(repr(name[:MAX_NAME]) for name in now.names_beyond)
    return Reading(True, f"more plugins or versions than are told apart ({now.names} are) from {services}")


def _words(now: Readings) -> Reading:
    if not now.words_beyond:
        return Reading(False, f"all of {now.words:,} error types and downstreams are told apart")
    whose = ", ".join(
        f"{_KINDS.get(kind, kind)} of {plugin[:MAX_NAME]!r} from {service[:MAX_NAME]!r}"
        for kind, plugin, service in now.words_beyond
    )
    return Reading(True, f"more error types or downstreams than are told apart: {whose}")


def _shared(now: Readings) -> Reading:
    if not now.shared_starts:
        return Reading(False, "no two processes write one cumulative stream")
    services = ", ".join(repr(name[:MAX_NAME]) for name in now.shared_starts)
    return Reading(True, f"processes share identity and start, and only one of them is counted: {services}")


def _unannounced(now: Readings) -> Reading:
    if not now.unannounced:
        return Reading(False, "sidecars are told of every quarantine in force")
    return Reading(
        True, f"{counted(len(now.unannounced), 'quarantine')} cannot be told: {', '.join(now.unannounced[:5])}"
    )


def _alert_rules(now: Readings) -> Reading:
    if not now.alert_rules:
        return Reading(False, "every alert of the rules is looked at")
    name, why = next(iter(sorted(now.alert_rules.items())))
    more = len(now.alert_rules) - 1
    return Reading(True, f"{name}: {why}" + (f"; and {counted(more, 'other')}" if more else ""))


def _untold(now: Readings) -> Reading:
    late = {name: seconds for name, seconds in now.untold_seconds.items() if seconds >= UNTOLD_SECONDS}
    if late:
        names = ", ".join(f"{name[:MAX_NAME]!r} for {duration(late[name])}" for name in sorted(late)[:5])
        return Reading(True, f"{counted(len(late), 'receiver')} took nothing that they are owed: {names}")
    waiting = any(now.untold_seconds.values())
    return Reading(None if waiting else False, "no receiver has been owed anything for long")


def _store(now: Readings) -> Reading:
    if not now.writer_alive:
        return Reading(True, "the writer has ended: nothing can be stored until the collector is started again")
    return Reading(now.failed > 0, f"{counted(now.failed, 'request')} could not be stored within a minute")


def _checkpoint(now: Readings) -> Reading:
    text = f"{size(now.wal_bytes)} in the write-ahead log"
    if now.checkpoint_put_off_seconds:
        text += f", a checkpoint put off since {duration(now.checkpoint_put_off_seconds)}"
    if now.checkpoint_put_off_seconds >= 600.0:
        return Reading(True, text)
    return _band(now.wal_bytes, 256 * 2**20, 128 * 2**20, text)


def _disk(now: Readings) -> Reading:
    if now.disk_free_bytes is None or not now.disk_total_bytes:
        return Reading(None, "the file system does not say how full it is")
    share = now.disk_free_bytes / now.disk_total_bytes
    text = f"{size(now.disk_free_bytes)} ({percent(share)}) free on the data folder's file system"
    need = 0.0
    if now.growth_bytes_per_second is not None and now.growth_bytes_per_second > 0:
        need = now.growth_bytes_per_second * DAY_SECONDS
        if now.max_bytes:  # retention ends the growth there
            need = min(need, max(0.0, now.max_bytes - now.used_bytes))
        text += f"; a day of growth as now needs {size(need)}"
    if share < 0.10 or now.disk_free_bytes < need:
        return Reading(True, text)
    return Reading(False if share > 0.12 and now.disk_free_bytes > 1.2 * need else None, text)


def _early(now: Readings) -> Reading:
    if now.early:
        return Reading(True, f"raw rows go before their age: {size(now.used_bytes)} used of {size(now.max_bytes)}")
    return Reading(False, "raw rows are kept for as long as they should be")


def _refused(now: Readings) -> Reading:
    if not now.refused_deletions:
        return Reading(False, "nothing waits for a person to be deleted")
    parts = ", ".join(f"{percent(share)} of {view}" for view, share in now.refused_deletions.items())
    return Reading(True, f"{parts} older than it is kept: too much to go at once without a person")


def _near_max(now: Readings) -> Reading:
    if not now.max_bytes:
        return Reading(False, f"{size(now.used_bytes)} used; there is no limit")
    ratio = now.used_bytes / now.max_bytes
    text = f"{size(now.used_bytes)} used of {size(now.max_bytes)} ({percent(ratio)})"
    if now.seconds_until_full is not None:
        text += f", full in {duration(now.seconds_until_full)} as it grows now"
    # Once rows go early, that condition speaks.
    return Reading(None, text) if now.early else _band(ratio, 0.90, 0.85, text)


RULES = (
    ConditionRule(
        "store_failing", "The store does not take data", PAGE,
        "Look at the collector's log for the database's own words; check the disk. Senders keep what was refused and send it "
        "again. If the file is damaged, stop the collector and restore a copy.", _store,
    ),
    ConditionRule(
        "audit_log_broken", "The decision log is not the one that was left", PAGE,
        "Keep a copy of the data folder as evidence. `plugwarden audit verify` says all that is wrong. If it is explained, such as "
        "by a store that was put back by hand, `plugwarden audit accept --reason …`.", _audit, keep_seconds=0.0,
    ),
    ConditionRule(
        "no_telemetry", "No telemetry arrives", PAGE,
        "Check that hosts run and reach this collector (OTEL_EXPORTER_OTLP_ENDPOINT, token, firewall); the sidecars' logs say "
        "why they cannot send. If everything was stopped on purpose, nothing needs doing.", _no_telemetry, keep_seconds=0.0,
    ),
    ConditionRule(
        "judging_late", "Judging is late or fails", PAGE,
        "Nothing is alerted on or quarantined meanwhile. Look at the log for the reason; long queries or too many plugins and "
        "objectives for this machine make turns long.", _judging, for_seconds=10.0,
    ),
    ConditionRule(
        "disk_nearly_full", "The disk is nearly full", PAGE,
        "Free space on the data folder's file system, or start the collector with a smaller --max-size or --keep-raw.", _disk,
        keep_seconds=300.0,
    ),
    ConditionRule(
        "queue_filling", "The queue is nearly full", TICKET,
        "More comes in than is stored: see commit latency and the disk. At 100 % senders are told to come back; nothing is lost "
        "while their own buffers last.", _queue,
    ),
    ConditionRule(
        "back_pressure", "Senders are told to come back", TICKET,
        "Senders wait and try again. If it lasts, lower what they send (PLUGWARDEN_TRACE_RATIO) or give the collector a faster "
        "disk or more cores.", _back_pressure, keep_seconds=120.0,
    ),
    ConditionRule(
        "ingest_lag", "Telemetry is stored late", TICKET,
        "See commit latency, the queue and the machine's load; a backup or a long query can hold the writer for a while.",
        _ingest_lag, for_seconds=10.0,
    ),
    ConditionRule(
        "commit_slow", "Commits are slow", TICKET,
        "Look at the disk's latency and at what else uses it; move --data to a faster disk.", _commits, for_seconds=30.0,
    ),
    ConditionRule(
        "rollup_lag", "Calls are counted late", TICKET,
        "Alerts come late by as much. See whether the machine has cores to spare, and who runs long queries.", _rollups,
        for_seconds=10.0,
    ),
    ConditionRule(
        "clock_stepped", "The clock has stepped", TICKET,
        "Look at the machine's time and its time server (chronyc tracking, timedatectl). Nothing is let go or released by the step; "
        "when the clock stays there for 5 minutes it is taken for true, and holds move by as much.", _clock, keep_seconds=300.0,
    ),
    ConditionRule(
        "calls_set_aside", "Calls could not be counted", TICKET,
        "Nobody judges these calls; everything else goes on. `plugwarden aside` lists them. Look at what the named sender sends; "
        "after an upgrade have them counted with `plugwarden aside --retry ID`, or give them up with `--drop ID`.", _aside,
        keep_seconds=0.0,
    ),
    ConditionRule(
        "too_many_names", "More plugins or versions than are told apart", TICKET,
        "What is beyond them is counted under _OTHER, and neither judged nor isolated; everything else goes on. Look what the "
        "named services put into plugin.id and plugin.version: a request's id or a time does not belong there. Names that are "
        "not active for a day give their place to others.", _names, keep_seconds=300.0,
    ),
    ConditionRule(
        "too_many_words", "More error types or downstreams than are told apart", TICKET,
        "What is beyond them is counted under _OTHER; calls are judged all the same. Look what the named plugins put into error.type "
        "and plugin.downstream: a message, an id or an address with a port does not belong there. Words that are not used for a "
        "day give their place to others.", _words, keep_seconds=300.0,
    ),
    ConditionRule(
        "identities_shared", "Processes share identity and start", TICKET,
        "Their cumulative counts fall and rise in one stream; of what fell nothing is counted. Set a service.instance.id for each "
        "worker of the named services, after the fork (docs/reference/otlp.md).", _shared, keep_seconds=300.0,
    ),
    ConditionRule(
        "receiver_untold", "A receiver has not taken what it is to be told", PAGE,
        "Look at `plugwarden notifications` for what it answers, and mend it or its table in the rules. Nothing is lost meanwhile; what "
        "nobody needs any more: `plugwarden notifications give-up RECEIVER --reason …`.", _untold, keep_seconds=0.0,
    ),
    ConditionRule(
        "alert_rules_failing", "An alert of the rules cannot be looked at", TICKET,
        "Mend its [[alert]] table and send SIGHUP; `plugwarden rules check FILE` tries every statement, and `plugwarden alerts --rules` "
        "shows how each look went. Its alerts stay as they were meanwhile.", _alert_rules, keep_seconds=0.0,
    ),
    ConditionRule(
        "quarantines_untold", "Quarantines that sidecars cannot be told of", TICKET,
        "Their calls still run. An earlier version took them under names that no sidecar accepts, or there are more than one "
        "answer holds: release them (`plugwarden release ID`), and isolate the plugin as a whole instead.", _unannounced,
    ),
    ConditionRule(
        "checkpoint_late", "A checkpoint is overdue", TICKET,
        "A long query or a backup keeps an old state alive; let it end. Nothing is lost, but the next start takes longer.",
        _checkpoint,
    ),
    ConditionRule(
        "senders_silent", "Some senders have gone silent", TICKET,
        "Look whether these processes run and reach the collector. One that ended on purpose is forgotten after an hour.",
        _senders_silent, keep_seconds=0.0,
    ),
    ConditionRule(
        "deletion_refused", "A large deletion waits for a person", TICKET,
        "Look whether the clock is right and --keep-raw is meant, and see `plugwarden retention`. If it may go: `plugwarden retention "
        "--allow --reason …`. Until then nothing of these views goes for its age; --max-size still holds.", _refused,
        keep_seconds=0.0,
    ),
    ConditionRule(
        "retention_early", "Raw data go before their age", TICKET,
        "Raise --max-size if the disk has room, or lower --keep-raw or PLUGWARDEN_TRACE_RATIO to keep what you need for long "
        "enough.", _early, keep_seconds=600.0,
    ),
    ConditionRule(
        "near_max_size", "The database is near --max-size", TICKET,
        "Raise --max-size if the disk has room; else the oldest raw rows will go before --keep-raw.", _near_max,
        keep_seconds=300.0,
    ),
)  # fmt: skip
"""Worst first: the first that fires is the one that the verdict names."""
