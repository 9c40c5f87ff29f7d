"""Rules files: TOML with all its tables, or objectives of other tools. Read as a whole or not at all; every problem names its place."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from plugwarden_collector.errors import RulesError

from .alert_keys import MAX_ALERT_RULES, alert_in
from .alert_rule import AlertRule
from .group_keys import expanded, groups_in
from .lines import line_of, lines_in
from .maintenance import Maintenance
from .maintenance_keys import MAX_WINDOWS, maintenance_in
from .objective import Objective, Sli
from .policy import Policy
from .policy_keys import policy_in
from .pushed_policy import PushedPolicy, pushed_in
from .receiver import Receiver
from .receiver_keys import receiver_in, untold
from .slo_keys import objective_in
from .table import given_twice, tables, unknown_keys
from .text import decoded, files_of, is_yaml
from .tiers import BUILT_IN, BurnWindows
from .upstream import Upstream
from .upstream_keys import MAX_UPSTREAMS, alerts_of, upstream_in
from .windows_keys import windows_in
from .workable import shown

__all__ = ["DEFAULT_RULES", "Rules", "load_rules", "parse_rules"]

_TABLES = {"alert", "group", "maintenance", "policy", "receiver", "slo", "template", "upstream", "windows"}
_AT = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
"""Where `tomllib` says that something is wrong."""
MAX_OBJECTIVES = 10_000
"""Objectives of a file: as many as one without templates can hold."""
_NO_SLO = "kind: there is no SLO, and of what is there nothing follows without one; add it, or name the folder with all files (line 1)"
_NOTHING = "slo: there is none; add at least one [[slo]] table, or a [[template]] and a [group.NAME]"


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything a rules file says."""

    objectives: tuple[Objective, ...]
    policy: Policy
    receivers: tuple[Receiver, ...] = ()
    source: str = "built in"
    """The file they come from."""
    warnings: tuple[str, ...] = ()
    """What is read otherwise than another tool's file says, or left out; of TOML what works and is surely not meant."""
    pushed: tuple[PushedPolicy, ...] = ()
    """What is done about alerts that others push."""
    alerts: tuple[AlertRule, ...] = ()
    """Alerts that rest on no objective of plugins, those on upstreams among them."""
    maintenance: tuple[Maintenance, ...] = ()
    """Times that come again at which nobody is told of some things."""

    @property
    def isolating(self) -> tuple[Objective, ...]:
        """Objectives that the automation judges by: whatever isolates looks at these alone."""
        return tuple(item for item in self.objectives if item.isolates)

    @property
    def upstreams(self) -> tuple[Upstream, ...]:
        """Objectives of upstreams, each once."""
        return tuple(dict.fromkeys(item.upstream for item in self.alerts if item.upstream is not None))


DEFAULT_RULES = Rules(
    (Objective("availability", Sli.AVAILABILITY, 0.99, 30 * 86_400.0),),
    Policy(),
)
"""Without a file: 99 % of every plugin version's calls over 30 days, and a policy that only observes."""


def load_rules(path: Path) -> Rules:
    """The rules in a file, or in the files of a folder together; raises `RulesError` with every problem found."""
    texts: dict[str, str] = {}
    name = ""
    try:
        for file in files_of(path):
            name = f"{file.name}: " if path.is_dir() else ""
            texts[file.name] = decoded(file.read_bytes())
    except OSError as error:
        raise RulesError(str(path), [f"{name}cannot be read: {error.strerror}"]) from error
    except ValueError as error:
        raise RulesError(str(path), [f"{name}{error}"]) from error
    if not path.is_dir():
        return parse_rules(texts[path.name], str(path))
    return _together(texts, str(path))


def parse_rules(text: str, source: str) -> Rules:
    """The rules in a text of TOML, or the objectives in one of YAML; raises `RulesError` with every problem found."""
    part = _foreign([text])[0] if is_yaml(text) else _toml(text)
    if not part.objectives and not part.problems:
        part.problems.append(_NO_SLO if is_yaml(text) else _NOTHING)
    if part.problems:
        raise RulesError(source, part.problems)
    return Rules(
        tuple(part.objectives),
        part.policy or Policy(),
        tuple(part.receivers),
        source,
        (*part.warnings, *_unmeant(part)),
        part.pushed,
        tuple(part.alerts),
        tuple(part.maintenance),
    )


@dataclass(slots=True)
class _Part:
    """What one file says."""

    objectives: list[Objective] = field(default_factory=list)
    policy: Policy | None = None
    pushed: tuple[PushedPolicy, ...] = ()
    receivers: list[Receiver] = field(default_factory=list)
    windows: list[BurnWindows] = field(default_factory=list)
    """Tables of its own."""
    alerts: list[AlertRule] = field(default_factory=list)
    maintenance: list[Maintenance] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def _together(texts: Mapping[str, str], source: str) -> Rules:
    """Return the rules of some files by their names; objects of OpenSLO may stand in another file than what refers to them."""
    whole = _Part()
    yaml = [name for name, text in texts.items() if is_yaml(text)]
    parts = dict(zip(yaml, _foreign([texts[name] for name in yaml]), strict=True)) if yaml else {}
    policies, names = list[str](), dict[tuple[str, str], str]()
    windows = dict[str, tuple[str, BurnWindows]]()
    for name, text in texts.items():
        part = parts[name] if name in parts else _toml(text)
        whole.problems += [f"{name}: {problem}" for problem in part.problems]
        whole.warnings += [f"{name}: {warning}" for warning in part.warnings]
        named = [("slo", item.name) for item in part.objectives]
        named += [("receiver", receiver.name) for receiver in part.receivers]
        named += [("alert", item.name) for item in part.alerts]
        named += [("maintenance", item.name) for item in part.maintenance]
        for kind, called in named:
            first = names.setdefault((kind, called), name)
            if first != name:
                whole.problems.append(
                    f"{name}: {kind} {shown(called)} stands in {first} already; each needs a name of its own"
                )
        for table in part.windows:
            elsewhere, same = windows.setdefault(table.name, (name, table))
            if same != table:
                whole.problems.append(
                    f"{name}: windows {shown(table.name)} stand in {elsewhere} with other tiers; each needs a name of its own"
                )
        whole.objectives += part.objectives
        whole.receivers += part.receivers
        whole.alerts += [replace(item, place=f"{name}: {item.place}") for item in part.alerts]
        whole.maintenance += part.maintenance
        if part.policy is not None:
            policies.append(name)
            whole.policy, whole.pushed = part.policy, part.pushed
    if len(policies) > 1:
        whole.problems.append(f"{policies[1]}: policy stands in {policies[0]} already; keep one")
    if not whole.objectives and not whole.problems:
        whole.problems.append(_NOTHING)
    if whole.problems:
        raise RulesError(source, whole.problems)
    return Rules(
        tuple(whole.objectives), whole.policy or Policy(), tuple(whole.receivers), source, (*whole.warnings, *_unmeant(whole)),
        whole.pushed, tuple(whole.alerts), tuple(whole.maintenance),
    )  # fmt: skip


def _unmeant(part: _Part) -> list[str]:
    """Return what works and is surely not meant."""
    none = "slo: none is of all calls of its plugins, so that nothing is ever isolated; add one without versions, operations and slice"
    return [*([] if any(item.isolates for item in part.objectives) else [none]), *untold(part.receivers)]


def _foreign(texts: Sequence[str]) -> list[_Part]:
    from .exchange.formats import opened, read_foreign  # rules in TOML, which most are, need none of it

    files = [opened(text) for text in texts]
    found = [read_foreign(file, (other for other in files if other is not file)) for file in files]
    return [_Part(item.objectives, problems=item.problems, warnings=item.warnings) for item in found]


def _toml(text: str) -> _Part:
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # beside what tomllib names, numbers of thousands of digits
        return _Part(problems=[_syntax(str(error), text)])
    problems: list[str] = []
    unknown_keys(document, _TABLES, "", problems)
    groups, known = groups_in(document, problems), windows_in(document, problems)
    written = [(f"slo[{index}]", item) for index, item in tables(document, "slo", problems)]
    written += islice(expanded(document, groups, problems), MAX_OBJECTIVES + 1)
    if len(written) > MAX_OBJECTIVES:
        problems.append(f"template: makes more than {MAX_OBJECTIVES} objectives in all; name fewer groups")
    objectives = [objective_in(item, place, problems, known) for place, item in written]
    addressed = [(f"receiver[{index}]", item) for index, item in tables(document, "receiver", problems)]
    receivers = [receiver_in(item, place, problems) for place, item in addressed]
    policy = policy_in(document["policy"], problems) if "policy" in document else None
    pushed = pushed_in(document.get("policy"), problems)
    watched = [(f"alert[{index}]", item) for index, item in tables(document, "alert", problems)]
    if len(watched) > MAX_ALERT_RULES:
        problems.append(f"alert: there are {len(watched)}; {MAX_ALERT_RULES} are the most that a file may have")
    lines = lines_in(text) if watched else {}
    alerts = [
        alert_in(item, place, problems, line_of(lines, f"{place}.sql") or 0)
        for place, item in watched[:MAX_ALERT_RULES]
    ]
    outward = [(f"upstream[{index}]", item) for index, item in tables(document, "upstream", problems)]
    if len(outward) > MAX_UPSTREAMS:
        problems.append(f"upstream: there are {len(outward)}; {MAX_UPSTREAMS} are the most that a file may have")
    upstreams = [(place, upstream_in(item, place, problems, known)) for place, item in outward[:MAX_UPSTREAMS]]
    closed = [(f"maintenance[{index}]", item) for index, item in tables(document, "maintenance", problems)]
    if len(closed) > MAX_WINDOWS:
        problems.append(f"maintenance: there are {len(closed)}; {MAX_WINDOWS} are the most that a file may have")
    maintenance = [maintenance_in(item, place, problems) for place, item in closed[:MAX_WINDOWS]]
    ours = {alert.name: place for place, item in upstreams if item is not None for alert in alerts_of(item, place)}
    problems += [
        f"{place}.name: {shown(item['name'])} is the name of an alert that {ours[item['name']]} makes already; give it another name"
        for place, item in watched
        if isinstance(item.get("name"), str) and item["name"] in ours
    ]
    for named in (written, addressed, watched, outward, closed):
        problems += given_twice((place, item.get("name")) for place, item in named)
    lines = lines or (lines_in(text) if problems else {})
    return _Part(
        [item for item in objectives if item is not None],
        policy,
        pushed,
        [item for item in receivers if item is not None],
        [table for name, table in known.items() if name not in BUILT_IN],
        [item for item in alerts if item is not None]
        + [alert for place, item in upstreams if item is not None for alert in alerts_of(item, place)],
        [item for item in maintenance if item is not None],
        # What is wrong with a template is wrong for each group that it is for.
        [_with_line(problem, lines) for problem in dict.fromkeys(problems)],
    )


def _syntax(said: str, text: str) -> str:
    """Return what is wrong with a text that is no TOML, with its line."""
    at = _AT.search(said)
    if at is None:
        return f"not valid TOML: {shown(said)[1:-1]}"
    number = int(at[1] or text.rstrip("\n").count("\n") + 1)
    key = re.match(
        r"\s*([\w-]+)\s*=", text.split("\n")[number - 1]
    )  # no more of the line: it may be the address of a receiver
    return (
        f"{key[1] + ': ' if key else ''}not valid TOML: {shown(said[: at.start()])[1:-1]}; each line is KEY = VALUE with texts in "
        f"quotes, or the [HEADER] of a table (line {number})"
    )


def _with_line(problem: str, lines: Mapping[str, int]) -> str:
    """Return a problem with the line of the file where it is, as far as that can be told."""
    line = line_of(lines, problem.partition(":")[0])
    return problem if line is None else f"{problem} (line {line})"
