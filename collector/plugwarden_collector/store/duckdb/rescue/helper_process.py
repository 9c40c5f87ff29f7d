"""Runs what reads damaged files in a process of its own: if DuckDB ends it, or never ends, that is an error, not the end."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from plugwarden_collector.errors import StoreError

__all__ = ["Apart"]

TIMEOUT_SECONDS = 300.0
"""Seconds for one call; callers ask for pieces that take seconds."""
_T = TypeVar("_T")


class Apart:
    """A helper process, started at the first call and again after each one that ended it. Close it, or use `with`."""

    def __init__(self, timeout_seconds: float = TIMEOUT_SECONDS, said_of: tuple[Path, Path] | None = None) -> None:
        """`said_of` is a path in errors, and the one to name in its place."""
        self._timeout_seconds = timeout_seconds
        self._said_of = said_of
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None

    def __call__(self, work: Callable[..., _T], *arguments: Any) -> _T:
        """What a module-level function answers over there; raises `StoreError` for whatever went wrong with it."""
        pipe = self._pipe or self._start()
        try:
            pipe.send((work, arguments))
            if not pipe.poll(self._timeout_seconds):
                self.close()
                raise StoreError(f"reading did not end within {self._timeout_seconds:.0f} s and was stopped")
            failed, answer = pipe.recv()
        except (EOFError, OSError) as error:
            code = self._wait()
            self.close()
            raise StoreError(f"reading ended the process that did it ({code})") from error
        if failed:
            raise StoreError(answer.replace(*map(str, self._said_of)) if self._said_of else answer)
        return answer  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the process."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.join(1)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
            self._process.close()
        self._pipe = self._process = None

    def __enter__(self) -> Apart:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> Connection:
        # A new interpreter, not a fork: DuckDB's threads do not survive one.
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there,), daemon=True)
        self._process.start()
        there.close()
        self._pipe = here
        return here

    def _wait(self) -> str:
        if self._process is None:
            return "it was gone"
        self._process.join(5)
        code = self._process.exitcode
        return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"


def _serve(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it closes the pipe
    while True:
        try:
            work, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            pipe.send((False, work(*arguments)))
        except Exception as error:  # noqa: BLE001 - it is passed on to whoever asked
            pipe.send((True, " ".join(str(error).split())[:500] or type(error).__name__))
