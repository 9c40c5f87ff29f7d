"""Real files to work on: what the installed packages themselves bring along."""

from __future__ import annotations

import random
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Document", "documents"]

KINDS = {
    ".md": "text", ".rst": "text", ".py": "source", ".json": "data", ".csv": "data", ".png": "image", ".gif": "image",
}  # fmt: skip
WEIGHTS = {"text": 0.6, "source": 0.12, "data": 0.16, "image": 0.12}
"""How often each kind arrives."""
MAX_BYTES = {"text": 16_000, "source": 6_000, "data": 40_000, "image": 120_000}
MIN_BYTES = 200
MAX_FILES = 400
"""Per kind."""


@dataclass(frozen=True, slots=True)
class Document:
    """One file on its way through the pipeline."""

    name: str
    kind: str
    """`text`, `source`, `data` or `image`."""
    suffix: str
    data: bytes


def documents(seed: int = 7) -> Iterator[Document]:
    """An endless stream of documents, the same one for the same seed and the same installed packages."""
    chance = random.Random(seed)
    by_kind = _load(chance)
    kinds = [kind for kind in WEIGHTS if by_kind[kind]]
    weights = [WEIGHTS[kind] for kind in kinds]
    while True:
        kind = chance.choices(kinds, weights)[0]
        yield chance.choice(by_kind[kind])


def _load(chance: random.Random) -> dict[str, list[Document]]:
    root = Path(sysconfig.get_paths()["purelib"])
    paths: dict[str, list[Path]] = {kind: [] for kind in WEIGHTS}
    for path in sorted(root.rglob("*")):
        kind = KINDS.get(path.suffix.lower())
        if kind and path.is_file() and MIN_BYTES <= path.stat().st_size <= MAX_BYTES[kind]:
            paths[kind].append(path)
    loaded: dict[str, list[Document]] = {}
    for kind, found in paths.items():
        chosen = chance.sample(found, min(MAX_FILES, len(found)))
        loaded[kind] = [
            Document(str(path.relative_to(root)), kind, path.suffix.lower(), path.read_bytes()) for path in chosen
        ]
    return loaded
