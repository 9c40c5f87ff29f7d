"""Groups of plugins and templates of objectives: `[group.NAME]` and `[[template]]`, expanded to an `[[slo]]` table for each pair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .about_keys import ABOUT_KEYS, about_in
from .slo_keys import SLO_KEYS, patterns_in
from .table import nearest, tables, unknown_keys
from .workable import name_problem, shown

__all__ = ["expanded", "groups_in"]

_OF_GROUP = frozenset({"owner", "labels", "runbook"})
"""What an objective takes over from the group that it is made for."""
_OF_TEMPLATE = (SLO_KEYS - {"plugins"}) | {"groups"}


def groups_in(document: Mapping[str, Any], problems: list[str]) -> dict[str, Mapping[str, Any]]:
    """Return the groups that can be used, by name."""
    value = document.get("group", {})
    if not isinstance(value, dict) or not all(isinstance(item, dict) for item in value.values()):
        problems.append("group: write each one as a table headed [group.NAME]")
        return {}
    found = {}
    for name, table in value.items():
        place, before = f"group.{name}", len(problems)
        if wrong := name_problem(name):
            problems.append(f"group: {wrong}")
            continue
        unknown_keys(table, _OF_GROUP | {"plugins"}, place, problems)
        about_in({key: table[key] for key in _OF_GROUP & table.keys()}, place, problems)
        if "plugins" not in table:
            problems.append(f'{place}.plugins: is missing; write the patterns of its plugins, such as ["image-*"]')
        patterns_in(table, "plugins", "*", place, problems)
        if len(problems) == before:
            found[name] = table
    return found


def expanded(
    document: Mapping[str, Any], groups: Mapping[str, Mapping[str, Any]], problems: list[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place of a template and a table of an objective, for each template and group that it is for.

    The objective is named `GROUP/TEMPLATE`. What a template says goes before what its group says; labels of both are put together.
    """
    declared = document.get("group", {})
    known = tuple(declared) if isinstance(declared, dict) else ()
    for index, template in tables(document, "template", problems):
        place = f"template[{index}]"
        if "plugins" in template:
            problems.append(f"{place}.plugins: a template has none; write them in the groups that it is for")
        unknown_keys(template, _OF_TEMPLATE | {"plugins"}, place, problems)
        if wrong := name_problem(template.get("name")):
            problems.append(f"{place}.name: {wrong}")
            continue
        names = template.get("groups", list(known))
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or not names:
            problems.append(
                f'{place}.groups: {shown(names)} must be a list of groups, such as ["imaging"]; without it, all'
            )
            continue
        for name in dict.fromkeys(names):
            if name not in known:
                problems.append(f"{place}.groups: there is no group {shown(name)}{nearest(name, known)}")
            elif name in groups:
                yield place, _made(template, name, groups[name])


def _made(template: Mapping[str, Any], name: str, group: Mapping[str, Any]) -> dict[str, Any]:
    own = {key: value for key, value in template.items() if key in SLO_KEYS}
    made = {**{key: group[key] for key in ABOUT_KEYS & group.keys()}, **own}
    if isinstance(own.get("labels"), dict) and "labels" in group:
        made["labels"] = {**group["labels"], **own["labels"]}
    return {**made, "name": f"{name}/{template['name']}", "plugins": group["plugins"]}
