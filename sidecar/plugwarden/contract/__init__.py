"""The shared vocabulary of sidecar, collector and dashboards. Imports nothing of ours."""

from . import attributes, metrics
from .directive import Action, Directive, DirectiveSet, MalformedDirective, Newcomers, Scope
from .states import BreakerState, Criticality, ErrorSource, Outcome, QuarantineState, RejectionReason

__all__ = [
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
    "metrics",
]
