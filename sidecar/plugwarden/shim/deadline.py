"""What is awaited is cancelled at its deadline, on asyncio and on trio; elsewhere the deadline is only measured."""

from __future__ import annotations

from typing import Any

from plugwarden.contract import Outcome
from plugwarden.interruption import is_cancellation
from plugwarden.invocation import Invocation
from plugwarden.loops import asyncio_here, trio_here

from .codes import unseen

__all__ = ["within_deadline"]

_SAME_MOMENT_NS = 1_000_000
"""Timers of one loop that are due together may run this far apart."""


@unseen
async def within_deadline(invocation: Invocation, work: Any) -> Any:
    """The result of `work`. Raises `TimeoutError`, and marks the invocation, when its deadline comes first."""
    deadline_ns, clock = invocation.deadline_ns, invocation.operation.clock
    seconds = max(0.0, (deadline_ns - clock()) / 1e9)
    asyncio = asyncio_here()
    try:
        trio = trio_here()
        if trio is not None:
            with trio.move_on_after(seconds):
                return await work
            invocation.outcome = Outcome.TIMEOUT  # only a scope that cancelled what is in it is left here
            raise TimeoutError
        if asyncio is None:
            return await work  # nothing can be cancelled on another library's loop: the deadline is only measured
        timeout = asyncio.timeout(seconds)
        try:
            async with timeout:
                return await work
        except TimeoutError:
            if timeout.expired():
                invocation.outcome = Outcome.TIMEOUT
            raise
    except BaseException as error:
        # A caller with the same deadline may have been first to cancel; it is this call's deadline all the same.
        if is_cancellation(error) and clock() >= deadline_ns - _SAME_MOMENT_NS:
            invocation.outcome = Outcome.TIMEOUT
        raise
