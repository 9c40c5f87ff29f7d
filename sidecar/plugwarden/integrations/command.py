"""Subprocess commands as plugins: a program called with arguments and input, killed with all it started at its deadline.

resize = command(sidecar, ["convert", "-", "-resize", "50%", "-"], plugin="resize", version="7", timeout=5)
small = resize(input=image).stdout
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Unpack

from plugwarden.contract import Outcome, Scope
from plugwarden.errors import DeadlineExceeded
from plugwarden.invocation import current_invocation, identify, traceparent
from plugwarden.terms import Terms
from plugwarden.token_reach import without_tokens

if TYPE_CHECKING:
    from plugwarden.sidecar import Sidecar

__all__ = ["command", "trace_environment"]


def command(
    sidecar: Sidecar,
    argv: Sequence[str],
    *,
    plugin: str,
    version: str,
    operation: str | None = None,
    environment: dict[str, str] | None = None,
    cwd: str | None = None,
    **terms: Unpack[Terms],
) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """A function `(*more_arguments, input=b"")` that runs the program and answers its `CompletedProcess`.

    A status other than 0 counts as a failure and is answered, not raised. The program gets the host's environment, or
    `environment`, without tokens of the collector's, and TRACEPARENT. Terms are those of `Sidecar.wrap`.
    """
    name = operation or os.path.basename(argv[0])  # noqa: PTH119 - a program's name need not be a path
    scope = Scope(plugin, version, name)

    def run(*more_arguments: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        invocation = current_invocation()
        full = [*argv, *more_arguments]
        process = subprocess.Popen(  # noqa: S603 - the host says what to run
            full,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env={**without_tokens(os.environ if environment is None else environment), **trace_environment()},
            start_new_session=True,  # so that what it starts can be killed with it
        )
        deadline_ns = 0 if invocation is None else invocation.deadline_ns
        try:
            left = (
                (deadline_ns - invocation.operation.clock()) / 1e9 if invocation is not None and deadline_ns else None
            )
            out, errors = process.communicate(input, None if left is None else max(0.0, left))
        except subprocess.TimeoutExpired:
            if invocation is not None:
                invocation.outcome = Outcome.TIMEOUT
            raise DeadlineExceeded(scope, "the program was killed at the deadline") from None
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # also what it left behind
            if process.returncode is None:
                # A program's own children may have got away into a session of theirs and hold the pipes open.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.communicate(timeout=0.05)
                process.wait(1.0)
                for pipe in (process.stdin, process.stdout, process.stderr):
                    if pipe is not None:
                        with contextlib.suppress(OSError):
                            pipe.close()
        return subprocess.CompletedProcess(full, process.returncode, out, errors)

    run.__name__ = run.__qualname__ = name
    terms.setdefault("failed_result", _failed)
    return sidecar.wrap(run, plugin=plugin, version=version, operation=name, **terms)


def trace_environment() -> dict[str, str]:
    """The W3C context of the current invocation, for a subprocess: TRACEPARENT, and TRACESTATE where there is one."""
    invocation = current_invocation()
    if invocation is None:
        return {}
    told = {"TRACEPARENT": traceparent(invocation)}
    state = identify(invocation).state
    if state:
        told["TRACESTATE"] = state.to_header()
    return told


def _failed(done: subprocess.CompletedProcess[bytes]) -> bool:
    return done.returncode != 0
