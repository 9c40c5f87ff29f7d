"""`plugwarden version`, also `--version` and `-V`: what is installed here, and what the collector runs."""

from __future__ import annotations

import platform
from importlib import metadata

from .options import DEFAULT_URL, AsJson, Url, client
from .output import clean, console, emit_json

__all__ = ["installed", "version"]

PACKAGES = ("plugwarden", "plugwarden-collector", "plugwarden-dashboards", "duckdb")
PATIENCE_SECONDS = 2.0
"""Longest wait for the collector, seconds: whoever asks for versions may have none."""


def version(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Say which versions are installed here, and which one the collector runs, if it answers."""
    found = {**installed(), "collector": _running(url)}
    if as_json:
        emit_json(found)
        return
    for name, told in found.items():
        if name == "collector":
            console.print(f"collector at {clean(url)}: {clean(told or 'not reached')}", soft_wrap=True)
        else:
            console.print(f"{name} {told or 'not installed'}")


def installed() -> dict[str, str | None]:
    """Return the version of each package and of Python; None where it is not installed. Nothing of them is loaded."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return {**found, "python": platform.python_version()}


def _running(url: str) -> str | None:
    """Return the collector's version; None where it does not answer, or does not let us in."""
    from plugwarden_collector.api.client import ApiError

    try:
        with client(url, PATIENCE_SECONDS) as api:
            return str(api.get("status")["version"])
    except ApiError:
        return None
