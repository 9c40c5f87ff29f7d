"""The collector's command: in this process, where what it says is the thing tested, and as a process."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys

import pytest
from plugwarden_collector.command import output
from plugwarden_collector.command.main import run

__all__ = ["NOBODY", "plugwarden", "plugwarden_process"]

NOBODY = "http://127.0.0.1:9"
"""An address at which no collector answers."""


def plugwarden(
    *arguments: str, url: str = NOBODY, given: str | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in this process, with `given` to read and nobody at a terminal; return what it printed and how it ended.

    What makes it a process of its own (who owns its files, what it loads, signals, locks) is for `plugwarden_process`.
    """
    printed, told = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        for name, value in _environ(url, environ).items():
            patch.setenv(name, value)
        for console in (output.console, output.errors):  # made when they were imported, perhaps at another width
            patch.setattr(console, "_width", None)
        patch.setattr(sys, "stdin", io.StringIO(given or ""))
        stack.enter_context(contextlib.redirect_stdout(printed))
        stack.enter_context(contextlib.redirect_stderr(told))
        try:
            run(arguments)
        except SystemExit as ended:
            code = ended.code or 0
    texts = [stream.buffer.getvalue().decode() for stream in (printed, told)]  # type: ignore[attr-defined]
    assert isinstance(code, int)
    return subprocess.CompletedProcess(arguments, code, *texts)


def plugwarden_process(*arguments: str, url: str = NOBODY, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a person does."""
    command = [sys.executable, "-m", "plugwarden_collector", *arguments]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=os.environ | _environ(url, environ),
        timeout=60, check=False,
    )  # fmt: skip


def _environ(url: str, more: dict[str, str]) -> dict[str, str]:
    return {"PLUGWARDEN_COLLECTOR_URL": url, "COLUMNS": "80", "PYTHONWARNINGS": "ignore", **more}
