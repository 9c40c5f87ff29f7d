"""The way of a plain call in C, where the sidecar was built with a C compiler; `function.py` has all of it in Python."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context

from plugwarden.invocation import INVOCATION_KEY, SPAN_KEY, Invocation, context_access

from .attempt import ATTEMPT_KEY

try:
    from .native import ANSWERED, PASSED, Doorway, Forwarding

    BUILT = True
except ImportError:  # a package without it is complete, and slower
    BUILT = False
    ANSWERED, PASSED, Forwarding = object(), object(), object  # type: ignore[misc, assignment]

if TYPE_CHECKING:
    from plugwarden.operation import Operation

__all__ = ["ANSWERED", "BUILT", "PASSED", "Doorway", "Forwarding", "doorway"]

# PASSED is what a doorway answers of a call that is not for it, with nothing done; ANSWERED, of a call that failed and for which the
# fallback stands in.


def doorway(
    operation: Operation,
    function: Callable[..., Any],
    finish: Callable[..., Any],
    fail: Callable[..., bool],
) -> Doorway | None:
    """Return the doorway of one wrapped function; None where there is none, or another runtime keeps OpenTelemetry's context.

    `finish` records a call that returned and is more than a plain success of a known kind, and answers what the caller gets; `fail`
    records one that raised, and answers whether the fallback stands in.
    """
    variable = getattr(context_access()[0], "__self__", None)
    if not BUILT or not isinstance(variable, ContextVar):
        return None
    return Doorway(
        operation=operation,
        function=function,
        variable=variable,
        clock=operation.clock,
        steady=operation.clock is time.perf_counter_ns,
        finish=finish,
        fail=fail,
        invocation=Invocation,
        context=Context,
        span_key=SPAN_KEY,
        invocation_key=INVOCATION_KEY,
        attempt_key=ATTEMPT_KEY,
    )
