"""What Alertmanager's own API takes and answers, by its names (https://github.com/prometheus/alertmanager, api/v2/openapi.yaml, 0.25)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from plugwarden.contract.value import value
from pydantic import AfterValidator, BaseModel, Field

from plugwarden_collector.matcher import MAX_MATCHERS, MAX_NAME, MAX_VALUE, Matcher, Op, checked

from .answer import Answer
from .words import Reason, utc

__all__ = [
    "AlertGroup",
    "AlertReceiver",
    "AlertmanagerStatus",
    "GettableAlert",
    "GettableSilence",
    "PostableSilence",
    "SilenceId",
]  # fmt: skip


class PostableMatcher(BaseModel):
    """What is said of one label."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    value: Annotated[str, Field(max_length=MAX_VALUE)]
    isRegex: bool
    isEqual: bool = True

    def matcher(self) -> Matcher:
        """Return it as a matcher; raises `MatcherError`."""
        equal, unequal = (Op.LIKE, Op.UNLIKE) if self.isRegex else (Op.EQUAL, Op.UNEQUAL)
        return Matcher(self.name, self.value, equal if self.isEqual else unequal)


def _usable(matchers: list[PostableMatcher]) -> list[PostableMatcher]:
    checked(item.matcher() for item in matchers)
    return matchers


Moment = Annotated[datetime, AfterValidator(utc)]


class PostableSilence(BaseModel):
    """A silence to make, or to change where it has an id. What else a client sends of one that it read is passed over."""

    id: Annotated[str, Field(max_length=200)] | None = None
    matchers: Annotated[list[PostableMatcher], Field(min_length=1, max_length=MAX_MATCHERS), AfterValidator(_usable)]
    startsAt: Moment
    endsAt: Moment
    createdBy: Annotated[str, Field(max_length=200)]
    comment: Reason


@value
class SilenceId(Answer):
    """The silence that was made or changed."""

    silenceID: str


@value
class SilenceMatcher(Answer):
    """What a silence says of one label."""

    name: str
    value: str
    isRegex: bool
    isEqual: bool


@value
class SilenceStatus(Answer):
    """How a silence stands."""

    state: str
    """`pending`, `active` or `expired`."""


@value
class GettableSilence(Answer):
    """A silence."""

    id: str
    matchers: list[SilenceMatcher]
    startsAt: datetime
    endsAt: datetime
    updatedAt: datetime
    """When it begins: a silence keeps no time of its last change."""
    createdBy: str
    comment: str
    status: SilenceStatus


@value
class AlertReceiver(Answer):
    """Who is told."""

    name: str


@value
class AlertStatus(Answer):
    """How an alert stands."""

    state: str
    """`active` or `suppressed`."""
    silencedBy: list[str]
    inhibitedBy: list[str]


@value
class GettableAlert(Answer):
    """Something that people are told of, or that others pushed."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    receivers: list[AlertReceiver]
    """Empty for what others pushed: nobody is told of it."""
    fingerprint: str
    startsAt: datetime
    updatedAt: datetime
    endsAt: datetime
    """Five minutes from now: it goes on for as long as it is told."""
    generatorURL: str
    status: AlertStatus


@value
class AlertGroup(Answer):
    """Alerts of one plugin, or of the collector, as one receiver may join them."""

    labels: Mapping[str, str]
    receiver: AlertReceiver
    alerts: list[GettableAlert]


@value
class ClusterStatus(Answer):
    """There is no cluster."""

    status: str
    """`disabled`."""
    peers: list[str]


@value
class VersionInfo(Answer):
    """What runs; what Alertmanager alone has is empty."""

    version: str
    revision: str
    branch: str
    buildUser: str
    buildDate: str
    goVersion: str


@value
class AlertmanagerConfig(Answer):
    """A configuration."""

    original: str
    """The receivers by their names; the addresses are secrets."""


@value
class AlertmanagerStatus(Answer):
    """What answers here, and since when."""

    cluster: ClusterStatus
    versionInfo: VersionInfo
    config: AlertmanagerConfig
    uptime: datetime
    """When the API was started, UTC."""
