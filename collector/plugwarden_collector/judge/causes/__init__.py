"""Why calls fail: the fewest faults of plugins, and causes that plugins share, that explain the excess of failures.

    explain(samples: Iterable[Sample], *, running: int) -> Explanation(faults, shared)

`samples` are all finest cells of each plugin that something was found against, counted since the trouble began; `Sample.since` says
when a cell's stream began to fail. `running` is how many plugins have traffic. See `explain` for the rest.
"""

from .explain import explain
from .explanation import Alternative, Excused, Explanation, Fault, Scope, SharedCause
from .sample import ATTRIBUTES, Sample

__all__ = [
    "ATTRIBUTES",
    "Alternative",
    "Excused",
    "Explanation",
    "Fault",
    "Sample",
    "Scope",
    "SharedCause",
    "explain",
]
