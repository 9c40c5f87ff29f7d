"""The rules file (TOML): objectives, policy, receivers. Read as a whole or not at all; every problem names its place."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from plugwarden_collector.errors import RulesError

from .lines import line_of
from .objective import Objective, Sli
from .policy import Policy
from .policy_keys import policy_in
from .receiver import Receiver
from .receiver_keys import receiver_in
from .slo_keys import objective_in
from .table import given_twice, tables, unknown_keys
from .text import decoded
from .workable import shown

__all__ = ["DEFAULT_RULES", "Rules", "load_rules", "parse_rules"]


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
        raise RulesError(source, [f"not valid TOML: {shown(str(error))[1:-1]}"]) from error
    problems: list[str] = []
    unknown_keys(document, {"slo", "policy", "receiver"}, "", problems)
    objectives = [objective_in(item, f"slo[{index}]", problems) for index, item in tables(document, "slo", problems)]
    receivers = [
        receiver_in(item, f"receiver[{index}]", problems) for index, item in tables(document, "receiver", problems)
    ]
    policy = policy_in(document.get("policy", {}), problems)
    for table in ("slo", "receiver"):
        problems += given_twice(document, table)
    if not document.get("slo") and not problems:
        problems.append("slo: there is none; add at least one [[slo]] table")
    if problems:
        raise RulesError(source, [_with_line(problem, text) for problem in problems])
    return Rules(
        tuple(item for item in objectives if item is not None),
        policy,
        tuple(item for item in receivers if item is not None),
        source,
    )


def _with_line(problem: str, text: str) -> str:
    """Return a problem with the line of the file where it is, as far as that can be told."""
    line = line_of(text, problem.partition(":")[0])
    return problem if line is None else f"{problem} (line {line})"
