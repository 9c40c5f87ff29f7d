"""What an error's name says of where it comes from: the world outside of a plugin, or its own code.

Names are hints: a plugin may catch a refused connection and raise what it likes. So they decide only between explanations that
the counts leave open.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum

__all__ = ["ErrorKind", "alike", "kind_of", "leading_kind", "waited_out"]


class ErrorKind(Enum):
    """Where an error comes from, by its name."""

    OUTWARD = "outward"
    """Something that the plugin called, or the machine below it."""
    INWARD = "inward"
    """The plugin's own code."""
    UNTOLD = "untold"
    """Its name tells nothing."""


_DEADLINES = (r"time(d)? ?_?-?out", r"deadline", r"etimedout", r"^overdue$")
"""Whoever waits names what it waited for; `overdue` is what a sidecar tells of a call that runs still."""
_WAITED_OUT = re.compile("|".join(_DEADLINES), re.IGNORECASE)
_OUTWARD = re.compile(
    "|".join(
        (
            # Sockets and names: Python's, Node's (ECONNREFUSED), Java's and gRPC's words for a peer that is not there.
            r"connect", r"socket", r"network", r"unreachable", r"broken ?pipe", r"hostunknown|unknownhost", r"\beof",
            r"\beconn", r"\behost", r"\benet", r"\bepipe", r"dns", r"gaierror|getaddrinfo|enotfound|eai_again|resol(ve|ution)",
            *_DEADLINES,
            # A server that answers that it cannot: gRPC's codes, HTTP's 5xx and 429, and clients' names for them.
            r"unavailable", r"\b5\d\d\b", r"http_?5\d\d", r"\b429\b", r"too ?many ?requests", r"throttl", r"rate ?limit",
            r"bad ?gateway", r"gateway", r"internal ?server", r"server ?error", r"remote ?(disconnected|protocol)",
            r"resource_?exhausted",
            # Certificates expire for all of their users at once.
            r"\bssl|tls|certificate|handshake",
            # What a machine runs out of. A bare `OSError` may be anything.
            r"enospc|emfile|no ?space|disk", r"memory ?error|out ?of ?memory|\boom",
            # Stores that several plugins use.
            r"operational ?error|database ?error|redis|kafka|broker",
        )
    ),
    re.IGNORECASE,
)  # fmt: skip
_INWARD = re.compile(
    "|".join(
        (
            # Python.
            r"key ?error", r"type ?error", r"value ?error", r"attribute ?error", r"index ?error", r"name ?error",
            r"lookup ?error", r"assertion", r"zero ?division", r"arithmetic", r"overflow ?error", r"recursion",
            r"unbound ?local", r"not ?implemented", r"unicode", r"import ?error", r"module ?not ?found", r"syntax ?error",
            r"stop ?iteration",
            # Java, .NET, JavaScript, Go and Rust.
            r"null ?pointer", r"null ?reference", r"out ?of ?bounds", r"class ?cast", r"invalid ?cast", r"illegal ?(argument|state)",
            r"number ?format", r"no ?such ?(method|element|field)", r"reference ?error", r"range ?error", r"panic", r"segv|segfault",
        )
    ),
    re.IGNORECASE,
)  # fmt: skip

ALIKE_RATIO = 0.5
"""Share of errors that two plugins have in common when they are alike: most of what fails."""


def kind_of(error_type: str) -> ErrorKind:
    """Return where an error comes from, by the last part of its name; a name that says both, such as `SSLValueError`, is outward."""
    name = _last_part(error_type)
    if _OUTWARD.search(name):
        return ErrorKind.OUTWARD
    return ErrorKind.INWARD if _INWARD.search(name) else ErrorKind.UNTOLD


def _last_part(error_type: str) -> str:
    return re.split(r"[.:/](?=[A-Za-z_])", error_type)[-1]


def leading_kind(errors: Mapping[str, int]) -> ErrorKind:
    """Return where most of the errors come from; untold where no kind has more than half."""
    counted = dict.fromkeys(ErrorKind, 0)
    for name, calls in errors.items():
        counted[kind_of(name)] += calls
    most = max(counted, key=lambda kind: counted[kind])
    return most if counted[most] * 2 > sum(counted.values()) else ErrorKind.UNTOLD


def waited_out(errors: Mapping[str, int]) -> bool:
    """Whether most of the errors are deadlines that passed: calls that took too long for whoever waited, whatever else is wrong."""
    passed = sum(calls for name, calls in errors.items() if _WAITED_OUT.search(_last_part(name)))
    return 2 * passed > sum(errors.values())


def alike(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    """Whether most errors are of the same types, or both point outward. Plugins that told no errors are like any."""
    total, others = sum(one.values()), sum(other.values())
    if not total or not others:
        return True
    common = sum(min(calls / total, other.get(name, 0) / others) for name, calls in one.items())
    if common >= ALIKE_RATIO:
        return True
    return leading_kind(one) is ErrorKind.OUTWARD and leading_kind(other) is ErrorKind.OUTWARD
