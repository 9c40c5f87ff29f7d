"""Objectives as queries of Prometheus on the sidecar's own metrics, and back: what else a query counts cannot be judged here.

An objective is out of the calls that ended by themselves, but for those that their caller made wrongly, and of those that the plugin's
open breaker refused. The latter are bad; by an availability so are failures that the plugin is to blame for, by a latency slow calls. The
count of `plugin.invocation.duration` holds all of these, and what else the gate refused, by `plugin_outcome` and `plugin_error_source` (the
sidecar's `pipeline.exposition`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from plugwarden.contract import ErrorSource, Outcome
from plugwarden.contract.histogram import CLASSIC_EDGES_SECONDS
from plugwarden.contract.metrics import INVOCATION_DURATION

from plugwarden_collector.rules.duration import written
from plugwarden_collector.rules.objective import Objective, Sli
from plugwarden_collector.rules.pattern import EVERY, from_regex, literal, to_regex
from plugwarden_collector.rules.workable import shown

__all__ = ["COUNT", "WINDOW", "Meaning", "Queries", "QueryError", "meaning_of", "queries_of", "query_problem"]

COUNT = INVOCATION_DURATION.name.replace(".", "_") + "_seconds_count"
BUCKET = INVOCATION_DURATION.name.replace(".", "_") + "_seconds_bucket"
MAX_QUERY = 10_000
"""Characters of a query that is read; Sloth's longest example has 300."""
WINDOW = "{{.window}}"
"""Place of a window in a query, as Sloth writes it."""
_LABELS = {"plugin_id": "plugins", "plugin_version": "versions", "plugin_operation": "operations"}
"""Labels that say whose calls they are, and the keys of an objective that have their patterns."""
_OF_ENDED = 'plugin_outcome=~"{}",plugin_error_source!="{}"'.format(
    "|".join(sorted(item for item in Outcome if item.ended)), ErrorSource.CALLER
)
_BAD = "|".join(sorted([*(item for item in Outcome if item.failed), Outcome.REJECTED]))
_BLAMED = f'plugin_error_source="{ErrorSource.PLUGIN}"'
_REFUSED = f'{_BLAMED},plugin_outcome="{Outcome.REJECTED}"'

_TEXT = r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'"
_SELECTOR = re.compile(rf"([a-zA-Z_:][\w:]*)\s*(\{{(?:[^{{}}\"']|{_TEXT})*\}})?\s*(\[[^]]*\])?")
_MATCHER = re.compile(rf"\s*(\w+)\s*(=~|!~|!=|=)\s*({_TEXT})\s*(?:,|$)")
_WORDS = frozenset({"sum", "by", "rate", "increase", "or", "plugin_id"})
_TERM = r"(?:rate\(#\d+\)|#\d+)"
_BARE = rf"(?:sum(?:by\(plugin_id\))?\({_TERM}(?:or{_TERM})*\)|{_TERM})"
_PART = rf"(?:{_BARE}|\({_BARE}\))"
_SHAPE = re.compile(rf"(?P<first>{_PART})(?:(?P<sign>-|or0\*)(?P<second>{_PART}))?")
_KINDS = frozenset(
    (outcome, source)
    for outcome in Outcome
    for source in ([*ErrorSource, ""] if outcome.failed or outcome is Outcome.REJECTED else [""])
    if source or not outcome.failed
)
"""Calls that there are: (outcome, error source). A call refused with a source is one that a breaker refused."""
_FAILED_OF_PLUGIN = frozenset((item, ErrorSource.PLUGIN) for item in (*Outcome,) if item.failed)
JUDGED_BAD = _FAILED_OF_PLUGIN | {(Outcome.REJECTED, ErrorSource.PLUGIN)}
ENDED = frozenset(kind for kind in _KINDS if kind[0].ended and kind[1] != ErrorSource.CALLER)
JUDGED = ENDED | {(Outcome.REJECTED, ErrorSource.PLUGIN)}


class QueryError(ValueError):
    """A query that cannot be judged here: why, and what to write instead."""

    def __init__(self, wrong: str, *, of_total: bool = False) -> None:
        super().__init__(wrong)
        self.of_total = of_total
        """Whether it is the query of all calls that is wrong."""


@dataclass(frozen=True, slots=True)
class Queries:
    """An objective as queries, each for every plugin by itself, with `WINDOW` for the window."""

    bad: str
    """Rate of the calls that are bad; 0 where there are calls and none is bad."""
    total: str
    """Rate of the calls that it is out of."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What two queries say, as keys of an `[[slo]]` table."""

    keys: dict[str, Any]
    """`sli`, `plugins`, where they are narrowed `versions` and `operations`, and of a latency `threshold`."""
    differs: str
    """How what is judged differs from it, in a sentence; empty where it does not."""


def queries_of(objective: Objective) -> Queries:
    """Return the queries of an objective."""
    matchers = (_matcher(label, getattr(objective, key)) for label, key in _LABELS.items())
    return _QUERIES[objective.sli](objective, ",".join(filter(None, matchers)))


def _availability(objective: Objective, whose: str) -> Queries:
    total = _total(whose)
    bad = _summed(_rate(COUNT, whose, _BLAMED, f'plugin_outcome=~"{_BAD}"'))
    return Queries(f"{bad} or 0 * {total}", total)


def _latency(objective: Objective, whose: str) -> Queries:
    total = _total(whose)
    good = _summed(_rate(BUCKET, whose, _OF_ENDED, f'le="{objective.threshold_seconds!r}"'))
    return Queries(f"{total} - {good}", total)


def _total(whose: str) -> str:
    return _summed(_rate(COUNT, whose, _OF_ENDED), _rate(COUNT, whose, _REFUSED))


_QUERIES: Mapping[Sli, Callable[[Objective, str], Queries]] = {Sli.AVAILABILITY: _availability, Sli.LATENCY: _latency}
"""Kinds of SLI that are ratios of calls; `query_problem` says why others are none."""


def query_problem(objective: Objective) -> tuple[str, str] | None:
    """Return the key that keeps an objective from being a query, and why: Prometheus looks back over lengths of time, and `/metrics` of a
    sidecar has buckets at some durations alone."""
    if objective.saturation is not None:
        return (
            "sli",
            "minutes in which a limit was nearly full are no ratio of two rates, and a subquery would look at moments of its own; leave it "
            "out of what Prometheus and Sloth get",
        )
    if objective.slices is not None:
        return (
            "slice",
            "a budget of slices is no ratio of two rates; leave it out of what Prometheus and Sloth get, or write an objective of calls",
        )
    if objective.calendar is not None:
        return (
            "period",
            f"a {objective.calendar.unit} of the calendar is no range of a query; write a length such as 30d",
        )
    threshold = objective.threshold_seconds
    if threshold is None or threshold in CLASSIC_EDGES_SECONDS:
        return None
    near = sorted(sorted(CLASSIC_EDGES_SECONDS, key=lambda edge: abs(edge - threshold))[:2])
    words = " or ".join(f"{edge:g} s" for edge in near)
    return "threshold", f"{threshold:g} s is no bucket that a sidecar shows to Prometheus; write {words}"


def meaning_of(total: str, *, bad: str | None = None, good: str | None = None) -> Meaning:
    """Return what a query of bad, or of good, calls and one of all say. Raises `QueryError`."""
    part = _Query(bad if bad is not None else good or "")
    try:
        whole = _Query(total)
    except QueryError as error:
        raise QueryError(str(error), of_total=True) from error
    if whole.threshold is not None:
        raise QueryError(f"counts buckets; write {COUNT} for all calls", of_total=True)
    if whole.second is not None or (part.second is not None and bad is None):
        raise QueryError("is a difference of which nothing is known; " + _instead(), of_total=whole.second is not None)
    if whole.patterns != part.patterns:
        label = next(name for name in _LABELS if whole.patterns[name] != part.patterns[name])
        raise QueryError(f"the two queries are about different {_LABELS[label]}; write the same {label} in both")
    lengths = sorted(whole.lengths | part.lengths)
    if len(lengths) > 1:
        raise QueryError(
            f"counts over different ranges, {' and '.join(shown(item) for item in lengths)}; write the same everywhere"
        )
    plugins = whole.patterns["plugin_id"]
    narrowed = {_LABELS[label]: pattern for label, pattern in whole.patterns.items() if pattern != EVERY}
    keys: dict[str, Any] = {"sli": Sli.AVAILABILITY.value, "plugins": plugins, **narrowed}
    if part.threshold is not None:
        keys |= {"sli": Sli.LATENCY.value, "threshold": written(part.threshold)}
        exact = _check_latency(whole, part, bad)
        meant = "calls that took longer than the threshold, and calls that its open breaker refused"
    else:
        exact = _check_availability(whole, part, bad)
        meant = "failures that the plugin is to blame for, and calls that its open breaker refused"
    said = [] if exact else [f"judged are {meant}, of all but those that their caller made wrongly"]
    if literal(plugins) is None and not (whole.by_plugin and part.by_plugin):
        said.append("each plugin has a budget of its own")
    return Meaning(keys, "; ".join(said))


def _check_availability(whole: _Query, part: _Query, bad: str | None) -> bool:
    if part.second is not None:
        raise QueryError("is a difference of which nothing is known; " + _instead())
    failing = part.kinds if bad is not None else whole.kinds - part.kinds
    success = (Outcome.SUCCESS, "")
    if (
        success in failing
        or success not in whole.kinds
        or not failing >= _FAILED_OF_PLUGIN & {(Outcome.ERROR, ErrorSource.PLUGIN)}
    ):
        raise QueryError("counts other calls than those that fail, of all; " + _instead())
    return failing == JUDGED_BAD and whole.kinds == JUDGED


def _check_latency(whole: _Query, part: _Query, bad: str | None) -> bool:
    if bad is not None and (part.second is None or part.sign != "-"):
        raise QueryError(f"counts the calls that were fast as bad; write all - fast, with {COUNT} and {BUCKET}")
    fast = part.second if part.second is not None else part.kinds
    if not fast >= {(Outcome.SUCCESS, "")} or not whole.kinds >= fast:
        raise QueryError("counts other calls than those that were fast, of all; " + _instead())
    return fast == ENDED and whole.kinds == JUDGED


class _Query:
    """A query taken apart."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_QUERY:
            raise QueryError(f"has {len(text)} characters; {MAX_QUERY} are read at most. {_instead().capitalize()}")
        self._selectors: list[tuple[str, str | None]] = []
        self.lengths: set[str] = set()
        """Ranges of its selectors, as they are written."""
        shape = re.sub(r"\s+", "", _SELECTOR.sub(self._note, text)).replace("increase(", "rate(")
        if not self._selectors:
            raise QueryError(f"{shown(text.strip())} counts no calls of plugins; {_instead()}")
        while shape.startswith("(") and shape.endswith(")") and _SHAPE.fullmatch(shape[1:-1]):
            shape = shape[1:-1]
        match = _SHAPE.fullmatch(shape)
        if match is None:
            raise QueryError(f"is a query whose form is not known; {_instead()}")
        self.sign = match["sign"]
        self.by_plugin = "by(plugin_id)" in match["first"]
        read = [self._read(*selector) for selector in self._selectors]
        self.patterns = read[0][0]
        """Labels that say whose calls they are, each with its pattern."""
        for patterns, _, _ in read:
            for label, pattern in patterns.items():
                if pattern != self.patterns[label]:
                    raise QueryError(f"is about different {_LABELS[label]}; write the same {label} everywhere")
        first, second = (
            [read[int(number)] for number in re.findall(r"#(\d+)", part or "")]
            for part in match.group("first", "second")
        )
        self.kinds = frozenset().union(*(kinds for _, kinds, _ in first))
        subtracted = second if self.sign == "-" else []  # the other sign adds nothing but zeros
        self.second = frozenset().union(*(kinds for _, kinds, _ in subtracted)) if subtracted else None
        edges = {edge for _, _, edge in read if edge is not None}
        if len(edges) > 1 or (self.second is not None and any(edge is not None for _, _, edge in first)):
            raise QueryError("is of several thresholds; write one bucket")
        self.threshold = next(iter(edges), None)

    def _note(self, match: re.Match[str]) -> str:
        """Return what stands for a selector, or for a word, in the form of a query."""
        name, matchers, length = match.groups()
        if name in _WORDS and matchers is None:
            return match[0]
        if name not in (COUNT, BUCKET):
            raise QueryError(f"counts {shown(name)}, which are no calls of plugins; {_instead()}")
        self._selectors.append((name, matchers))
        self.lengths.add(re.sub(r"\s+", "", length or ""))
        return f"#{len(self._selectors) - 1}"

    def _read(self, metric: str, matchers: str | None) -> tuple[dict[str, str], frozenset[Any], float | None]:
        """Return the pattern of each label of `_LABELS`, the kinds of calls, and the bucket of one selector."""
        patterns: dict[str, str] = {}
        kinds, edge = set(_KINDS), None
        for name, sign, value in _matchers(matchers or "{}"):
            if name in _LABELS:
                if name in patterns:
                    raise QueryError(f"names {name} twice in one selector; write one pattern")
                patterns[name] = _pattern(name, sign, value)
            elif name == "le" and metric == BUCKET:
                if edge is not None:
                    raise QueryError("names le twice in one selector; write one")
                edge = _edge(sign, value)
            elif name in ("plugin_outcome", "plugin_error_source"):
                place = ("plugin_outcome", "plugin_error_source").index(name)
                words = _words(sign, value)
                kinds = {kind for kind in kinds if (kind[place] in words) is (sign in ("=", "=~"))}
            elif name == "error_type" and (sign, value) == ("=", "circuit_open"):
                kinds = {kind for kind in kinds if kind[0] is Outcome.REJECTED and kind[1]}
            else:
                raise QueryError(
                    f"is narrowed by {name}, and an objective is of a plugin wherever it runs; leave it out"
                )
        if metric == BUCKET and edge is None:
            raise QueryError('counts buckets, and names none; write one, such as le="0.25"')
        return {name: patterns.get(name, EVERY) for name in _LABELS}, frozenset(kinds), edge


def _instead() -> str:
    return f"write those of {COUNT}, or give the plugins in an [[slo]] table"


def _matchers(text: str) -> Iterable[tuple[str, str, str]]:
    rest, found = text[1:-1].strip(), []
    while rest:
        match = _MATCHER.match(rest)
        if match is None:
            raise QueryError(f'has a label that cannot be read at {shown(rest)}; write NAME="VALUE"')
        found.append((match[1], match[2], re.sub(r"\\(.)", r"\1", match[3][1:-1])))
        rest = rest[match.end() :]
    return found


def _pattern(name: str, sign: str, value: str) -> str:
    found = from_regex(value) if sign == "=~" else value if sign == "=" and literal(value) else None
    if not found:
        raise QueryError(
            f'{name}{sign}{shown(value)} is no pattern; write one in full, or parts of one with .*, such as "image-.*"'
        )
    return found


def _edge(sign: str, value: str) -> float:
    try:
        edge = float(value) if sign == "=" else 0.0
    except ValueError:
        edge = 0.0
    if not 0 < edge < float("inf"):
        raise QueryError(f'le{sign}{shown(value)} is no threshold; write one in seconds, such as le="0.25"')
    return edge


def _words(sign: str, value: str) -> set[str]:
    """Return the words that a matcher names: what regular expressions can do beside that is not read."""
    if sign in ("=", "!="):
        return {value}
    words = value.removeprefix("(").removesuffix(")").split("|")
    if not all(re.fullmatch(r"\w*", word) for word in words):
        raise QueryError(f"{sign}{shown(value)} is no list of words; write them with | between, such as error|timeout")
    return set(words)


def _matcher(label: str, pattern: str) -> str:
    if pattern == EVERY:
        return ""
    one = literal(pattern)
    sign, value = ("=", one) if one is not None else ("=~", to_regex(pattern))
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{label}{sign}"{escaped}"'


def _rate(metric: str, *matchers: str) -> str:
    return f"rate({metric}{{{','.join(filter(None, matchers))}}}[{WINDOW}])"


def _summed(*rates: str) -> str:
    return f"sum by (plugin_id) ({' or '.join(rates)})"
