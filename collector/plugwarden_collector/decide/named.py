"""Whether what a person names was ever called: who mistypes a name or a version isolates nothing. Pure."""

from __future__ import annotations

from difflib import get_close_matches

from plugwarden.contract import Scope

from plugwarden_collector.errors import ConflictError

from .standing import Standing

__all__ = ["ensure_called", "never_called"]

MOST_NAMED = 10
"""Known names that a refusal lists; `plugwarden plugins` lists all."""


def ensure_called(scope: Scope, standing: Standing) -> None:
    """Raise `ConflictError` where nobody has called a plugin or its version so far, with the names that are known."""
    unknown = never_called(scope, standing)
    if unknown is None:
        return
    versions = sorted(version for plugin, version in standing.versions if plugin == scope.plugin)
    known = versions or sorted({plugin for plugin, _ in standing.versions})
    kind = f"versions of {scope.plugin}" if versions else "plugins"
    listed = ", ".join(known[:MOST_NAMED]) + (", …" if len(known) > MOST_NAMED else "")
    names = f"Known {kind}: {listed}." if known else "No plugin is known yet."
    raise ConflictError(
        f"{unknown}{'' if unknown.endswith('?') else '.'} {names} To isolate it for when it comes: force"
    )


def never_called(scope: Scope, standing: Standing) -> str | None:
    """Return a warning where nobody has called a plugin or its version so far, with the nearest name; None where somebody has."""
    plugins = {plugin for plugin, _ in standing.versions}
    if scope.plugin not in plugins:
        return f"nobody has called {scope.plugin} so far{_nearest(scope.plugin, plugins)}"
    versions = {version for plugin, version in standing.versions if plugin == scope.plugin}
    if scope.version is None or scope.version in versions:
        return None
    return f"nobody has called version {scope.version} of {scope.plugin} so far{_nearest(scope.version, versions)}"


def _nearest(name: str, known: set[str]) -> str:
    found = get_close_matches(name, sorted(known), 1)
    return f"; did you mean {found[0]}?" if found else ""
