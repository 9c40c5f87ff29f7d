"""What to do about an alert, a quarantine or a shared cause: what the rules say of it, and what follows from what is known. Pure.

Names from telemetry are hostile: prose goes through `announce.signs`, and commands stand in blocks of their own.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from textwrap import fill

from plugwarden_collector.decide.alert import AlertRecord, AlertState
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.silence import silenced_by
from plugwarden_collector.decide.standing import Incident, Standing
from plugwarden_collector.decide.upstream import UPSTREAM, is_upstream
from plugwarden_collector.durations import moment
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.wording import harmless, one_line

from .signs import Form, as_markdown, in_address
from .subject import Subject, subject_of_alert, subject_of_incident, subject_of_quarantine
from .text import link_to

__all__ = ["Runbook", "Step", "runbook_of", "with_runbooks"]

COLUMNS = 80
"""Columns of a line of prose; a command stays on one, so that it can be copied."""
NAMED = 5
"""Plugins of a shared cause that are named, and quarantines and suggestions of a plugin."""
_ADDRESS = re.compile(r"https?://\S+")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to look at, or to try."""

    why: str
    what: str = ""
    """A command, a statement or an address; empty where the words say all."""


@dataclass(frozen=True, slots=True)
class Runbook:
    """What to do about one thing, filled in."""

    title: str
    known: tuple[str, ...]
    own: tuple[tuple[str, str], ...] = ()
    """Whose text or address, and that."""
    look: tuple[Step, ...] = ()
    attempt: tuple[Step, ...] = ()
    owners: tuple[str, ...] = ()
    done: tuple[str, ...] = ()
    """What was done already, and until when."""

    @property
    def text(self) -> str:
        """The whole for a terminal, 80 columns wide but for commands and what the rules say."""
        return self._written(lambda value: value)

    @property
    def markdown(self) -> str:
        """The whole as Markdown, in which nothing from telemetry is read as such."""
        return self._written(as_markdown)

    def _written(self, escape: Form) -> str:
        parts = [f"# {escape(one_line(self.title))}", *_items(self.known, escape)]
        for whose, text in self.own:
            shown = f"<{text}>" if _ADDRESS.fullmatch(text) else harmless(text).strip()
            parts += [f"## The runbook of {escape(one_line(whose))}", shown]
        parts += _steps("What to look at", self.look, escape)
        parts += _steps("What to try", self.attempt, escape)
        asked = self.owners or (
            "Nobody is named: an owner of the objective, group or alert in the rules would stand here.",
        )
        parts += ["## Whom to ask", *_items(asked, escape)]
        parts += ["## What was done already", *_items(self.done or ("Nothing is isolated for it.",), escape)]
        return "\n\n".join(parts) + "\n"


def runbook_of(key: str, standing: Standing, rules: Rules, at: datetime, public_url: str = "") -> Runbook | None:
    """Return what to do about an alert, by its fingerprint, or a quarantine or a shared cause, by its id; None where there is none."""
    if (record := standing.alerts.get(key)) is not None:
        return _of_alert(record, standing, rules, at, public_url)
    if (held := standing.quarantines.get(key)) is not None:
        return _of_quarantine(held, standing, rules, public_url)
    if (incident := standing.incidents.get(key)) is not None:
        return _of_incident(incident, standing, rules, public_url)
    return None


def with_runbooks(subjects: Iterable[Subject], standing: Standing, rules: Rules) -> list[Subject]:
    """Return subjects with the address of each one's runbook, where the rules give one."""
    of_slo = {item.name: item.runbook for item in rules.objectives if item.runbook}
    of_rule = {item.name: item.runbook for item in rules.alerts if item.runbook}
    if not of_slo and not of_rule:
        return list(subjects)
    general = [item for item in rules.objectives if _ADDRESS.fullmatch(item.runbook)]

    def said_of(subject: Subject) -> str:
        record = standing.alerts.get(subject.key)
        if record is not None and not record.watched:
            return of_slo.get(record.slo, "")
        if record is not None and record.name in of_rule:
            return of_rule[record.name]
        plugin = subject.labels.get("plugin")
        return "" if plugin is None else next((item.runbook for item in general if item.covers(plugin)), "")

    found = ((subject, said_of(subject)) for subject in subjects)
    return [replace(subject, runbook=said) if _ADDRESS.fullmatch(said) else subject for subject, said in found]


def _of_alert(record: AlertRecord, standing: Standing, rules: Rules, at: datetime, public_url: str) -> Runbook:
    subject, alert = subject_of_alert(record), record.alert
    own, owners = _said_of(record, rules)
    since = alert.firing_at if alert.state is AlertState.FIRING else alert.pending_at
    known = [f"{record.severity}, {alert.state.value}" + (f" since {moment(since)}" if since is not None else "")]
    known += [text for text in (subject.description, subject.sure) if text]
    silence = silenced_by(standing.silences, record.labels(), at)
    done = _done_for([record.plugin], standing) if record.plugin else []
    if record.inhibited_by is not None:
        done.append(f"{record.inhibited_by} speaks for it: people are told of that instead.")
    if silence is not None:
        item = next(item for item in standing.silences if item.id == silence)
        done.append(f"{item.created_by} silenced it until {moment(item.ends_at)}: {item.comment}")
    look = _look_at(record.plugin, public_url) if record.plugin else []
    mine = (item for item in rules.alerts if record.watched and item.name == record.name and item.sql)
    look += [Step("Its statement; $at is the time of a look:", item.sql.strip()) for item in mine]
    look.append(Step("How the alert came, and whether it comes and goes:", "plugwarden alerts --all"))
    attempt = _try_with(record.plugin, record.version) if record.plugin else []
    if is_upstream(record):
        suffer = sorted(record.detail.get("plugins", {}))
        known.append(f"Plugins that see it fail: {', '.join(suffer[:NAMED])}{_more(suffer)}.")
        done += _done_for(suffer, standing)
        look += [
            Step(
                "Who calls it, how often it fails, and what is left of its budget:",
                _command("upstreams", record.more[UPSTREAM]),
            ),
            *(step for name in suffer[:NAMED] for step in _look_at(name, "")),
        ]
        attempt = [
            Step("Ask who answers for the upstream, with the figures above."),
            Step(
                "Do not isolate the plugins that call it: they are well, and it stays as it is. Who works without it may take a fallback."
            ),
        ]
    elif record.watched and not attempt:
        attempt = [Step("It is about no plugin: what helps is in its statement alone.")]
    return Runbook(subject.summary, tuple(known), own, tuple(look), tuple(attempt), owners, tuple(done))


def _of_quarantine(item: Quarantine, standing: Standing, rules: Rules, public_url: str) -> Runbook:
    own, owners = _parted(_of_objectives([item.scope.plugin], rules))
    subject = subject_of_quarantine(item)
    known = [item.reason]
    if subject is not None:
        known += [text for text in (subject.sure, subject.error) if text]
    done = [_course(item), *_done_for([item.scope.plugin], standing, but=item.id)]
    look = [*_look_at(item.scope.plugin, public_url)]
    if subject is not None and subject.trace:
        look.append(
            Step("A trace that shows it:", link_to(public_url, f"trace?trace_id={subject.trace}") or subject.trace)
        )
    look.append(Step("The decision with what it rests on:", "plugwarden audit list"))
    attempt = []
    if item.ended_at is None and item.state.word == "degraded":
        attempt = [
            Step("Follow the suggestion:", _command("approve", item.id, "--reason", "…")),
            Step("Or say that it is wrong:", _command("decline", item.id, "--reason", "…")),
        ]
    elif item.ended_at is None:
        attempt = [
            Step("Mend the plugin and bring out another version: it is let in by itself once it proves well."),
            Step("Let it in again, when you know that it is well:", _command("release", item.id, "--reason", "…")),
        ]
    return Runbook(
        f"{item.scope} {'is' if item.ended_at is None else 'was'} {item.state.word}",
        tuple(known),
        own,
        tuple(look),
        tuple(attempt),
        owners,
        tuple(done),
    )


def _of_incident(item: Incident, standing: Standing, rules: Rules, public_url: str) -> Runbook:
    own, owners = _parted(_of_objectives(item.plugins, rules))
    known = [f"{item.cause} since {moment(item.started_at)}", f"It hurts {', '.join(item.plugins)}."]
    look = [step for name in item.plugins[:NAMED] for step in _look_at(name, "")]
    look.append(
        Step("The page of alerts:", link_to(public_url, "alerts"))
        if public_url
        else Step("All alerts:", "plugwarden alerts")
    )
    attempt = [Step(f"Look after {item.cause} itself: its plugins are well, and nobody isolates them for it.")]
    return Runbook(
        subject_of_incident(item).summary, tuple(known), own, tuple(look), tuple(attempt), owners, tuple(_done_for(item.plugins, standing))
    )  # fmt: skip


def _said_of(record: AlertRecord, rules: Rules) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Return whose runbooks are about an alert, with them, and who answers for it. What its own rule does not say, objectives may."""
    if not record.watched:
        of_slo = [item for item in rules.objectives if item.name == record.slo]
        return _parted([(f"the objective {item.name}", item.runbook, item.owner) for item in of_slo])
    mine = [(f"the alert {item.name}", item.runbook, item.owner) for item in rules.alerts if item.name == record.name]
    if record.plugin and not any(runbook for _, runbook, _ in mine):
        mine += _of_objectives([record.plugin], rules)
    return _parted(mine)


def _of_objectives(plugins: Sequence[str], rules: Rules) -> list[tuple[str, str, str]]:
    return [
        (f"the objective {item.name}", item.runbook, item.owner)
        for item in rules.objectives
        if any(map(item.covers, plugins))
    ]


def _parted(said: Sequence[tuple[str, str, str]]) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Return each runbook once, with whose it is, and each owner once."""
    texts: dict[str, str] = {}
    for whose, runbook, _ in said:
        if runbook:
            texts.setdefault(runbook, whose)
    return tuple((whose, text) for text, whose in texts.items()), tuple(
        dict.fromkeys(owner for *_, owner in said if owner)
    )


def _look_at(plugin: str, public_url: str) -> list[Step]:
    steps = [Step("State, versions, latency, errors and budgets of the plugin:", _command("plugins", plugin))]
    if public_url:
        steps.append(Step("Its page:", link_to(public_url, f"plugin?plugin={in_address(plugin)}")))
    return steps


def _try_with(plugin: str, version: str | None) -> list[Step]:
    narrowed = [] if version is None else [f"--version={one_line(version)}"]
    return [
        Step(
            "What isolating it would cost now; nothing is done:",
            _command("quarantine", plugin, *narrowed, "--dry-run", "--reason", "…"),
        ),
        Step("Isolate it, for an hour:", _command("quarantine", plugin, *narrowed, "--hold", "1h", "--reason", "…")),
    ]


def _done_for(plugins: Sequence[str], standing: Standing, but: str = "") -> list[str]:
    """Return what is isolated, suggested or told as one cause of some plugins."""
    held = [
        item for item in standing.quarantines.values()
        if item.ended_at is None and item.superseded_by is None and item.scope.plugin in plugins and item.id != but
    ]  # fmt: skip
    found = [_course(item) for item in held[:NAMED]]
    if len(held) > NAMED:
        found.append(f"And {len(held) - NAMED} more: plugwarden quarantines lists them.")
    found += [
        f"{item.id}: one cause that plugins share, {item.cause}, since {moment(item.started_at)}"
        for item in standing.incidents.values()
        if set(item.plugins) & set(plugins)
    ]
    return found


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - NAMED} more" if len(names) > NAMED else ""


def _course(item: Quarantine) -> str:
    """Return what was done about a scope, by whom, and until when, as a sentence."""
    if item.ended_at is not None:
        return (
            f"{item.id}: {item.scope} was {item.state.word} from {moment(item.started_at)} to {moment(item.ended_at)}."
        )
    until = "until a person decides" if item.hold_until is None else f"held until {moment(item.hold_until)}"
    return f"{item.id}: {item.scope} is {item.state.word} by {item.actor} since {moment(item.started_at)}, {until}: {item.reason}"


def _command(command: str, name: str, *options: str) -> str:
    """Return a command that can be copied, whatever the name: one that begins like an option stands behind `--`."""
    shown = shlex.quote(one_line(name))
    given = " ".join(map(shlex.quote, options))
    parts = (
        ["plugwarden", command, given, "--", shown] if name.startswith("-") else ["plugwarden", command, shown, given]
    )
    return " ".join(part for part in parts if part)


def _steps(heading: str, steps: Sequence[Step], escape: Form) -> list[str]:
    parts = [f"## {heading}"] if steps else []
    for step in steps:
        parts.append(_filled(escape(one_line(step.why))))
        if step.what:
            parts.append("\n".join(f"    {harmless(line)}".rstrip() for line in step.what.splitlines()))
    return parts


def _items(lines: Sequence[str], escape: Form) -> list[str]:
    return [
        "\n".join(
            fill(
                f"- {escape(one_line(line))}",
                COLUMNS,
                subsequent_indent="  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
            for line in lines
        )
    ]


def _filled(text: str) -> str:
    return fill(text, COLUMNS, break_long_words=False, break_on_hyphens=False)
