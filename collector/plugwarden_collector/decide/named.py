"""Whether what a person names was ever called: who mistypes a version isolates nothing. Pure."""

from __future__ import annotations

from difflib import get_close_matches

from plugwarden.contract import Scope

from .standing import Standing

__all__ = ["never_called"]


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
