"""Silences: whom nobody is told about for a while; and acknowledgements."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from plugwarden.contract.value import value
from pydantic import AfterValidator, Field

from plugwarden_collector.announce import hidden
from plugwarden_collector.decide import acknowledgement
from plugwarden_collector.decide.silence import MAX_SILENCE
from plugwarden_collector.matcher import MAX_MATCHERS, matchers_of

from .answer import Answer
from .words import Asked, Name, Reason, Said, utc

__all__ = [
    "Acknowledgement", "AcknowledgementRequest", "Hidden", "Silence", "SilenceEnd", "SilenceExtension", "SilenceMade",
    "SilencePreview", "SilencePreviewRequest", "SilenceRequest",
]  # fmt: skip

MAX_SECONDS = MAX_SILENCE.total_seconds()
MAX_AHEAD = timedelta(days=366)
"""How long ahead a silence may begin."""

Written = dict[Name, Name] | list[Annotated[str, Field(min_length=1, max_length=4096)]]


def _usable(written: Written) -> Written:
    matchers_of(written)
    return written


Matchers = Annotated[
    Written,
    Field(
        min_length=1,
        max_length=MAX_MATCHERS,
        description='Matchers that must all be true, such as `plugin="csv"` or `version=~"1\\\\..*"`; or an object of labels that must '
        "be equal",
    ),
    AfterValidator(_usable),
]


class SilencePreviewRequest(Asked):
    """What a silence would hide."""

    matchers: Matchers


class SilenceRequest(SilencePreviewRequest):
    """Tell nobody of some alerts for a while."""

    seconds: Annotated[float, Field(ge=1, le=MAX_SECONDS)]
    starts_at: Annotated[datetime | None, AfterValidator(lambda at: at and utc(at))] = Field(
        None, description="When it begins, ISO 8601 (UTC unless it says otherwise); none, or in the past: now"
    )
    owner: Name | None = Field(None, description="Who answers for it, such as a team; none: who makes it")
    comment: Reason
    actor: Said = None


class SilenceExtension(Asked):
    """Let a silence end later."""

    seconds: Annotated[float, Field(ge=1, le=MAX_SECONDS, description="By how much")]
    reason: Reason
    actor: Said = None


@value
class Silence(Answer):
    """Matchers that must all be true of an alert, and from when to when nobody is told of it."""

    id: str
    matchers: list[str]
    """Such as `plugin="csv"`."""
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str
    owner: str | None
    """Who answers for it; null: who made it."""
    state: str
    """`pending`, `active` or `expired`."""


@dataclass(frozen=True, slots=True)
class Hidden(Answer, hidden.Hidden):
    """One thing that a silence hides."""


@value
class SilencePreview(Answer):
    """What a silence hides now."""

    hides: list[Hidden]
    """Pages first."""


@dataclass(frozen=True, slots=True)
class SilenceMade(Silence):
    """A silence, and what it hides now."""

    hides: list[Hidden]
    """Pages first; of one that is to come, what it would hide if it had begun."""


@value
class SilenceEnd(Answer):
    """A silence that was taken back."""

    id: str


class AcknowledgementRequest(Asked):
    """Know of something for a while: it is not told again, and its end is."""

    subject: Name = Field(description="Fingerprint of an alert, or id of a quarantine or an incident")
    seconds: Annotated[float, Field(ge=1, le=MAX_SECONDS)]
    reason: Reason
    actor: Said = None


@dataclass(frozen=True, slots=True)
class Acknowledgement(Answer, acknowledgement.Acknowledgement):
    """A person's word that they know."""
