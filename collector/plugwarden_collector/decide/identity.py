"""Short names for what the collector makes: quarantines, incidents, silences."""

from __future__ import annotations

import hashlib

__all__ = ["new_id"]


def new_id(prefix: str, *parts: object) -> str:
    """Return a short id that the same parts always give."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=5).hexdigest()
    return f"{prefix}-{digest}"
