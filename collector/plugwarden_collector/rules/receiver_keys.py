"""The keys of a `[[receiver]]` table: a receiver, or what is wrong with each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .receiver import Receiver, ReceiverKind
from .table import unknown_keys
from .workable import name_problem, shown, url_problem

__all__ = ["receiver_in"]


def receiver_in(table: Mapping[str, Any], place: str, problems: list[str]) -> Receiver | None:
    unknown_keys(table, {"name", "kind", "url", "severities"}, place, problems)
    name, url = table.get("name"), table.get("url")
    severities = table.get("severities", ["page", "ticket"])
    before = len(problems)
    try:
        kind = ReceiverKind(table.get("kind", "webhook"))
    except ValueError:
        problems.append(f"{place}.kind: {shown(table['kind'])} must be {' or '.join(ReceiverKind)}")
        return None
    if kind is ReceiverKind.CLOUDEVENTS and "severities" in table:
        problems.append(f"{place}.severities: only a webhook has them; {kind} are sent for every transition")
    if wrong := name_problem(name):
        problems.append(f"{place}.name: {wrong}")
    if wrong := url_problem(url):
        problems.append(f"{place}.url: {wrong}")
    if not isinstance(severities, list) or not severities or any(item not in ("page", "ticket") for item in severities):
        problems.append(
            f"{place}.severities: {shown(severities)} must be a list of page and ticket; with none it would be told nothing"
        )
    if len(problems) > before:
        return None
    return Receiver(str(name), str(url), tuple(dict.fromkeys(severities)), kind)
