"""The shared vocabulary of sidecar, collector and dashboards. Imports nothing of ours."""

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
