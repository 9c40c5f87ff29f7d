"""The keys of a `[[receiver]]` table: a receiver, or what is wrong with each of them. Nothing said holds an address or another secret."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from importlib.util import find_spec
from typing import Any

from .mail_keys import MAIL_KEYS, mail_in
from .matcher_keys import matchers_at
from .receiver import Receiver, ReceiverKind
from .secret import secret_at, secret_keys
from .table import choice_at, duration_at, unknown_keys
from .workable import DAY, name_problem, shown, url_problem

__all__ = ["receiver_in", "untold"]

PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"
"""Where PagerDuty takes events; its service region in the EU has another address."""
REFRESH = timedelta(minutes=5)
"""Alertmanager is told what lasts this often, for it ends by itself three times as long after (`announce.receivers.alertmanager`)."""
MAX_SECONDS = 31 * DAY
"""Seconds of any wait: what is told less often is as good as not told."""
NOT_MATCHED = {"severity"}
"""Labels that another key is for, `severities`."""
_CHOSEN = {"severities", "matchers"}
_PACED = {*_CHOSEN, "repeat_interval", "escalate_after"}
_GROUPED = {*_PACED, "group_by", "group_wait", "group_interval"}
_KEYS: Mapping[ReceiverKind, set[str]] = {
    ReceiverKind.WEBHOOK: {*secret_keys("url"), *_GROUPED},
    ReceiverKind.CLOUDEVENTS: secret_keys("url"),
    ReceiverKind.ALERTMANAGER: {*secret_keys("url"), "urls", *_CHOSEN},
    ReceiverKind.SLACK: {*secret_keys("url"), *_GROUPED},
    ReceiverKind.PAGERDUTY: {*secret_keys("url"), *secret_keys("routing_key"), *_PACED},
    ReceiverKind.EMAIL: {*MAIL_KEYS, *_GROUPED},
    ReceiverKind.APPRISE: {*secret_keys("url"), *_GROUPED},
}
"""Kind -> its keys beside `name` and `kind`. What a receiver groups or repeats itself it is not grouped or repeated for."""


def receiver_in(table: Mapping[str, Any], place: str, problems: list[str]) -> Receiver | None:
    before = len(problems)
    kind = choice_at(table, "kind", ReceiverKind.WEBHOOK, place, problems)
    if kind is None:
        return None
    if kind is ReceiverKind.CLOUDEVENTS and "severities" in table:
        problems.append(f"{place}.severities: {kind} has none; it is sent every transition")
        return None
    unknown_keys(table, {"name", "kind", *_KEYS[kind]}, place, problems)
    name, severities = table.get("name"), table.get("severities", ["page", "ticket"])
    if wrong := name_problem(name):
        problems.append(f"{place}.name: {wrong}")
    if not isinstance(severities, list) or not severities or any(item not in ("page", "ticket") for item in severities):
        problems.append(
            f"{place}.severities: {shown(severities)} must be a list of page and ticket; with none it would be told nothing"
        )
        severities = ["page"]
    found = matchers_at(table, place, problems, choosing=True, but=NOT_MATCHED) if "matchers" in table else ()
    more: dict[str, Any] = {**_address(kind, table, place, problems), **_pace(kind, table, place, problems)}
    if kind is ReceiverKind.EMAIL:
        more["mail"] = mail_in(table, place, problems)
    if len(problems) > before:
        return None
    return Receiver(str(name), severities=tuple(dict.fromkeys(severities)), kind=kind, matchers=found, **more)


def untold(receivers: Sequence[Receiver]) -> list[str]:
    """Return what is surely not meant: severities of which some receivers are told, each only of a part, or late."""
    told = [item for item in receivers if item.is_told]
    severities = dict.fromkeys(severity for item in told for severity in item.severities)
    return [
        f"receiver: each one that is told of a {severity} has matchers or escalate_after, and what none of them matches nobody is told of "
        "at once; add one without"
        for severity in severities
        if all(item.matchers or item.escalate_after is not None for item in told if severity in item.severities)
    ]


def _address(kind: ReceiverKind, table: Mapping[str, Any], place: str, problems: list[str]) -> dict[str, Any]:
    """Return where to send to, and with which key."""
    if kind is ReceiverKind.EMAIL:
        return {}
    found: dict[str, Any] = {}
    before = len(problems)
    urls = table.get("urls") if kind is ReceiverKind.ALERTMANAGER else None
    if urls is not None:
        if not isinstance(urls, list) or not urls or secret_keys("url") & table.keys():
            problems.append(
                f"{place}.urls: must be a list of addresses, one for each server, and there is no url beside it"
            )
            return {}
        found["url"], found["others"] = urls[0], tuple(urls[1:])
    else:
        default = PAGERDUTY_URL if kind is ReceiverKind.PAGERDUTY else None
        found["url"] = secret_at(table, "url", place, problems)
        if found["url"] is None and not secret_keys("url") & table.keys():
            found["url"] = default
    if kind is ReceiverKind.PAGERDUTY:
        key = found["routing_key"] = secret_at(table, "routing_key", place, problems)
        if len(problems) == before and (not isinstance(key, str) or not key.isalnum() or not key.isascii()):
            problems.append(
                f"{place}.routing_key: must be the integration key of a service, letters and digits (it is not shown); "
                "write routing_key_file or routing_key_env to keep it elsewhere"
            )
    if len(problems) == before:
        key_name = "urls" if urls is not None else next(iter(sorted(secret_keys("url") & table.keys())), "url")
        problem = _service_problem if kind is ReceiverKind.APPRISE else url_problem
        wrong = next(filter(None, (problem(url) for url in (found["url"], *found.get("others", ())))), None)
        if wrong is not None:
            problems.append(f"{place}.{key_name}: {wrong}")
    return found


def _service_problem(url: object) -> str | None:
    """What is wrong with an address of Apprise, whose own schemes hold keys and names in any place; no answer holds any of it."""
    if find_spec("apprise") is None:
        return "apprise is not installed here; install plugwarden-collector[apprise], or pip install apprise, where the collector runs"
    if not isinstance(url, str) or not re.fullmatch(r"[a-z][a-z0-9+.-]*://[!-~]+", url, re.IGNORECASE):
        return "must be an address of Apprise, such as tgram://… or ntfys://… (it is not shown, for it is a secret)"
    return None


def _pace(kind: ReceiverKind, table: Mapping[str, Any], place: str, problems: list[str]) -> dict[str, Any]:
    """Return what is told at once, and how often."""
    if kind is ReceiverKind.ALERTMANAGER:
        return {"group_by": (), "group_wait": timedelta(0), "group_interval": timedelta(0), "repeat": REFRESH}
    found: dict[str, Any] = {}
    labels = table.get("group_by")
    if labels is not None:
        if not isinstance(labels, list) or not all(isinstance(item, str) and item for item in labels):
            problems.append(f"{place}.group_by: {shown(labels)} must be a list of labels, such as plugin")
        else:
            found["group_by"] = tuple(dict.fromkeys(labels))
    for key, least in (
        ("group_wait", 0.0),
        ("group_interval", 0.0),
        ("repeat_interval", 60.0),
        ("escalate_after", 1.0),
    ):
        if key not in table:
            continue
        if key.startswith("group_") and labels is None:
            problems.append(f"{place}.{key}: nothing waits without group_by; write that beside it")
            continue
        length = duration_at(table, key, None, place, problems)
        if length is None:
            continue
        if not least <= length <= MAX_SECONDS:
            problems.append(f"{place}.{key}: {shown(table[key])} must be from {least:g}s to 31d")
            continue
        found["repeat" if key == "repeat_interval" else key] = timedelta(seconds=length)
    return found
