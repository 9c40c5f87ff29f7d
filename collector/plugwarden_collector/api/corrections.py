"""What the API says about corrections. Pure; time is an argument."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from plugwarden_collector.decide.correction import Correction

from .plain import columns

__all__ = ["correction_answer"]


def correction_answer(item: Correction, at: datetime) -> dict[str, Any]:
    """Return a correction, and whether it leaves out what happens now."""
    return {**columns(item), "running": item.starts_at <= at < item.ends_at}
