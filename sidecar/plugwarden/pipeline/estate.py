"""What processes that have ended left uncounted: found, turned into requests, and deleted once a collector has them.

A request is made of what stands in the region alone, the dead process's own resource included, so whoever makes it, and
however often, it is the same to the byte and the collector counts it once (ADR 0002). That is also what happens to the
request that was under way when its process was killed.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from plugwarden.contract import Scope
from plugwarden.contract.names import OVERFLOW
from plugwarden.contract.value import value
from plugwarden.settings import Settings

from .aggregate import Cell, CellKey, MetricBatch
from .journal import CALLS_BYTES, DURATION_BITS, ENDING_BITS, ENDINGS, OTHERS, load_cells
from .region import SUFFIX, Left, Region

__all__ = ["Estate", "Inherited", "family_folder", "identity_of_process", "spawned_by", "state_folder", "sweep"]

_DURATION = (1 << DURATION_BITS) - 1
_ENDING = (1 << ENDING_BITS) - 1


@value
class _Gone:
    """Stands for an operation of a process that has ended."""

    scope: Scope


class _Call(NamedTuple):
    """Stands for a call of which its word in the ring is all that is known."""

    duration_ns: int
    more: None = None


@value
class Inherited:
    """One request of a process that has ended."""

    region: Region
    items: int
    """Calls."""
    data: bytes


class Estate:
    """The regions in one folder whose owners have ended. One thread uses it; errors of the disk are told by the answer."""

    def __init__(
        self,
        folder: Path,
        encode: Callable[[MetricBatch, Mapping[str, Any]], bytes],
        count_drop: Callable[[str, str, int], None],
    ) -> None:
        self._folder = folder
        self._encode = encode
        self._count_drop = count_drop
        self._waiting: deque[Inherited] = deque()
        self._skipped: set[Path] = set()

    def waits(self) -> bool:
        """Whether anybody left something here, alive or not. Cheap: most often there is no such folder."""
        return bool(self._waiting) or next(_files(self._folder), None) is not None

    def oldest(self) -> Inherited | None:
        """The next request that somebody left."""
        while not self._waiting:
            region = self._next_region()
            if region is None:
                return None
            try:
                about, outbox, batch = _read(region.read())
            except Exception:  # noqa: BLE001 - a file may hold anything
                self._count_drop("internal", "unreadable_calls", 1)
                region.discard()
                continue
            self._waiting.extend(Inherited(region, calls, request) for calls, request in outbox)
            if batch.cells or batch.dropped:
                try:
                    data = self._encode(batch, about)
                except Exception:
                    self._waiting.clear()
                    self._skipped.add(region.path)  # another process may have better luck with it
                    region.release()
                    raise
                self._waiting.append(Inherited(region, batch.calls, data))
            if not self._waiting:
                region.discard()
        return self._waiting[0]

    def remove(self, item: Inherited) -> None:
        """It was taken, or never will be."""
        self._waiting.popleft()
        if not self._waiting:
            item.region.discard()

    def close(self) -> None:
        """Leave what was not sent to others."""
        if self._waiting:
            self._waiting[0].region.release()
            self._waiting.clear()

    def _next_region(self) -> Region | None:
        for path in sorted(set(_files(self._folder)) - self._skipped):
            try:
                return Region.open(path)
            except BlockingIOError:
                continue  # its process lives, or somebody else is at it
            except ValueError:
                self._count_drop("internal", "unreadable_calls", 1)
                path.unlink(missing_ok=True)
            except OSError:
                continue
        return None


def state_folder(settings: Settings) -> Path | None:
    """Where a host with a state folder keeps its regions; None: it has none, or nothing may wait on disk."""
    return settings.state_dir / "calls" if settings.state_dir is not None and settings.spool_bytes else None


def family_folder(settings: Settings, ancestor: str) -> Path:
    """Where the children of a process without a state folder keep theirs: memory where the system has a folder of it.

    `ancestor` is the process that looks after them, as `identity_of_process` has it. Told apart by where telemetry goes too:
    what a sidecar inherits must be its own to send.
    """
    shared = Path("/dev/shm")  # noqa: S108 - the folder below is private, and refused if it is not
    base = shared if os.access(shared, os.W_OK | os.X_OK) else Path(os.environ.get("TMPDIR", "/tmp"))  # noqa: S108
    # A hash by what every host has loaded: `hashlib` would bring OpenSSL (2 ms) into processes that never look here.
    told = repr((settings.service, settings.endpoint, settings.protocol, settings.token, settings.environment))
    return base / f"plugwarden-{os.geteuid()}" / f"{ancestor}-{random.Random(told).getrandbits(48):012x}"  # noqa: S311 - tells folders apart


def identity_of_process(process: int) -> str | None:
    """A process by its number and when it started, so that a number used again names another; None: it has ended."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        if sys.platform == "linux":
            return None
        return f"{process}-0"
    return None if stat[0] in "ZX" else f"{process}-{stat[19]}"  # proc(5): fields 3 and 22


def spawned_by() -> str | None:
    """The process whose multiprocessing started this one; None: nobody's did."""
    module = sys.modules.get("multiprocessing.process")  # who has not loaded it was not started by it
    parent = None if module is None else module.parent_process()
    return None if parent is None or parent.pid is None else identity_of_process(parent.pid)


def sweep(family: Path) -> None:
    """Delete what families left of whom nobody lives, the ancestor included: there is nobody to count it."""
    for folder in sorted(family.parent.glob("*-*-*")):
        process = folder.name.split("-", 1)[0]
        if (
            folder == family
            or not process.isdigit()
            or identity_of_process(int(process)) == folder.name.rpartition("-")[0]
        ):
            continue
        for path in _files(folder):
            try:
                Region.open(path).discard()
            except (OSError, ValueError):
                break  # a child of the family lives on
        else:
            try:
                folder.rmdir()
            except OSError:
                pass  # something else lies in it: it is left alone


def _files(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            yield from (folder / entry.name for entry in entries if entry.name.endswith(SUFFIX))
    except OSError:
        return


def _read(left: Left) -> tuple[Mapping[str, Any], list[tuple[int, bytes]], MetricBatch]:
    """What its resource is, (calls, request) of what was cut already, and all the rest as one interval."""
    lines = [json.loads(line) for line in left.names]
    about = [line for line in lines if isinstance(line, dict)][-1]
    names = [tuple(line) for line in lines if isinstance(line, list)]
    opened, *waiting = left.parts or [b""]
    outbox = [(int.from_bytes(part[:CALLS_BYTES], "little"), part[CALLS_BYTES:]) for part in waiting]
    start_ns, dumped, dropped = json.loads(opened) if opened else (left.beat_ns, [], [])
    gone: dict[tuple[str, ...], _Gone] = {}

    def operation(plugin: str, version: str, name: str) -> _Gone:
        return gone.setdefault((plugin, version, name), _Gone(Scope(plugin, version, name)))

    cells = load_cells(dumped, operation)
    for word in left.calls:
        number = word >> DURATION_BITS + ENDING_BITS
        named = (OVERFLOW, OVERFLOW, OVERFLOW) if number == OTHERS else names[number - OTHERS - 1]
        ending = ENDINGS[word >> DURATION_BITS & _ENDING]
        key = CellKey(operation(*named), *ending, None, None, None, None)  # type: ignore[arg-type]  # it has a scope
        cells.setdefault(key, Cell()).add(_Call(word & _DURATION))  # type: ignore[arg-type]  # all that is looked at
    end_ns = max(left.beat_ns, start_ns + 1)
    return about, outbox, MetricBatch(start_ns, end_ns, cells, {(signal, why): items for signal, why, items in dropped})
