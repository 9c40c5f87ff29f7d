"""An invocation and the context to run it in, used again where nobody kept either.

Making the two costs a third of what a call costs. A plain success leaves nothing but its duration, so both are free again
as it ends, unless somebody kept the span or its context: a call below it, a task, a thread or a generator that the plugin
started, a span of its own. That is seen by the references to them: those that a wrapper holds are the same in each call.
"""

from __future__ import annotations

import sys

from opentelemetry.context import Context

from plugwarden.invocation import INVOCATION_KEY, SPAN_KEY, Invocation

__all__ = ["CONTEXT_REFS", "INVOCATION_REFS", "Pair"]

Pair = tuple[Invocation, Context]


def _references() -> Pair | tuple[int, int]:
    """As the wrappers hold them: by two names and the pair, and the invocation twice by the context. Counted, because
    interpreters differ in what a question about an object holds itself."""
    refs = sys.getrefcount
    invocation = Invocation()
    context = Context({SPAN_KEY: invocation, INVOCATION_KEY: invocation})
    pair: Pair | None = invocation, context
    found = refs(invocation), refs(context)
    return pair if found is None else found


INVOCATION_REFS, CONTEXT_REFS = _references()  # of what nobody but a wrapper holds
