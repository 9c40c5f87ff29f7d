"""Silences: whom nobody is told about for a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from plugwarden.contract.value import value
from pydantic import Field

from plugwarden_collector.decide import silence

from .answer import Answer
from .words import Asked, Name, Reason, Said

__all__ = ["Silence", "SilenceEnd", "SilenceRequest"]


class SilenceRequest(Asked):
    """Tell nobody of some alerts for a while."""

    matchers: Annotated[dict[Name, Name], Field(min_length=1, max_length=10)] = Field(
        description="Labels that must all be equal: plugin, version, slo, severity"
    )
    seconds: Annotated[float, Field(ge=1, le=31 * 86_400)]
    comment: Reason
    actor: Said = None


@dataclass(frozen=True, slots=True)
class Silence(Answer, silence.Silence):
    """Labels that must all be equal, and for how long."""


@value
class SilenceEnd(Answer):
    """A silence that was taken back."""

    id: str
