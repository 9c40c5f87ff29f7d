"""Why calls fail: the fewest faults of plugins, and causes that plugins share, that explain the excess of failures.

    explain(samples: Iterable[Sample], *, running: int) -> Explanation(faults, shared)

`samples` are all finest cells of each plugin that something was found against, counted since the trouble began; `Sample.since` says
when a cell's stream began to fail. `running` is how many plugins have traffic. See `explain` for the rest.

A fault with a small `margin` may yet turn out to be wider or narrower: with five failures a quarter of all scopes are too narrow, and
nearly all of those have a margin below 2 nats. A fault with a `sender` is as narrow as the one process that told of it. A fault of a
machine names its processes in `instances`, as directives know no machines.
"""

from .explain import explain
from .explanation import CLEAR_NATS, ONE_FAULT_NATS, Alternative, Excused, Explanation, Fault, Scope, SharedCause
from .sample import ATTRIBUTES, Sample

__all__ = [
    "ATTRIBUTES",
    "CLEAR_NATS",
    "ONE_FAULT_NATS",
    "Alternative",
    "Excused",
    "Explanation",
    "Fault",
    "Sample",
    "Scope",
    "SharedCause",
    "explain",
]
