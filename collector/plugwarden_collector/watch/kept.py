"""What is kept of a rule from one look to the next, over restarts: the last looks at what fails, and what has gone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from .sample import key_of

__all__ = ["Kept", "as_text", "kept_in"]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is remembered of one thing that a rule looks at."""

    labels: Mapping[str, str]
    recent: tuple[bool, ...] = ()
    """Whether it was so at the last looks that could tell, the newest last."""
    missing_at: datetime | None = None
    """Since when it is not there; None while it is."""

    @property
    def key(self) -> str:
        """What it is known by among the others of its rule."""
        return key_of(self.labels)


def as_text(kept: Mapping[str, Kept]) -> str:
    """Return what is kept of a rule, as JSON."""
    return json.dumps(
        [
            {
                "labels": dict(item.labels),
                "recent": "".join("01"[failed] for failed in item.recent),
                "missing_at": None if item.missing_at is None else item.missing_at.isoformat(),
            }
            for item in kept.values()
        ]
    )


def kept_in(text: str) -> list[Kept]:
    """Return what a text of `as_text` keeps; nothing where it cannot be read, for then a look begins anew."""
    try:
        return [
            Kept(
                {str(name): str(value) for name, value in item["labels"].items()},
                tuple(sign == "1" for sign in item["recent"]),
                None if item["missing_at"] is None else datetime.fromisoformat(item["missing_at"]),
            )
            for item in json.loads(text)
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
