"""The shared vocabulary of sidecar, collector and dashboards. Imports nothing of ours.

The names below are loaded when they are first asked for: `plugwarden run` needs to know what can be a name, and no more.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import attributes, metrics
    from .directive import Action, Directive, DirectiveSet, MalformedDirective, Newcomers, Scope, within_bounds
    from .names import MAX_NAME, OVERFLOW, fitting, name_fault
    from .states import BreakerState, Criticality, ErrorSource, Outcome, QuarantineState, RejectionReason

__all__ = [
    "MAX_NAME",
    "OVERFLOW",
    "Action",
    "BreakerState",
    "Criticality",
    "Directive",
    "DirectiveSet",
    "ErrorSource",
    "MalformedDirective",
    "Newcomers",
    "Outcome",
    "QuarantineState",
    "RejectionReason",
    "Scope",
    "attributes",
    "fitting",
    "metrics",
    "name_fault",
    "within_bounds",
]
_CONTENTS = {
    "directive": (
        "Action",
        "Directive",
        "DirectiveSet",
        "MalformedDirective",
        "Newcomers",
        "Scope",
        "within_bounds",
    ),
    "names": ("MAX_NAME", "OVERFLOW", "fitting", "name_fault"),
    "states": ("BreakerState", "Criticality", "ErrorSource", "Outcome", "QuarantineState", "RejectionReason"),
}
_HOMES = {name: home for home, names in _CONTENTS.items() for name in names}
"""Where each name stands; those that stand nowhere are modules."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES.get(name)
    module = importlib.import_module(f"{__name__}.{home or name}")
    found = globals()[name] = module if home is None else getattr(module, name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
