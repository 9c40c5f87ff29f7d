"""What a look makes of the alerts of a rule: N of M, how it is over, and what it means that something is not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from plugwarden_collector.decide.alert import Alert, AlertRecord, AlertState, Reading, transition
from plugwarden_collector.decide.changes import AlertEvent, Changes
from plugwarden_collector.decide.identity import new_id
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.durations import moment
from plugwarden_collector.errors import WatchError
from plugwarden_collector.rules.alert_rule import AlertKind, AlertRule, NoData
from plugwarden_collector.wording import one_line

from .kept import Kept
from .sample import Sample, key_of
from .statement import MAX_ROWS

__all__ = ["FORGET", "MAX_KEPT", "bring_forward", "end_left_over", "fingerprint_of"]

FORGET = timedelta(days=1)
"""What was not in the answers for so long is gone: its alert ends, whatever `no_data` says."""
NOTHING: Mapping[str, str] = {}
"""Labels of the alert that a statement gives no rows at all."""
MAX_KEPT = 3 * MAX_ROWS
"""Things of one rule that are trouble or are remembered; of rows, more have labels that change from look to look."""
HELD_UNTIL = "held_until"
"""Key of an alert's detail: until when it is told though nobody calls what it is about."""
_GONE = {
    AlertKind.SQL: "there is no row of it any more",
    AlertKind.FORECAST: "there are no values of it any more",
    AlertKind.ABSENCE: "there is no call of it in what is looked at",
    AlertKind.ANOMALY: "there is no call of it in what is looked at",
    AlertKind.UPSTREAM: "nobody calls it",
}


def bring_forward(
    rule: AlertRule, samples: Sequence[Sample], kept: Mapping[str, Kept], standing: Standing, at: datetime
) -> tuple[Standing, Changes, dict[str, Kept]]:
    """Return where things stand after one look of a rule, what changed, and what is to be kept of it."""
    found = {sample.key: sample for sample in samples}
    if rule.no_data is NoData.ALERT:
        said = f"{len(found)} rows" if found else "the statement gives no row"
        found.setdefault(key_of(NOTHING), Sample(NOTHING, not found, bool(found), said))
    found = {key: sample for key, sample in found.items() if key in kept or _bears(rule, sample, standing)}
    gone = {key: standing.alerts.get(fingerprint_of(rule, kept[key].labels)) for key in kept if key not in found}
    lasting = {key: record for key, record in gone.items() if record and record.alert.state is not AlertState.INACTIVE}
    # One that began before what is gone for good ends soon: it keeps no rule that was mended from being looked at.
    bound_by = len(found) + sum(at - _began(record) < FORGET for record in lasting.values())
    if bound_by > MAX_KEPT:
        raise WatchError(
            f"gives rows with other labels at each look, {bound_by} by now; leave out the columns that change"
        )
    room = MAX_KEPT - bound_by  # for what is gone and was bad at a look or two; the latest stay
    mere = [key for key in gone if key not in lasting][:room]
    fresh, changes, after = standing.copy(), Changes(at=at), dict[str, Kept]()
    for key in [*found, *lasting, *mere]:
        before = kept.get(key)
        sample = found.get(key)
        labels = before.labels if sample is None and before is not None else sample.labels if sample is not None else {}
        fingerprint = fingerprint_of(rule, labels)
        record = fresh.alerts.get(fingerprint)
        firing = record is not None and record.alert.state is AlertState.FIRING
        reading, item = _read(rule, labels, sample, before, firing, at)
        if item is not None:
            after[key] = item
        _apply(rule, labels, sample, None if item is None else item.missing_at, reading, fresh, changes, at)
        record = fresh.alerts.get(fingerprint)
        if item is None and record is not None and record.alert.state is not AlertState.INACTIVE:
            # It is looked for when its row is missing, and what has gone stays gone until its alert has ended.
            after[key] = Kept(labels, (), None if before is None or sample is not None else before.missing_at)
    return fresh, changes, after


def _bears(rule: AlertRule, sample: Sample, standing: Standing) -> bool:
    """Whether a sample of which nothing is remembered changes anything: what is well, and always was, does not."""
    record = standing.alerts.get(fingerprint_of(rule, sample.labels))
    active = record is not None and record.alert.state is not AlertState.INACTIVE
    return sample.met is True or active or rule.no_data is NoData.ALERT


def end_left_over(rules: Sequence[AlertRule], standing: Standing, at: datetime) -> tuple[Standing, Changes]:
    """Return a standing without alerts of rules that are not there any more."""
    fresh, changes = standing.copy(), Changes(at=at)
    known = {rule.name for rule in rules}
    for record in list(standing.alerts.values()):
        if record.watched and record.name not in known and record.alert.state is not AlertState.INACTIVE:
            ended = replace(record.alert, state=AlertState.INACTIVE, pending_at=None, resolved_at=at, quiet_since=None)
            _put(
                record,
                replace(record, alert=ended, changed_at=at),
                "expired: there is no such [[alert]] any more",
                fresh,
                changes,
                at,
            )
    return fresh, changes


def fingerprint_of(rule: AlertRule, labels: Mapping[str, str]) -> str:
    """Return what an alert of a rule is known by."""
    return new_id("a", "alert", rule.name, *sorted(labels.items()))


def _began(record: AlertRecord) -> datetime:
    return record.alert.firing_at or record.alert.pending_at or record.changed_at


def _read(
    rule: AlertRule, labels: Mapping[str, str], sample: Sample | None, before: Kept | None, firing: bool, at: datetime
) -> tuple[Reading, Kept | None]:
    """Return what one look says of one thing, and what to keep of it; None: nothing that a later look would need."""
    recent = () if before is None else before.recent
    met, said, missing_at = _state(rule, sample, before, at)
    if sample is None and missing_at is not None and at - missing_at >= FORGET:
        return Reading(False, f"{_GONE[rule.kind]}, for a day now"), None
    if met is not None:
        recent = (*recent, met)[-rule.looks :]
    held = Kept(labels, recent if any(recent) else (), missing_at)
    keep = held if held.recent or missing_at is not None or rule.no_data is NoData.ALERT else None
    if met is None:
        return Reading(None, said), keep
    if firing and sample is not None and sample.over is False:
        return Reading(True, said), keep
    failed = sum(recent)
    many = f", at {failed} of {len(recent)} looks" if rule.looks > 1 else ""
    return Reading(failed >= rule.fails, f"{said}{many}"), keep


def _state(
    rule: AlertRule, sample: Sample | None, before: Kept | None, at: datetime
) -> tuple[bool | None, str, datetime | None]:
    """Return whether it is as it should not be, what that rests on, and since when it has no value."""
    if sample is not None and sample.met is not None:
        return sample.met, sample.said, None
    said = _GONE[rule.kind] if sample is None else sample.said
    since = at if before is None or before.missing_at is None else before.missing_at
    if sample is not None and rule.kind is not AlertKind.SQL:
        return None, said, None  # it is there, and says nothing yet
    met = {NoData.OK: False, NoData.KEEP: None, NoData.ALERT: True}[rule.no_data]
    return met, said, None if met is False else since


def _apply(
    rule: AlertRule,
    labels: Mapping[str, str],
    sample: Sample | None,
    missing_at: datetime | None,
    reading: Reading,
    fresh: Standing,
    changes: Changes,
    at: datetime,
) -> None:
    """Bring the alert on one thing forward."""
    fingerprint = fingerprint_of(rule, labels)
    record = fresh.alerts.get(fingerprint)
    before = Alert(fingerprint) if record is None else record.alert
    after, reason = transition(
        before, reading, at, for_seconds=rule.for_seconds, keep_firing_seconds=rule.keep_firing_seconds
    )
    if after == before:
        if record is not None and (said := _said_otherwise(rule, record, sample, missing_at)) is not None:
            _put(record, said, None, fresh, changes, at)
        return
    if record is None or (reason and after.state is not AlertState.INACTIVE):
        made = _record(rule, labels, sample, reading, after, at)
    else:
        made = replace(record, alert=after, changed_at=at if reason else record.changed_at)
    _put(record, made, reason, fresh, changes, at)


def _said_otherwise(
    rule: AlertRule, record: AlertRecord, sample: Sample | None, missing_at: datetime | None
) -> AlertRecord | None:
    """Return what an upstream's alert that fires says since this look, where that is something else: for whom the upstream fails, by which
    it speaks for what else is told, or that nobody calls it and until when it is told all the same."""
    if rule.kind is not AlertKind.UPSTREAM or record.alert.state is not AlertState.FIRING:
        return None
    if sample is not None:
        again = replace(record, description=rule.description, detail=_detail(rule, sample))
        same = all(record.detail.get(key) == again.detail.get(key) for key in ("plugins", HELD_UNTIL))
        return None if same else again
    if missing_at is None or HELD_UNTIL in record.detail:
        return None
    until = missing_at + FORGET
    said = f"{rule.description} Nobody calls it since {moment(missing_at)}; told until {moment(until)}, or until calls go well."
    return replace(record, description=said, detail={**record.detail, HELD_UNTIL: until.isoformat()})


def _detail(rule: AlertRule, sample: Sample | None) -> dict[str, Any]:
    return {"kind": rule.kind.value, **({} if sample is None else sample.detail)}


def _put(
    record: AlertRecord | None, made: AlertRecord, reason: str | None, fresh: Standing, changes: Changes, at: datetime
) -> None:
    fresh.alerts[made.alert.fingerprint] = made
    changes.alerts.append(made)
    if reason:
        before = AlertState.INACTIVE if record is None else record.alert.state
        changes.alert_events.append(AlertEvent(at, made, before, made.alert.state, reason))


def _record(
    rule: AlertRule, labels: Mapping[str, str], sample: Sample | None, reading: Reading, alert: Alert, at: datetime
) -> AlertRecord:
    plugin, version = labels.get("plugin", ""), labels.get("version")
    others = {name: value for name, value in labels.items() if name not in ("plugin", "version")}
    about = [f"{plugin}{'' if version is None else f'@{version}'}"] if plugin else []
    about += [f"{name}={value}" for name, value in others.items()]
    summary = (
        f"{one_line(', '.join(about), 300)}: {rule.title}: {reading.reason}"
        if about
        else f"{rule.title}: {reading.reason}"
    )
    owner = {"owner": rule.owner} if rule.owner else {}
    return AlertRecord(
        alert,
        rule.name,
        rule.severity.value,
        "",
        plugin,
        version if plugin else None,
        summary,
        rule.description,
        at,
        None,
        _detail(rule, sample),
        more={**rule.labels, **owner, **others, **({"version": version} if version and not plugin else {})},
    )
