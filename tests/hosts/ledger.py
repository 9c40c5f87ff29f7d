"""What came of each host, kept between runs: `make hosts` goes on where it was stopped, and two of them share the work."""

from __future__ import annotations

import fcntl
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.hosts.pages import Section
from tests.hosts.row import Row

__all__ = ["Ledger"]

HERE = Path(__file__).parent
JUDGES = ("pages.py", "process.py", "row.py", "trial.py", "verdict.py")
"""Modules of this folder on which a result rests; what they say of a host may be otherwise once they are changed."""


class Ledger:
    """Results by name, each valid for the same host, packages, sidecar, Python and number of runs alone."""

    def __init__(self, folder: Path, sidecar: str, runs: int) -> None:
        self._folder = folder
        self._common = (sidecar, sys.version, runs, *((HERE / name).read_text("utf-8") for name in JUDGES))
        folder.mkdir(parents=True, exist_ok=True)

    def done(self, of: Row | Section) -> dict[str, Any] | None:
        """Return what came of it the last time; None where it was not run as it stands now."""
        try:
            kept = json.loads(self._path(of).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        if kept.get("stamp") != self._stamp(of):
            return None
        found: dict[str, Any] = kept["found"]
        return found

    def note(self, of: Row | Section, found: dict[str, Any]) -> None:
        """Keep what came of it."""
        path = self._path(of)
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps({"stamp": self._stamp(of), "found": found}), "utf-8")
        draft.replace(path)

    @contextmanager
    def holding(self, name: str, waits: Callable[[], None]) -> Iterator[None]:
        """Have an environment for oneself; `waits` is called where another run has it. The system lets go of what a dead one held."""
        with (self._folder / f"{name}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waits()
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _path(self, of: Row | Section) -> Path:
        name = of.name if isinstance(of, Row) else f"page-{sha256(of.name.encode()).hexdigest()[:16]}"
        return self._folder / f"{name}.json"

    def _stamp(self, of: Row | Section) -> str:
        files = of.row().files if isinstance(of, Section) else {}
        parts = [*self._common, asdict(of), dict(files)]
        return sha256(json.dumps(parts, sort_keys=True, default=sorted).encode()).hexdigest()
