"""The CPU time of a coroutine, told apart from that of other tasks."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Coroutine, Generator
from time import thread_time_ns
from typing import Any

from plugwarden.invocation import Invocation

from .codes import unseen

__all__ = ["metered"]


@types.coroutine
@unseen
def metered(work: Coroutine[Any, Any, Any], invocation: Invocation) -> Generator[Any, Any, Any]:
    """Drive a coroutine step by step and add up the CPU time of its own steps, leaving out those of other tasks."""
    spent = 0
    send: Callable[[], Any] = functools.partial(work.send, None)
    try:
        while True:
            started = thread_time_ns()
            try:
                waiting_for = send()
            except StopIteration as stop:
                return stop.value
            finally:
                spent += thread_time_ns() - started
            try:
                received = yield waiting_for
            except GeneratorExit:
                work.close()
                raise
            except BaseException as thrown:  # noqa: BLE001 - a cancellation, handed on to the plugin
                send = functools.partial(work.throw, thrown)
            else:
                send = functools.partial(work.send, received)
    finally:
        invocation.cpu_ns = spent
