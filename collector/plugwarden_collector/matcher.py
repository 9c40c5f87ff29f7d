"""Matchers: what is said of one label, written as Prometheus and Alertmanager write it. Silences and policies are made of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from .errors import MatcherError

__all__ = [
    "MAX_MATCHERS",
    "MAX_NAME",
    "MAX_VALUE",
    "Matcher",
    "Op",
    "all_match",
    "checked",
    "equal",
    "matchers_of",
    "read_matcher",
    "read_matchers",
]

MAX_MATCHERS = 10
"""Matchers of one silence or policy."""
MAX_NAME = 200
"""Characters of a label's name."""
MAX_VALUE = 1024
"""Characters of a label's value, and of a pattern."""
MAX_PATTERN_BYTES = 1 << 20
"""Memory of one compiled pattern; `(a{1000}){1000}` is refused. It takes time in proportion to the value, whatever it says."""
KEPT_PATTERNS = 4096
"""Compiled patterns that are kept, more than all silences and receivers have (`decide.acts.MAX_SILENCES`): each alert is asked about each
some times a second."""
_BARE = r'[^\s=!~"\'{}(),\\]+'
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_MATCHER = re.compile(rf"\s*(?P<name>{_QUOTED}|{_BARE})\s*(?P<op>=~|!~|!=|=)(?P<value>.*)", re.DOTALL)
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


class Op(StrEnum):
    """How a label is compared; a pattern has to match the whole of its value."""

    EQUAL = "="
    UNEQUAL = "!="
    LIKE = "=~"
    UNLIKE = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    """What is said of one label. Raises `MatcherError` when it can match nothing that there is."""

    name: str
    """Label."""
    value: str
    """Value, or RE2 pattern; a label that is not there has the empty value."""
    op: Op = Op.EQUAL

    def __post_init__(self) -> None:
        if not 1 <= len(self.name) <= MAX_NAME or not self.name.isprintable():
            raise MatcherError(
                f"{self.name[:60]!a}: the name of a label has 1 to {MAX_NAME} characters that can be seen"
            )
        if len(self.value) > MAX_VALUE:
            raise MatcherError(
                f"{self.name}: the value has {len(self.value)} characters; at most {MAX_VALUE} are taken"
            )
        if any(0xD800 <= ord(letter) <= 0xDFFF or letter == "\0" for letter in self.value):
            raise MatcherError(f"{self.name}: the value holds what is no character")
        if self.is_pattern:
            _compiled(self.value)

    @property
    def is_pattern(self) -> bool:
        """Whether the value is a pattern."""
        return self.op in {Op.LIKE, Op.UNLIKE}

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether it is true of these labels."""
        return self.is_true_of((labels.get(self.name, ""),))

    def is_true_of(self, values: Iterable[str]) -> bool:
        """Return whether it is true of a label with some values, as of a plugin with two owners: of one, or where it says what they are
        not, of all."""
        same = any(
            _compiled(self.value).fullmatch(it) is not None if self.is_pattern else it == self.value for it in values
        )
        return same == (self.op in {Op.EQUAL, Op.LIKE})

    def __str__(self) -> str:
        """Return it as `read_matcher` reads it."""
        name = self.name if re.fullmatch(_BARE, self.name) else _quoted(self.name)
        return f"{name}{self.op}{_quoted(self.value)}"


def read_matcher(text: str) -> Matcher:
    """Return the matcher that a text is, such as `plugin="csv"` or `version!~1\\..*`; raises `MatcherError`."""
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise MatcherError(f'{text[:80]!a} is no matcher; write NAME="VALUE", with =, !=, =~ or !~ between them')
    value = found["value"].strip()  # in the expression, many blanks would be tried in every division
    if '"' in value and not re.fullmatch(_QUOTED, value, re.DOTALL):
        raise MatcherError(f'{text[:80]!a} is no matcher; write NAME="VALUE", with =, !=, =~ or !~ between them')
    return Matcher(_unquoted(found["name"]), _unquoted(value), Op(found["op"]))


def read_matchers(texts: Iterable[str]) -> tuple[Matcher, ...]:
    """Return the matchers that texts are, checked; raises `MatcherError`."""
    return checked(map(read_matcher, texts))


def matchers_of(written: Mapping[str, str] | Iterable[str], *, choosing: bool = False) -> tuple[Matcher, ...]:
    """Return the matchers that are written as texts, or as labels that must be equal, checked; raises `MatcherError`. Those that choose
    among all that is told may be true of what has no label."""
    found = equal(written) if isinstance(written, Mapping) else tuple(map(read_matcher, written))
    return _counted(found) if choosing else checked(found)


def equal(labels: Mapping[str, str]) -> tuple[Matcher, ...]:
    """Return matchers by which each of some labels must have its value."""
    return tuple(Matcher(name, value) for name, value in labels.items())


def checked(matchers: Iterable[Matcher]) -> tuple[Matcher, ...]:
    """Return matchers that together are true of some alerts and not of all; raises `MatcherError` where there are none or too many, or
    where each is true of an alert without labels (Alertmanager refuses such silences, too)."""
    found = _counted(tuple(matchers))
    if all(item.matches({}) for item in found):
        raise MatcherError(f"{', '.join(map(str, found))}: at least one matcher must not match an empty value")
    return found


def _counted(found: tuple[Matcher, ...]) -> tuple[Matcher, ...]:
    if not 1 <= len(found) <= MAX_MATCHERS:
        raise MatcherError(f"{len(found)} matchers; write 1 to {MAX_MATCHERS}")
    return found


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Return whether all matchers are true of labels."""
    return all(item.matches(labels) for item in matchers)


@lru_cache(KEPT_PATTERNS)
def _compiled(pattern: str) -> Any:
    import re2  # type: ignore[import-untyped]  # most commands need none

    options = re2.Options()
    options.log_errors, options.max_mem = False, MAX_PATTERN_BYTES
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise MatcherError(f"{pattern[:80]!a} is no pattern of RE2: {why}") from error


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _unquoted(text: str) -> str:
    """Return what stands between quotes; without them, the text as it is. An escape that nobody knows stays as it is written, for
    patterns are full of them."""
    if not text.startswith('"'):
        return text
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), text[1:-1], flags=re.DOTALL)
