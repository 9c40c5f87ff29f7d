"""A plugin's form whose refusals become an answer in the words of the host's framework."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from plugwarden.errors import CallNotPermitted
from plugwarden.gate.refusal import refuses
from plugwarden.integrations.refusal import http_refusal
from plugwarden.shim import is_awaited

__all__ = ["answering", "is_of", "standing_for", "text"]


def text(refusal: CallNotPermitted) -> str:
    """One sentence for whoever asked. Why in detail, and by whose decision, is for the host's log and not for them."""
    return http_refusal(refusal).body.decode()


def is_of(refusal: CallNotPermitted, observed: Any) -> bool:
    """Whether it is the call of `observed` that was refused, and not one that it made: that one is `observed`'s to deal with."""
    operation = getattr(observed, "__plugwarden__", None)  # None: the sidecar is disabled
    return operation is not None and refuses(refusal, operation.scope)


def answering(observed: Any, answer: Callable[[CallNotPermitted], Any]) -> Any:
    """`observed`, except that its own refusals are given to `answer`, which makes a response of them or raises; but for those that a
    newer version waits to hear of, whose calls are to go back to `observed`."""
    if not hasattr(observed, "__plugwarden__"):
        return observed  # the sidecar is disabled
    if inspect.iscoroutinefunction(observed):

        async def answers(*args: Any, **kwargs: Any) -> Any:
            try:
                return await observed(*args, **kwargs)
            except CallNotPermitted as refusal:
                if not is_of(refusal, observed) or is_awaited(refusal):
                    raise
                return answer(refusal)

    else:

        def answers(*args: Any, **kwargs: Any) -> Any:  # type: ignore[misc]  # each as what it stands for
            try:
                return observed(*args, **kwargs)
            except CallNotPermitted as refusal:
                if not is_of(refusal, observed) or is_awaited(refusal):
                    raise
                return answer(refusal)

    return standing_for(answers, observed)


def standing_for(form: Any, observed: Any) -> Any:
    """`form`, with the looks of what it stands before, and known for an observed form as that is."""
    form = functools.update_wrapper(form, observed)
    if hasattr(observed, "__plugwarden__"):
        form.__plugwarden__ = observed.__plugwarden__
    return form
