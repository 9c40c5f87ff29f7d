"""Whether a call is refused because its plugin is isolated."""

from __future__ import annotations

from collections.abc import Callable

from plugwarden import PluginQuarantined


def refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except PluginQuarantined:
        return True
    return False
