"""A directive as the collector would send it."""

from __future__ import annotations

from plugwarden import Sidecar
from plugwarden.contract import Action, Directive, DirectiveSet, Scope


def isolate(sidecar: Sidecar, plugin: str, version: str | None = None) -> None:
    directives = (Directive("q-1", Action.ISOLATE, Scope(plugin, version), reason="it fails"),)
    sidecar._apply(DirectiveSet("e", sidecar.directives.revision + 1, directives))
