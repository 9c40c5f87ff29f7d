"""An objective as another tool's file says it: the keys of an `[[slo]]` table, and where each of them stands."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.slo_keys import SLO_KEYS, objective_in
from plugwarden_collector.rules.table import nearest
from plugwarden_collector.rules.tiers import BUILT_IN, BurnWindows
from plugwarden_collector.rules.windows_keys import windows_in
from plugwarden_collector.rules.workable import shown
from plugwarden_collector.rules.yaml_text import Value

from .promql import QueryError, meaning_of
from .tables import value_of

__all__ = ["Draft", "Found", "percent_of", "ratio_of"]


@dataclass(slots=True)
class Found:
    """What reading documents has come to so far."""

    objectives: list[Objective] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What cannot be read or judged, each with place, line and mend."""
    warnings: list[str] = field(default_factory=list)
    """What is read otherwise than it says, or left out; each with place and line."""
    names: dict[str, Value] = field(default_factory=dict)
    """Where each objective stands."""
    tables: dict[float, BurnWindows] = field(default_factory=dict)
    """Tables of windows of Sloth, by the period of the objectives that they are for, in seconds."""

    def refuse(self, value: Value, wrong: str) -> None:
        """Note what cannot be read or judged."""
        self.problems.append(value.says(wrong))

    def warn(self, value: Value, said: str) -> None:
        """Note what is read otherwise, or left out."""
        self.warnings.append(value.says(said))

    def text(self, parent: Value, key: str, *, needed: bool = False) -> Value | None:
        """Return the text below a key; None where it is missing or no text, which is noted."""
        value = parent.at(key)
        if value is None:
            if needed:
                self.problems.append(_below(parent, key).says("is missing; write a text"))
            return None
        if isinstance(value.value, dict | list):
            self.refuse(value, "must be a text")
            return None
        return value

    def mapping(self, parent: Value, key: str, *, needed: bool = False) -> Value | None:
        """Return the mapping below a key; None where it is missing or none, which is noted."""
        value = parent.at(key)
        if value is None:
            if needed:
                self.problems.append(_below(parent, key).says("is missing; write its keys below it, indented"))
            return None
        if not isinstance(value.value, dict):
            self.refuse(value, f"{shown(value.text)} must have keys below it, indented")
            return None
        return value

    def list_of(self, parent: Value, key: str, *, needed: bool = False) -> list[Value]:
        """Return the mappings in the list below a key; what is none is noted."""
        value = parent.at(key)
        if value is None or not isinstance(value.value, list) or (needed and not value.value):
            if value is not None or needed:
                self.problems.append(_below(parent, key).says("must be a list; begin each item with -"))
            return []
        for item in value.items:
            if not isinstance(item.value, dict):
                self.refuse(item, f"{shown(item.text)} must have keys")
        return [item for item in value.items if isinstance(item.value, dict)]

    def known(self, parent: Value, keys: Collection[str]) -> None:
        """Note keys that a mapping may not have."""
        for key, value in parent.fields.items():
            if key not in keys:
                self.refuse(value, f"unknown{nearest(key, keys)}")


def _below(parent: Value, key: str) -> Value:
    return Value(None, parent.line, f"{parent.place}.{key}" if parent.place else key)


class Draft:
    """An objective that is being read."""

    def __init__(self, found: Found, whole: Value) -> None:
        self._found, self._whole = found, whole
        self._places: dict[str, Value] = {}
        self._windows: Mapping[str, BurnWindows] = BUILT_IN
        self._labels: dict[str, str] = {}
        self._label_names: dict[str, str] = {}
        """What each was called where it was written first."""
        self.table: dict[str, Any] = {}

    def put(self, key: str, value: Any, at: Value | None) -> None:
        """Set a key from a value of the file; nothing where that is None."""
        if at is not None and value is not None:
            self.table[key] = value
            self._places[key] = at

    def text(self, key: str, at: Value | None) -> None:
        """Set a key from a text; an empty one says nothing."""
        if at is not None and at.text.strip():
            self.put(key, at.text, at)

    def ratio(self, at: Value | None, *, percent: bool = False) -> None:
        """Set the objective from a number, or a text of one."""
        if at is None:
            return
        try:
            number = float(at.text)
        except ValueError:
            number = float("nan")
        if isinstance(at.value, bool) or not 0 < number < (100 if percent else 1):
            example = "99.9" if percent else "0.999"
            self._found.refuse(
                at, f"{shown(at.text)} must be a number above 0 and below {100 if percent else 1}, such as {example}"
            )
            self.table["objective"] = None
            return
        if percent and number < 1:
            self._found.refuse(at, f"{shown(at.text)} is a percentage here; write {number * 100:.6g}")
        self.put("objective", ratio_of(number) if percent else number, at)

    def label(self, name: str, value: Value) -> None:
        """Add a label, under a name that Prometheus takes; lists are written with commas. That of an owner is the key `owner`."""
        text = ",".join(item.text for item in value.items) if isinstance(value.value, list) else value.text
        if name == "owner":
            self.text("owner", Value(text, value.line, value.place, text))
        elif text.strip():
            key = re.sub(r"[^a-zA-Z0-9_]|^(?=\d)", "_", name)
            first = self._label_names.setdefault(key, name)
            if first != name and self._labels[key] != text:
                self._found.refuse(value, f"is the label {key} here, and so is {shown(first)}; rename one of them")
            self._labels[key] = text
            self.put("labels", self._labels, value)

    def carried(self, annotations: Value | None, prefix: str) -> None:
        """Set keys from the annotations that carry them."""
        for name, value in ({} if annotations is None else annotations.fields).items():
            key = name.removeprefix(prefix)
            if key == name:
                continue
            if key not in SLO_KEYS - {"labels", "plugins", "versions", "operations"}:
                self._found.refuse(value, f"unknown{nearest(key, SLO_KEYS)}")
            elif key == "windows" and value.text.startswith("{"):
                self._own_windows(value)
            else:
                self.put(key, value_of(key, value.text), value)

    def _own_windows(self, value: Value) -> None:
        problems: list[str] = []
        try:
            table = json.loads(value.text)
            self._windows = windows_in({"windows": [table]}, problems)
        except (ValueError, RecursionError, AttributeError):
            problems.append("is no table of windows as it is exported; name one that is built in")
        for problem in problems:
            self._found.refuse(value, problem)
        if not problems:
            self.put("windows", table["name"], value)

    def queries(self, part: Value, total: Value, *, good: bool = False, by_plugin: bool = False) -> None:
        """Set what is measured from a query of the bad, or the good, calls and one of all; `by_plugin`: for each plugin by itself."""
        first, second = (f"sum by (plugin_id) ({item.text})" if by_plugin else item.text for item in (part, total))
        try:
            meaning = meaning_of(second, **{"good" if good else "bad": first})
        except QueryError as error:
            self._found.refuse(total if error.of_total else part, str(error))
            return
        for key, value in meaning.keys.items():
            self.put(key, value, part)
        if meaning.differs:
            self._found.warn(part, meaning.differs)

    def finish(self, *, before: int) -> None:
        """Add the objective to what was found, or what is wrong with it; nothing more where something was since `before` problems."""
        found = self._found
        if len(found.problems) > before:
            return
        problems: list[str] = []
        known = {**self._windows, **{table.name: table for table in found.tables.values()}}
        objective = objective_in(self.table, "", problems, known)
        for problem in problems:
            place, _, wrong = problem.removeprefix(".").partition(": ")
            found.refuse(self._places.get(place.partition(".")[0], _below(self._whole, place)), wrong)
        if objective is None:
            return
        name = self._places.get("name", self._whole)
        if objective.name in found.names:
            first = found.names[objective.name].line
            found.refuse(
                name,
                f"{shown(objective.name)} is given twice, first on line {first}; each objective needs a name of its own",
            )
        found.names.setdefault(objective.name, name)
        found.objectives.append(objective)


def ratio_of(percent: float) -> float:
    """Return a percentage as a ratio, without the noise of the division: 99.9 is 0.999."""
    return float(f"{percent / 100:.12g}")


def percent_of(ratio: float) -> float:
    """Return a ratio as a percentage, in the same way."""
    return float(f"{ratio * 100:.12g}")
