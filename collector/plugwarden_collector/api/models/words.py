"""Texts that requests are made of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from plugwarden.contract import name_fault
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from plugwarden_collector.audit.actor import claimed

__all__ = ["Asked", "Name", "Reason", "ReasonedRequest", "Said", "nameable", "utc"]

Name = Annotated[str, Field(min_length=1, max_length=200)]
Reason = Annotated[str, Field(min_length=3, max_length=2000, pattern=r"\S", description="Why; goes into the audit log")]
Said = Annotated[
    Annotated[str, Field(min_length=1, max_length=200)] | None,
    AfterValidator(claimed),
    Field(description="On whose behalf; recorded as said by the token's holder, whose name is the actor"),
]


def nameable(part: str) -> AfterValidator:
    """Return the rule by which sidecars take a part of a scope: what is accepted here is obeyed there."""

    def check(name: str) -> str:
        fault = name_fault(part, name)
        if fault is not None:
            raise ValueError(fault)
        return name

    return AfterValidator(check)


def utc(moment: datetime) -> datetime:
    """Return a moment as all times here are: UTC without a zone; raises `ValueError` for one that UTC does not have."""
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).replace(tzinfo=None)
    except OverflowError as error:
        raise ValueError("is a moment that UTC does not have") from error


class Asked(BaseModel):
    """Base of all requests: a field that nobody knows is an error, not a wish that is passed over."""

    model_config = ConfigDict(extra="forbid")


class ReasonedRequest(Asked):
    """An act that needs no more than a reason."""

    reason: Reason
    actor: Said = None
