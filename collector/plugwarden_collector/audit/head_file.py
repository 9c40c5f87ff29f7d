"""The newest entry of each chain, kept outside of the store: what is missing from a log that was cut is told from it.

One record a chain and folder, replaced in one step. A record may be behind its chain, by what a kill left between commit
and record; it is never ahead, because it is written after the commit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from plugwarden_collector.errors import SettingsError
from plugwarden_collector.private import make_folder, replace_text

from .entries import ACCESS, DECISIONS, GENESIS

__all__ = ["Break", "Head", "Heads", "Records"]

MAX_BREAKS = 100
"""In a record; whoever breaks a log over and over must not fill the disk. The first ones stay."""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry of a chain."""

    sequence: int = 0
    """0: there is none."""
    hash: str = GENESIS
    time: str | None = None
    """ISO 8601, UTC: when the entry was made."""


@dataclass(frozen=True, slots=True)
class Break:
    """A log that was met and is not the one that was left."""

    stream: str
    text: str
    """What is missing or other, in words."""
    found_at: str
    kept: Head
    """Head that was kept, and should be there."""
    there: Head
    """Head that was met in the store."""
    chain: str = ""
    """The identity of the log that should be there, when another one is."""
    accepted: str | None = None
    """Who took it for explained, and why."""


@dataclass(slots=True)
class Heads:
    """A record: the heads of the chains of one store in one folder."""

    chain: str
    folder: str
    heads: dict[str, Head] = field(default_factory=lambda: {DECISIONS: Head(), ACCESS: Head()})
    breaks: list[Break] = field(default_factory=list)
    unverified: dict[str, Head] = field(default_factory=dict)
    """Stream -> entry up to which keys that are gone were accepted."""
    copied: bool = False
    """Whether the chain was in another folder before: what starts there adds to the access log of the copy alone."""

    def as_text(self) -> str:
        """What is written to disk."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_text(cls, text: str) -> Heads:
        """Raises `ValueError` when it is not a record."""
        raw = json.loads(text)
        try:
            heads = {name: _head(item) for name, item in raw["heads"].items()}
            breaks = [
                Break(**{**item, "kept": _head(item["kept"]), "there": _head(item["there"])}) for item in raw["breaks"]
            ]
            unverified = {name: _head(item) for name, item in raw["unverified"].items()}
            heads = {DECISIONS: Head(), ACCESS: Head()} | heads
            return cls(str(raw["chain"]), str(raw["folder"]), heads, breaks, unverified, bool(raw.get("copied")))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a record of heads: {error}") from error


class Records:
    """A folder of records."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, chain: str, folder: Path) -> Path:
        """The record of a chain in a folder."""
        return self.folder / f"{_plain(chain)}-{_digest(folder)}.json"

    def load(self, chain: str, folder: Path) -> Heads | None:
        """One record; raises `SettingsError` when it is there and cannot be read."""
        return self._read(self.path(chain, folder))

    def of_chain(self, chain: str) -> Iterator[Heads]:
        """Records of a chain, in whatever folder it was."""
        yield from self._all(f"{_plain(chain)}-*.json")

    def of_folder(self, folder: Path) -> Iterator[Heads]:
        """Records of whatever chain was in a folder."""
        yield from self._all(f"*-{_digest(folder)}.json")

    def save(self, heads: Heads) -> None:
        """Keep a record, on disk when this returns; raises `SettingsError`."""
        heads.breaks = heads.breaks[:MAX_BREAKS]
        try:
            make_folder(self.folder)
            replace_text(self.path(heads.chain, Path(heads.folder)), heads.as_text())
        except OSError as error:
            raise SettingsError(
                f"{self.folder}: heads of the decision log cannot be kept: {error.strerror}; name a folder that lasts and can "
                "be written, outside of the data folder, with PLUGWARDEN_AUDIT_HEADS"
            ) from error

    def _all(self, pattern: str) -> Iterator[Heads]:
        for path in sorted(self.folder.glob(pattern)):
            found = self._read(path)
            if found is not None:
                yield found

    def _read(self, path: Path) -> Heads | None:
        try:
            return Heads.from_text(path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"{path}: cannot be read, and without it nobody knows where the decision log ended: {error}. "
                "Move it away if that is explained; the log is then verified by its key alone"
            ) from error


def _head(raw: Mapping[str, Any]) -> Head:
    return Head(int(raw["sequence"]), str(raw["hash"]), None if raw["time"] is None else str(raw["time"]))


def _digest(folder: Path) -> str:
    return hashlib.sha256(str(folder).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _plain(chain: str) -> str:
    """A chain's identity comes from the store, which a forger can write: it must not become a path."""
    return chain if chain.isalnum() and chain.isascii() and len(chain) <= 64 else _digest(Path(chain))
