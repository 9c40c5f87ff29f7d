"""What people do about being told: silences, acknowledgements, and what a silence would hide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from plugwarden_collector.announce.hidden import Hidden, hidden_by
from plugwarden_collector.announce.subject import Subject
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.clock import Clock
from plugwarden_collector.decide.acknowledgement import Acknowledgement
from plugwarden_collector.decide.acts import acknowledge, exchange, extend, silence, unsilence
from plugwarden_collector.decide.silence import MAX_SILENCE, Silence
from plugwarden_collector.errors import NotFoundError
from plugwarden_collector.matcher import Matcher

from .live import Warden

__all__ = ["Hands"]


class Hands:
    """Acts of people that change no quarantine. Each is stored before it returns; call it from a thread for acts."""

    def __init__(self, warden: Warden, own: Callable[[], Sequence[Subject]], clock: Clock) -> None:
        """`own` are the conditions of the collector itself that people are told of."""
        self._warden, self._own, self._clock = warden, own, clock

    def preview(self, matchers: Sequence[Matcher]) -> list[Hidden]:
        """Return what a silence would hide now; nothing is done."""
        warden = self._warden
        return hidden_by(matchers, self.subjects(), warden.rules.receivers, warden.silences, self._clock())

    def silence(
        self,
        matchers: Sequence[Matcher],
        length: timedelta,
        comment: str,
        actor: Actor,
        *,
        starts_at: datetime | None = None,
        owner: str | None = None,
    ) -> Silence:
        """Tell nobody of some alerts for a while, from now or from `starts_at`. Return the silence."""
        return self._warden.act(
            lambda now, at: silence(now, matchers, length, comment, actor, at, starts_at=starts_at, owner=owner)
        ).silences[-1]

    def extend(self, identity: str, by: timedelta, reason: str, actor: Actor) -> Silence:
        """Let a silence end later by a length of time. Return it; raises `NotFoundError` and `ConflictError`."""
        item = next((known for known in self._warden.silences if known.id == identity), None)
        ends_at = self._clock() + by if item is None else item.ends_at + by
        return self.extend_to(identity, ends_at, reason, actor)

    def extend_to(self, identity: str, ends_at: datetime, reason: str, actor: Actor) -> Silence:
        """Let a silence end at a later moment. Return it; raises `NotFoundError` and `ConflictError`."""
        return self._warden.act(
            lambda now, at: extend(now, identity, ends_at, reason, actor, at, limit=MAX_SILENCE)
        ).silences[-1]

    def change(
        self,
        identity: str | None,
        matchers: Sequence[Matcher],
        starts_at: datetime,
        ends_at: datetime,
        comment: str,
        actor: Actor,
    ) -> Silence:
        """Make a silence from one moment to another. Where `identity` names one in force or to come, that one ends later if nothing else
        differs, and else the new one takes its place. Return it; raises `NotFoundError` and `ConflictError`."""
        if identity is not None:
            at = self._clock()
            item = next(
                (known for known in self._warden.standing.silences if known.id == identity and known.ends_at > at), None
            )
            if item is None:
                raise NotFoundError(
                    f"there is no silence {identity!r} in force or to come that a person made; leave the id out to make one"
                )
            begins = item.starts_at == starts_at or max(item.starts_at, starts_at) <= at
            if begins and set(item.matchers) == set(matchers) and ends_at > item.ends_at:
                return self.extend_to(identity, ends_at, comment, actor)
            return self._warden.act(
                lambda now, at: exchange(now, identity, matchers, starts_at, ends_at, comment, actor, at)
            ).silences[-1]
        begin = max(self._clock(), starts_at)
        return self.silence(matchers, ends_at - begin, comment, actor, starts_at=begin)

    def unsilence(self, identity: str, reason: str, actor: Actor) -> None:
        """Take a silence back; raises `NotFoundError`."""
        self._warden.act(lambda now, at: unsilence(now, identity, reason, actor, at))

    def acknowledge(self, subject: str, length: timedelta, reason: str, actor: Actor) -> Acknowledgement:
        """Know of an alert, a quarantine or an incident for a while. Return the acknowledgement.

        Raises `NotFoundError` when people are told of nothing of that id now.
        """
        found = next((item for item in self.subjects() if item.key == subject), None)
        if found is None:
            raise NotFoundError(
                f"people are told of nothing of the id {subject!r}; `plugwarden alerts` lists what they are told of"
            )
        about = f"{found.labels['alertname']}: {found.summary}"
        return self._warden.act(
            lambda now, at: acknowledge(now, subject, about, length, reason, actor, at)
        ).acknowledgements[-1]

    def subjects(self) -> list[Subject]:
        """Return all that people must know of now, whoever told it."""
        return [*self._warden.subjects(), *self._own()]
