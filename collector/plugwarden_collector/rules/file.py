"""The rules file (TOML), with all its tables. Read as a whole or not at all; every problem names its place."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from plugwarden_collector.errors import RulesError

from .group_keys import expanded, groups_in
from .lines import line_of, lines_in
from .objective import Objective, Sli
from .policy import Policy
from .policy_keys import policy_in
from .receiver import Receiver
from .receiver_keys import receiver_in
from .slo_keys import objective_in
from .table import given_twice, tables, unknown_keys
from .text import decoded
from .windows_keys import windows_in
from .workable import shown

__all__ = ["DEFAULT_RULES", "Rules", "load_rules", "parse_rules"]

_TABLES = {"group", "policy", "receiver", "slo", "template", "windows"}
_AT = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
"""Where `tomllib` says that something is wrong."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything a rules file says."""

    objectives: tuple[Objective, ...]
    policy: Policy
    receivers: tuple[Receiver, ...] = ()
    source: str = "built in"
    """The file they come from."""
    warnings: tuple[str, ...] = ()
    """What is allowed but surely not meant; nothing is at present, for what cannot work is refused."""


DEFAULT_RULES = Rules(
    (Objective("availability", Sli.AVAILABILITY, 0.99, 30 * 86_400.0),),
    Policy(),
)
"""Without a file: 99 % of every plugin version's calls over 30 days, and a policy that only observes."""


def load_rules(path: Path) -> Rules:
    """The rules in a file; raises `RulesError` with every problem found."""
    try:
        text = decoded(path.read_bytes())
    except OSError as error:
        raise RulesError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except ValueError as error:
        raise RulesError(str(path), [str(error)]) from error
    return parse_rules(text, str(path))


def parse_rules(text: str, source: str) -> Rules:
    """The rules in a text; raises `RulesError` with every problem found."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # beside what tomllib names, numbers of thousands of digits
        raise RulesError(source, [_syntax(str(error), text)]) from error
    problems: list[str] = []
    unknown_keys(document, _TABLES, "", problems)
    groups, known = groups_in(document, problems), windows_in(document, problems)
    written = [(f"slo[{index}]", item) for index, item in tables(document, "slo", problems)]
    written += expanded(document, groups, problems)
    objectives = [objective_in(item, place, problems, known) for place, item in written]
    addressed = [(f"receiver[{index}]", item) for index, item in tables(document, "receiver", problems)]
    receivers = [receiver_in(item, place, problems) for place, item in addressed]
    policy = policy_in(document.get("policy", {}), problems)
    for named in (written, addressed):
        problems += given_twice((place, item.get("name")) for place, item in named)
    if not written and not problems:
        problems.append("slo: there is none; add at least one [[slo]] table, or a [[template]] and a [group.NAME]")
    if problems:
        lines = lines_in(text)
        # What is wrong with a template is wrong for each group that it is for.
        raise RulesError(source, [_with_line(problem, lines) for problem in dict.fromkeys(problems)])
    return Rules(
        tuple(item for item in objectives if item is not None),
        policy,
        tuple(item for item in receivers if item is not None),
        source,
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
