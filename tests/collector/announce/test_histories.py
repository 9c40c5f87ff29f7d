"""Random histories of what fails, and of what keeps it from people: nothing is untold for longer than the rules say.

The bound, of each receiver by itself: what it wants to hear of, what no silence covers, and what nobody speaks for to it, it has
been told of once it was there for so long: at once, or after the longer of `group_wait` and `group_interval` where it groups, and
`escalate_after` later where it waits for others, unless a person knows of it. It is
told again by `repeat_interval` and that bound unless a person knows of it; and of the end within the bound after it was told that it
began. That somebody knows of something, a restart, and that a receiver was away change nothing of it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plugwarden.contract import Scope
from plugwarden_collector.announce.message import Key, Known, Telling
from plugwarden_collector.announce.pipeline import due
from plugwarden_collector.announce.stages.group import group
from plugwarden_collector.announce.stored import row_of, telling_in
from plugwarden_collector.announce.subject import HEALTH, JUDGING, Subject, acknowledged, active_at, subjects_of
from plugwarden_collector.announce.tellings import owing, settled, taken
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.decide.acts import acknowledge, extend, isolate, release, silence, unsilence
from plugwarden_collector.decide.alert import Alert, AlertRecord, AlertState
from plugwarden_collector.decide.labels import labels_of
from plugwarden_collector.decide.silence import silenced_by
from plugwarden_collector.decide.standing import Incident, Standing
from plugwarden_collector.matcher import read_matchers
from plugwarden_collector.rules.receiver import Receiver, ReceiverKind

from tests.collector.support.stores import AT
from tests.share import repetitions

ANN = Actor("ann")
PLUGINS = ("csv", "geo", "pdf")
RECEIVERS = (
    Receiver("hook"),
    Receiver("pages", severities=("page",)),
    Receiver("groups", group_by=("plugin",), repeat=timedelta(hours=1)),
    Receiver("am", kind=ReceiverKind.ALERTMANAGER, group_by=(), group_wait=timedelta(0), group_interval=timedelta(0),
             repeat=timedelta(minutes=5)),
    Receiver("boss", escalate_after=timedelta(minutes=10)),
)  # fmt: skip
MATCHERS = (
    "plugin=csv",
    "severity=page",
    "alertname=~shared.*",
    "plugin=~.+",
    "plugin!=geo severity=~.+",
    "component=disk",
)
SECONDS = (1, 20, 70, 400, 4_000, 20_000)
"""From one look to the next: less than all that is waited for, in between, and longer."""
ACTS = (
    "fire", "end", "isolate", "release", "cause", "spread", "cause over", "condition", "silence", "silence later", "unsilence",
    "extend", "ack", "restart", "away", "back", "wait", "wait",
)  # fmt: skip


def bound(receiver: Receiver) -> timedelta:
    """How long after it was there a receiver has been told."""
    waits = timedelta(0) if receiver.group_by is None else max(receiver.group_wait, receiver.group_interval)
    return waits + (receiver.escalate_after or timedelta(0))


class History:
    """Where things stand, what each receiver knows, and since when it should have been told."""

    def __init__(self) -> None:
        self.at, self.standing, self.condition = AT, Standing(), None
        self.tellings: dict[Key, Telling] = {}
        self.away: set[str] = set()
        self.since: dict[tuple[Key, str], datetime] = {}
        self.reported: set[str] = {JUDGING, HEALTH}
        self.condition: Subject | None = None

    def step(self, act: str, number: int, seconds: int) -> None:
        """Let something happen, and look."""
        self.at += timedelta(seconds=seconds)
        self._do(act, number, PLUGINS[number])
        self._speak()
        self.look()
        self.reported = {JUDGING, HEALTH}

    def look(self) -> None:
        """Tell who is there what is due, as the notifier does; then see what is untold."""
        found = subjects_of(self.standing)
        if HEALTH in self.reported and self.condition is not None:
            found += acknowledged([self.condition], self.standing)
        active = active_at(found, self.at)
        while self._deliver(active):  # after deliveries what is due is worked out anew
            pass
        self._check(active)

    def _deliver(self, active: dict[str, Subject]) -> bool:
        """Send what is due; return whether somebody took something."""
        known = Known(active, self.reported, self.tellings, RECEIVERS, self.standing.silences)
        known = replace(known, tellings=settled(known, {}, self.at))
        messages = due(known, self.at)
        after = owing(known, messages, self.at)
        due_now = group([item for item in messages if item.key in after], replace(known, tellings=after), self.at)
        sent = [message for item in due_now if item.receiver not in self.away for message in item.messages]
        for message in sent:
            after = taken(after, message, self.at)
        self.tellings = after
        return bool(sent)

    def _check(self, active: dict[str, Subject]) -> None:
        owed: set[tuple[Key, str]] = set()
        for receiver in (item for item in RECEIVERS if item.name not in self.away):
            for item in active.values():
                if self._must_know(receiver, item, active):
                    owed |= {((receiver.name, item.key), what) for what in self._missing(receiver, item)}
            for key, told in self.tellings.items():
                if key[0] == receiver.name and key[1] not in active and HEALTH in self.reported:
                    owed.add((key, "end" if told.told_at is not None else "beginning"))
        self.since = {what: self.since.get(what, self.at) for what in owed}
        limits = {receiver.name: bound(receiver) for receiver in RECEIVERS}
        for (key, what), since in self.since.items():
            waited = self.at - since
            assert waited < limits[key[0]], f"{key} has not been told of the {what} for {waited}"

    def _missing(self, receiver: Receiver, item: Subject) -> list[str]:
        told = self.tellings.get((receiver.name, item.key))
        known = item.known_until is not None and self.at < item.known_until
        if told is None or told.told_at is None or told.subject.started_at != item.started_at:
            return [] if known and receiver.escalate_after is not None else ["beginning"]
        return ["repeat"] if not known and self.at - told.told_at >= receiver.repeat else []

    def _must_know(self, receiver: Receiver, item: Subject, active: dict[str, Subject]) -> bool:
        if item.severity not in receiver.severities or silenced_by(self.standing.silences, item.labels, self.at):
            return False
        speaker = active.get(item.speaker or "")
        if speaker is None:
            return True
        told = self.tellings.get((receiver.name, speaker.key))
        return not (told is not None and told.told_at is not None) and not self._must_know(receiver, speaker, active)

    def _speak(self) -> None:
        """Mark who speaks for alerts, as each tick does."""
        for key, record in self.standing.alerts.items():
            held = (
                item.id
                for item in self.standing.quarantines.values()
                if item.in_force and item.scope.plugin == record.plugin
            )
            causes = (item.id for item in self.standing.incidents.values() if record.plugin in item.plugins)
            self.standing.alerts[key] = replace(record, inhibited_by=next(held, next(causes, None)))

    def _do(self, act: str, number: int, plugin: str) -> None:
        standing, at, length = self.standing, self.at, timedelta(seconds=SECONDS[number + 2])
        open_ = [item for item in standing.quarantines.values() if item.ended_at is None]
        silences = [item for item in standing.silences if item.ends_at > at]
        match act:
            case "fire" if f"a-{plugin}" not in standing.alerts:
                alert = Alert(f"a-{plugin}", AlertState.FIRING, at, at)
                severity = "ticket" if number == 2 else "page"
                self.standing = standing.copy()
                self.standing.alerts[f"a-{plugin}"] = AlertRecord(
                    alert, "burn", severity, "slo", plugin, "1", "it burns", "", at
                )
            case "end":
                self.standing = standing.copy()
                self.standing.alerts.pop(f"a-{plugin}", None)
            case "isolate" if not any(item.scope.plugin == plugin for item in open_):
                self.standing, _ = isolate(standing, Scope(plugin, "1"), "it fails", ANN, at)
            case "release" if open_:
                self.standing, _ = release(standing, open_[number % len(open_)].id, "enough", ANN, at)
            case "cause" | "spread":
                self.standing = standing.copy()
                plugins = PLUGINS if act == "spread" else PLUGINS[:2]
                before = standing.incidents.get("i-1")
                began = at if before is None else before.started_at
                self.standing.incidents["i-1"] = Incident("i-1", "db", f"db hurts {', '.join(plugins)}", plugins, began)
            case "cause over":
                self.standing = standing.copy()
                self.standing.incidents.pop("i-1", None)
            case "condition":
                labels = labels_of("disk fills", "page", component="disk")
                self.condition = None if self.condition else Subject("c-disk", labels, "it fills", "", at)
            case "silence" | "silence later":
                matchers = read_matchers(MATCHERS[(number * 2 + len(standing.silences)) % len(MATCHERS)].split())
                starts_at = at + length if act == "silence later" else None
                self.standing, _ = silence(standing, matchers, length, "known", ANN, at, starts_at=starts_at)
            case "unsilence" if silences:
                self.standing, _ = unsilence(standing, silences[number % len(silences)].id, "enough", ANN, at)
            case "extend" if silences:
                item = silences[number % len(silences)]
                longer: dict[str, Any] = {"limit": timedelta(days=31)}
                self.standing, _ = extend(standing, item.id, item.ends_at + length, "still", ANN, at, **longer)
            case "ack":
                known = [*subjects_of(standing), *([self.condition] if self.condition else [])]
                if known:
                    subject = known[number % len(known)]
                    self.standing, _ = acknowledge(standing, subject.key, "it", length, "on it", ANN, at)
            case "restart":
                rows = [row_of(key, item) for key, item in self.tellings.items()]
                self.tellings = dict(filter(None, map(telling_in, rows)))
                self.standing = replace(standing, silences=tuple(silences))
                self.reported = {JUDGING}  # the collector has not looked at itself yet
            case "away":
                self.away.add(RECEIVERS[number].name)
            case "back":
                self.away.clear()


@settings(max_examples=repetitions(10_000), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 2), st.sampled_from(SECONDS)), min_size=3, max_size=30))
def test_nothing_that_fails_is_untold_for_longer_than_the_rules_say(steps: list[tuple[str, int, int]]) -> None:
    history = History()
    for step in steps:
        history.step(*step)
    for _ in range(3):
        history.step("back", 0, 400)
