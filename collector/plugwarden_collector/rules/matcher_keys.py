"""The key `matchers` of a table: a list of texts, as silences have them, or a table of labels that must be equal."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from plugwarden_collector.errors import MatcherError
from plugwarden_collector.matcher import Matcher, matchers_of

from .workable import shown

__all__ = ["matchers_at"]

_EXAMPLE = """['owner="media"', 'plugin=~"image-.*"'], or { plugin = "csv" } where all must be equal"""


def matchers_at(
    table: Mapping[str, Any], place: str, problems: list[str], *, choosing: bool = False, but: Collection[str] = ()
) -> tuple[Matcher, ...]:
    """Return the matchers of a table, all of which must be true; none where something is wrong. Labels of `but` may not be matched;
    `choosing` is that of `matchers_of`."""
    value = table.get("matchers")
    texts = value.values() if isinstance(value, dict) else value
    if not isinstance(value, list | dict) or not all(isinstance(item, str) for item in texts or ()):
        problems.append(f"{place}.matchers: {shown(value)} must be a list of matchers, such as {_EXAMPLE}")
        return ()
    try:
        found = matchers_of(value, choosing=choosing)
    except MatcherError as error:
        problems.append(f"{place}.matchers: {error}")
        return ()
    for item in found:
        if item.name in but:
            problems.append(f"{place}.matchers: {item.name} is said by a key of its own; leave it out")
            return ()
    return found
