"""The packages of requirements.lock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LOCK", "Pinned", "pinned"]

LOCK = Path(__file__).parents[1] / "requirements.lock"
_PIN = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Pinned:
    """One package as it is locked."""

    name: str
    version: str
    sha256: tuple[str, ...]
    """Of each file that may be installed for it."""


def pinned(lock: Path = LOCK) -> list[Pinned]:
    """All packages, by name; raises `ValueError` for a line that is none."""
    found: list[Pinned] = []
    text = re.sub(
        r"\\\n", " ", "".join(line for line in lock.read_text().splitlines(True) if not line.strip().startswith("#"))
    )
    for line in filter(str.strip, text.splitlines()):
        pin = _PIN.match(line)
        hashes = tuple(sorted(_HASH.findall(line)))
        if pin is None or not hashes:
            raise ValueError(f"{lock}: {line[:80]!r} is no package with a version and hashes")
        found.append(Pinned(pin[1], pin[2], hashes))
    return sorted(found, key=lambda item: item.name)
