"""How many repetitions a long test makes: `PLUGWARDEN_TEST_SHARE` of its full number, which is what it makes unless that is set."""

from __future__ import annotations

import os

__all__ = ["repetitions"]

SHARE = float(os.environ.get("PLUGWARDEN_TEST_SHARE", "1"))
"""`make test` makes a fourth of them, `make repeated` all."""


def repetitions(full: int) -> int:
    """Of so many, at least one."""
    return max(1, round(full * SHARE))
