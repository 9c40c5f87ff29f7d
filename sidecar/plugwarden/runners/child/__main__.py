"""A worker process: `python child CALLS LIFELINE`, started by the process runner, never by hand.

It is two processes. The outer one watches the lifeline, a pipe whose other end is the host's: when the host is gone, it
kills the inner one. The inner one is the first process of a namespace of its own where the kernel allows it, so that
killing it ends everything it ever started; it gives up what it does not need, imports the plugin, and serves calls.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import pickle
import resource
import runpy
import select
import signal
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import sandbox
import seccomp
from encode import Encoder, NotPlain, TooLarge
from tags import FRAME

_MAX_ARGUMENT_BYTES = 256 * 1024 * 1024
_MAX_EXCEPTION_BYTES = 1_000_000


def main() -> None:
    calls = socket.socket(fileno=int(sys.argv[1]))
    lifeline = int(sys.argv[2])
    terms = pickle.loads(_receive(calls))  # noqa: S301 - from the host, which wrote this program too
    contained = sandbox.own_processes()
    ready, go = os.pipe()
    inner = os.fork()
    if inner:
        os.close(ready)
        _send(calls, Encoder().encode((inner, contained)))
        os.close(go)
        calls.close()
        os._exit(_watch(inner, lifeline))
    os.close(lifeline)
    os.close(go)
    os.read(ready, 1)  # until the outer process has said who we are
    os.close(ready)
    serve(calls, terms, contained)


def _watch(inner: int, lifeline: int) -> int:
    """Until the inner process ends; kill it when the host is gone. Return how it ended, as an exit code."""
    poll = select.poll()
    child = os.pidfd_open(inner)
    poll.register(lifeline, select.POLLHUP | select.POLLIN)
    poll.register(child, select.POLLIN)
    for descriptor, _ in poll.poll():
        if descriptor == lifeline:
            os.kill(inner, signal.SIGKILL)
    _, status = os.waitpid(inner, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def serve(calls: socket.socket, terms: dict[str, Any], contained: bool) -> None:
    """Give up privileges, import the plugin, and serve calls until the host hangs up."""
    sandbox.die_with_parent()
    if not contained:
        os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the host's
    enforced = ["process_tree"] if contained else []
    os.chdir(terms["scratch"])
    for module in ("encode", "sandbox", "seccomp", "tags"):
        del sys.modules[module]  # a plugin may have modules of these names
    sys.path[:] = terms["path"]
    if not terms["network"] and not seccomp.supported() and sandbox.own_network():
        enforced.append("network_namespace")
    if sandbox.no_new_privileges():
        enforced.append("no_new_privileges")
    enforced += sandbox.limit_resources(terms["files"], terms["processes"], terms["file_bytes"])
    enforced += sandbox.restrict(terms["read"], terms["write"], terms["network"])
    if sandbox.drop_capabilities():
        enforced.append("no_capabilities")
    if seccomp.refuse(terms["network"]):
        enforced.append("system_calls")
        if not terms["network"] and seccomp.network_is_refused():
            enforced.append("network")
    later = {"memory"} if terms["memory_bytes"] else set()
    _refuse_without(terms["require"].keys() - later, enforced, terms["require"], calls)
    try:
        # Without a module it is only tried what can be enforced here.
        function = _find(terms["module"], terms["qualname"], terms["main"]) if terms["module"] else _nothing
        declared = [
            (module, name, ("call", _find(*how[1:])) if how[0] == "call" else how)
            for module, name, how in terms["returns"]
        ]
    except BaseException as error:  # noqa: BLE001 - whatever the import of a plugin does, the host is told
        _send(calls, Encoder().encode("".join(traceback.format_exception_only(error))[:2000]))
        os._exit(70)
    encoder = Encoder(declared, terms["output_bytes"])
    if terms["memory_bytes"] and sandbox.limit_memory(terms["memory_bytes"]):
        enforced.append("memory")
    _refuse_without(terms["require"], enforced, terms["require"], calls)
    _send(calls, Encoder().encode(tuple(enforced)))
    while True:
        try:
            request = pickle.loads(_receive(calls))  # noqa: S301 - as above
        except EOFError:
            os._exit(0)
        except MemoryError:
            os._exit(77)
        _answer(calls, function, request, encoder)


def _refuse_without(words: Iterable[str], enforced: Sequence[str], needs: dict[str, str], calls: socket.socket) -> None:
    """End, and say why, where the kernel did not do all that has to be done before the plugin may run."""
    missing = [f"{word} cannot be enforced here: it needs {needs[word]}" for word in sorted({*words} - {*enforced})]
    if missing:
        _send(calls, Encoder().encode(f"touches.require_enforced: {'; '.join(missing)}"))
        os._exit(70)


def _nothing() -> None:
    """What a worker serves that is only tried."""


def _answer(calls: socket.socket, function: Callable[..., Any], request: Any, encoder: Encoder) -> None:
    args, kwargs, seconds, parent = request
    if seconds is not None:
        sandbox.limit_cpu(seconds)
    detach = _join_trace(parent)
    started = _cpu_seconds()
    kind, body = "result", b""
    detail: Any = ""
    try:
        result = function(*args, **kwargs)
        if inspect.iscoroutine(result):
            result = asyncio.run(_awaited(result))
        try:
            body = encoder.encode(result)
        except NotPlain as refused:
            kind, detail = "refused", str(refused)
        except TooLarge:
            kind = "too_large"
        del result
    except MemoryError:
        os._exit(77)  # what is left of the process cannot be trusted
    except BaseException as error:  # noqa: BLE001 - it is described to the host, whatever it is
        kind, detail = "raised", _describe(error)
    detach()
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    told = (kind, _cpu_seconds() - started, peak_bytes, sandbox.count_children(), detail)
    _send(calls, Encoder().encode(told))
    if kind == "result":
        _send(calls, body)


async def _awaited(work: Awaitable[Any]) -> Any:
    return await work


def _describe(error: BaseException) -> tuple[Any, ...]:
    """An exception in plain data: module, name, text, arguments, frames, whether it is an `Exception`."""
    kind = type(error)
    frames = [
        (frame.f_code.co_filename, line, frame.f_code.co_qualname)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename != __file__
    ]
    frames = frames[:5] + frames[-25:] if len(frames) > 30 else frames
    try:
        text = str(error)[:10_000]
    except Exception:  # noqa: BLE001 - a plugin's __str__ may do anything
        text = "<the exception's own text failed>"
    try:
        arguments = Encoder(max_bytes=_MAX_EXCEPTION_BYTES).encode(error.args)
    except Exception:  # noqa: BLE001 - what is not plain is told in words
        arguments = None
    return kind.__module__, kind.__qualname__, text, arguments, tuple(frames), isinstance(error, Exception)


def _join_trace(parent: str) -> Callable[[], None]:
    """Make the host's span the current one, for subprocesses and for a plugin that uses OpenTelemetry."""
    os.environ["TRACEPARENT"] = parent
    if "opentelemetry.trace" not in sys.modules:
        return lambda: None
    from opentelemetry import context, trace

    _, trace_id, span_id, flags = parent.split("-")
    span = trace.SpanContext(int(trace_id, 16), int(span_id, 16), True, trace.TraceFlags(int(flags, 16)))
    token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(span)))
    return lambda: context.detach(token)


def _find(module: str, qualname: str, main: tuple[str, str] | None) -> Any:
    if main is not None:
        how, where = main
        # Under another name than __main__, so that the host's own `if __name__ == "__main__":` does not run here.
        names = (
            runpy.run_module(where, run_name="__plugwarden__")
            if how == "module"
            else runpy.run_path(where, run_name="__plugwarden__")
        )
        found: Any = names[qualname.partition(".")[0]]
        rest = qualname.partition(".")[2]
    else:
        found, rest = importlib.import_module(module), qualname
    for name in filter(None, rest.split(".")):
        found = getattr(found, name)
    return found


def _cpu_seconds() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _receive(connection: socket.socket) -> bytes:
    (length,) = FRAME.unpack(_exactly(connection, FRAME.size))
    if length > _MAX_ARGUMENT_BYTES:
        os._exit(71)
    return _exactly(connection, length)


def _exactly(connection: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = connection.recv(min(1 << 20, length - len(parts)))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def _send(connection: socket.socket, data: bytes) -> None:
    connection.sendall(FRAME.pack(len(data)) + data)


if __name__ == "__main__":
    main()
