"""Two versions of one plugin in a host, and what becomes of their calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plugwarden import Sidecar
from plugwarden.contract import Action, Directive, DirectiveSet, Scope
from plugwarden.testing import Recorder


def told(sidecar: Sidecar, *directives: Directive) -> None:
    sidecar._apply(DirectiveSet("e", sidecar.directives.revision + 1, directives))


def isolated(*scopes: Scope) -> list[Directive]:
    return [Directive(f"q-{number}", Action.ISOLATE, scope, reason="it fails") for number, scope in enumerate(scopes)]


def version(sidecar: Sidecar, number: int, function: Callable[..., Any] | None = None, **terms: Any) -> Any:
    """Version `number` of one operation, which answers with its number and what it was given."""
    run = function or (lambda *given: f"{number} {' '.join(given)}".strip())
    return sidecar.wrap(run, plugin="geo", version=str(number), operation="find", **terms)


def calls(recorder: Recorder) -> list[tuple[str, str]]:
    return [(one.version, str(one.refused or one.outcome)) for one in recorder.invocations]


async def one() -> str:
    return "1"


async def two() -> str:
    return "2"
