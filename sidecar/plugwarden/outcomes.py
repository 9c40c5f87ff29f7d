"""Whose an exception is that left a plugin, and which say nothing against it: the caller's mistake, or control flow.

A web framework's 404, a task queue's retry and a test runner's skip are exceptions in form only. Counted as failures they
would open the breaker of a healthy plugin and have its version isolated. What the well-known frameworks mean by theirs is
a table here (`_KNOWN`); what a host's or a plugin's own mean is declared (`caller_errors`, `control_flow`).

No framework is imported: an exception can only be of a class that some module in `sys.modules` defines, so it is that
very class which is looked for, and a plugin cannot pass by giving a class of its own the name. Nothing here runs code of
the exception: its attributes are read past properties, `__getattr__` and metaclasses.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from enum import Enum
from typing import NamedTuple, Protocol

from plugwarden.contract import ErrorSource, Outcome
from plugwarden.declared_errors import Errors, defined, number_at
from plugwarden.inspection import bases_of, is_a, is_or_comes_from, leaves_of
from plugwarden.interruption import Call, interruption

__all__ = ["Verdict", "blame", "verdict"]

MAX_REMEMBERED = 1_024
"""Exception types whose place in the table is remembered: hosts have some dozens; who makes a new type a call gets no more."""


class Verdict(Enum):
    """Why an exception says nothing against the plugin."""

    CALLER = "caller"
    """The caller asked for what cannot be had. An error, and not the plugin's."""
    CONTROL = "control"
    """The call ended as it was meant to: the end of an iteration, a retry asked for, a test skipped, a redirect."""


class Declared(Protocol):
    """What an operation's declaration says of exceptions."""

    @property
    def caller_errors(self) -> Errors: ...
    @property
    def control_flow(self) -> Errors: ...
    @property
    def downstream_errors(self) -> tuple[type[Exception], ...]: ...
    @property
    def known_outcomes(self) -> bool: ...


class Blamed(Call, Protocol):
    """What is asked of the invocation that failed."""

    @property
    def child_errors(self) -> list[BaseException] | None: ...


def blame(declared: Declared, invocation: Blamed, error: BaseException) -> tuple[Outcome, ErrorSource | None]:
    """Outcome and error source of an exception that left a plugin, by what the host declared and what is known."""
    leaves = list(leaves_of(error))
    exempt = verdict(declared, leaves)
    if exempt is not None:
        return (Outcome.CANCELLED if exempt is Verdict.CONTROL else Outcome.ERROR), ErrorSource.CALLER
    outcome: Outcome = Outcome.ERROR
    source = ErrorSource.PLUGIN
    if not is_a(error, Exception):
        outcome, source = interruption(invocation, leaves)
        if source is not ErrorSource.PLUGIN:
            return outcome, source
    origins = invocation.child_errors or ()  # none, and none declared: nobody else is to blame

    def downstream(leaf: BaseException) -> bool:
        return is_a(leaf, declared.downstream_errors) or any(is_or_comes_from(leaf, origin) for origin in origins)

    if (origins or declared.downstream_errors) and all(downstream(leaf) for leaf in leaves):
        return outcome, ErrorSource.DOWNSTREAM
    if is_a(error, MemoryError):
        return Outcome.ERROR, ErrorSource.HOST
    return outcome, source


def verdict(declared: Declared, leaves: Iterable[BaseException]) -> Verdict | None:
    """What an exception (the leaves of a group) says by what is declared and, unless that is declared not to count, by what
    frameworks mean by it. None: nothing exempts it, or not all of its leaves. What is declared goes first."""
    found = None
    for leaf in leaves:
        if declared.caller_errors and declared.caller_errors.match(leaf):
            one: Verdict | None = Verdict.CALLER
        elif declared.control_flow and declared.control_flow.match(leaf):
            one = Verdict.CONTROL
        elif is_a(leaf, declared.downstream_errors):
            return None
        else:
            one = _by_framework(leaf) if declared.known_outcomes else None
        if one is None:
            return None
        found = one if found is None or one is Verdict.CALLER else found
    return found


def _by_status(status: int) -> Verdict | None:
    """Judge an exception that is a response by its status: below 400 an answer or a redirect; 4xx the caller's; 500 and above a
    failure."""
    if 400 <= status < 500:
        return Verdict.CALLER
    return Verdict.CONTROL if 100 <= status < 400 else None


def _by_rpc_code(code: int) -> Verdict | None:
    """JSON-RPC 2.0, section 5.1, and MCP's own -32042: the client is asked to open a URL first."""
    if code in {-32600, -32601, -32602}:
        return Verdict.CALLER
    return Verdict.CONTROL if code == -32042 else None


class _Known(NamedTuple):
    """A framework's exception."""

    name: str
    """Where it is defined."""
    verdict: Verdict | None = None
    """What it always means; None: a number says it."""
    number: tuple[str, ...] = ()
    """Where that number stands; the first place that has one."""
    means: Callable[[int], Verdict | None] = _by_status


_KNOWN = (
    _Known("builtins.StopIteration", Verdict.CONTROL),
    _Known("builtins.StopAsyncIteration", Verdict.CONTROL),
    _Known("unittest.case.SkipTest", Verdict.CONTROL),
    # Responses raised. Django's five are what its own `response_for_exception` answers with 400, 403 or 404.
    _Known(
        "werkzeug.exceptions.HTTPException", None, ("code", "response._status_code")
    ),  # `abort(response)` has no code
    _Known("django.http.response.Http404", Verdict.CALLER),
    _Known("django.core.exceptions.PermissionDenied", Verdict.CALLER),
    _Known("django.core.exceptions.BadRequest", Verdict.CALLER),
    _Known("django.core.exceptions.SuspiciousOperation", Verdict.CALLER),
    _Known("django.http.multipartparser.MultiPartParserError", Verdict.CALLER),
    _Known("rest_framework.exceptions.APIException", None, ("status_code",)),
    _Known("starlette.exceptions.HTTPException", None, ("status_code",)),
    _Known("starlette.websockets.WebSocketDisconnect", Verdict.CONTROL),
    _Known("fastapi.exceptions.RequestValidationError", Verdict.CALLER),
    _Known("aiohttp.web_exceptions.HTTPException", None, ("status_code",)),
    # Task queues, test runners, command lines.
    _Known("celery.exceptions.Retry", Verdict.CONTROL),
    _Known("celery.exceptions.Ignore", Verdict.CONTROL),
    _Known("celery.exceptions.Reject", Verdict.CONTROL),
    _Known("_pytest.outcomes.Skipped", Verdict.CONTROL),
    _Known("_pytest.outcomes.XFailed", Verdict.CONTROL),
    _Known("_pytest.outcomes.Exit", Verdict.CONTROL),
    _Known("click.exceptions.Exit", Verdict.CONTROL),
    _Known("click.exceptions.Abort", Verdict.CONTROL),
    _Known("click.exceptions.UsageError", Verdict.CALLER),
    # The Model Context Protocol's SDK, 2.x and 1.x.
    _Known("mcp.shared.exceptions.MCPError", None, ("error.code",), _by_rpc_code),
    _Known("mcp.shared.exceptions.McpError", None, ("error.code",), _by_rpc_code),
    _Known("mcp.server.mcpserver.exceptions.ResourceNotFoundError", Verdict.CALLER),
)
_remembered: dict[int, tuple[weakref.ref[type], _Known | None]] = {}
"""By the type's id, because a metaclass may not let its classes be hashed; the reference tells a new type from one that is gone."""


def _by_framework(error: BaseException) -> Verdict | None:
    try:
        kind = type(error)
        kept = _remembered.get(id(kind))
        if kept is not None and kept[0]() is kind:
            known = kept[1]
        else:
            known = _look_up(kind)
            if len(_remembered) >= MAX_REMEMBERED:
                _remembered.clear()
            _remembered[id(kind)] = (weakref.ref(kind), known)
        if known is None or known.verdict is not None:
            return None if known is None else known.verdict
        for place in known.number:
            number = number_at(error, place)
            if number is not None:
                return known.means(number)
    except Exception:  # noqa: BLE001 - whatever an exception is made of, it is counted like any other
        return None
    return None


def _look_up(kind: type) -> _Known | None:
    """The nearest of its bases that is in the table."""
    here = {id(found): known for known in _KNOWN if (found := defined(known.name)) is not None}
    return next((here[id(base)] for base in bases_of(kind) if id(base) in here), None)
