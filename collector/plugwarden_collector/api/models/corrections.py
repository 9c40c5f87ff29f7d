"""Corrections: stretches of time that count in no budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field

from plugwarden_collector.decide import correction

from .answer import Answer
from .words import Asked, Name, Reason, Said, utc

__all__ = ["Correction", "CorrectionRequest"]


class CorrectionRequest(Asked):
    """Leave a stretch of time out of error budgets and burn rates. Isolation takes no notice of it."""

    plugins: Name = Field(default="*", description='A pattern of plugin ids, such as "image-*"')
    objectives: Name = Field(default="*", description="A pattern of names of objectives")
    owners: Name = Field(default="*", description="A pattern of owners of objectives; * also means those without one")
    starts_at: Annotated[AwareDatetime, AfterValidator(utc)] = Field(
        description="A full minute, with its zone, such as 2026-03-29T01:00:00Z"
    )
    ends_at: Annotated[AwareDatetime, AfterValidator(utc)] = Field(
        description="A full minute, which is not part of it; at most 31 days later"
    )
    reason: Reason
    actor: Said = None


@dataclass(frozen=True, slots=True)
class Correction(Answer, correction.Correction):
    """What happens from one full minute up to another counts in no budget and no burn rate of what it is about."""

    running: bool = False
    """Whether it leaves out what happens now."""
