"""How much memory the collector may take, and who gets how much of it.

What there is: `PLUGWARDEN_MEMORY`, or the smallest limit of the control groups that the process is in (a container's
`mem_limit`), or the machine's memory. Up to 4 GB each part gets a share, beyond that it has what it needs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from plugwarden_collector.errors import SettingsError

__all__ = ["VARIABLE", "Memory", "memory", "memory_from", "parse_size", "split"]

VARIABLE = "PLUGWARDEN_MEMORY"
MIN_BYTES = 256 * 10**6
"""With less the interpreter and its libraries alone leave nothing over."""
_SIZES = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?B?)", re.IGNORECASE)
_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """The parts, in bytes."""

    total_bytes: int
    """What there is."""
    engine_bytes: int
    """DuckDB's limit for the store: buffers, sorts, hash tables; above it it spills."""
    operator_bytes: int
    """Bytes of one sort or hash table of a reader's statement, above which it spills."""
    held_bytes: int
    """What statements may hold of the engine's that cannot be spilled, together; the rest is for ingest."""
    process_bytes: int
    """Above it statements end that were running in the collector while it grew."""
    growth_bytes: int
    """So much growth is laid at a statement's door."""
    queue_bytes: int
    """Decoded rows that wait for a commit."""
    cache_bytes: int
    """Calls of recent minutes that pages about all plugins read."""
    reader_bytes: int
    """Bytes of each of the two reader processes, beyond what it holds when it starts."""


def split(total_bytes: int) -> Memory:
    """Who gets how much. At 2 GB the parts and the interpreter (0.25 GB) take 1.7 GB together."""

    def part(share: float, most: int) -> int:
        return min(most, int(total_bytes * share))

    engine = part(0.30, 10**9)
    return Memory(
        total_bytes,
        engine,
        operator_bytes=min(256 * 10**6, engine // 4),
        held_bytes=min(384 * _MB, engine * 2 // 5),
        process_bytes=part(0.60, 2048 * _MB),
        growth_bytes=part(0.15, 384 * _MB),
        queue_bytes=part(0.08, 256 * _MB),
        cache_bytes=part(0.05, 160 * _MB),
        reader_bytes=part(0.12, 512 * _MB),
    )


@cache
def memory() -> Memory:
    """The parts of this process. A wrong variable keeps a collector from starting (settings.py) and counts for nothing here."""
    try:
        return memory_from(os.environ)
    except SettingsError:
        return memory_from({})


def memory_from(environ: Mapping[str, str], root: Path = Path("/")) -> Memory:
    """The parts as variables and the files below `root` say."""
    text = environ.get(VARIABLE, "").strip()
    if not text:
        return split(max(MIN_BYTES, available_bytes(root)))
    size = parse_size(text, VARIABLE)
    if size < MIN_BYTES:
        raise SettingsError(f"{VARIABLE}: {text!r} is too little; the collector needs {MIN_BYTES // 10**6}MB at least")
    return split(size)


def available_bytes(root: Path) -> int:
    """The smallest of the machine's memory and the limits of the control groups (version 1 and 2) around this process."""
    found = [_machine_bytes(root)]
    for group in (_text(root / "proc/self/cgroup") or "0::/").splitlines():
        _, _, rest = group.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            top, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        # Within a container the path may be the host's, of which only the top is there: all that can be read count.
        below = [part for part in path.split("/") if part not in ("", "..")]
        for depth in range(len(below) + 1):
            limit = _text(top.joinpath(*below[:depth]) / name)
            if limit is not None and limit.strip().isdigit():
                found.append(int(limit))
    return min(found)


def parse_size(text: str, name: str) -> int:
    """`500MB` as bytes; raises `SettingsError` naming the setting."""
    found = _SIZE.fullmatch(text.strip())
    unit = found.group(2).upper() if found else ""
    if found is None or (unit and not unit.endswith("B")):
        raise SettingsError(f"{name}: {text!r} is not a size; write for instance 500MB or 20GB")
    return int(float(found.group(1)) * _SIZES[unit])


def _machine_bytes(root: Path) -> int:
    found = re.search(r"^MemTotal:\s+(\d+) kB", _text(root / "proc/meminfo") or "", re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 4 * 10**9  # not Linux: as if there were enough


def _text(file: Path) -> str | None:
    try:
        return file.read_text("ascii")
    except (OSError, ValueError):
        return None
