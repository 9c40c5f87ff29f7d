"""How far long work has come, on the terminal of whoever waits for it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from .output import clean, errors

__all__ = ["bar", "interrupted", "share", "steps"]


@contextmanager
def bar(text: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show bytes done of bytes in all while the block runs; nothing when `quiet`, or when nobody looks."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with Progress(TextColumn(text), BarColumn(), DownloadColumn(), console=errors, transient=True) as progress:
        task = progress.add_task(text, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def interrupted() -> Iterator[Callable[[], bool]]:
    """Tell whether somebody wants the block to end: the first Ctrl-C asks, the second one ends the command as ever."""
    asked: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: object) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def share(text: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show the share that is done, and how long the rest will take, while the block runs; nothing when `quiet`, or when nobody looks."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task(clean(text), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def steps(text: str, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show the step at hand while the block runs; nothing when `quiet`, or when nobody looks."""
    if quiet or not sys.stderr.isatty():
        yield lambda step: None
        return
    with errors.status(text) as status:
        yield lambda step: status.update(f"{text}: {clean(step)}")
