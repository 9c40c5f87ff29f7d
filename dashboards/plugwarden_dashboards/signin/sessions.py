"""Who is signed in, and for how long. In memory alone: whoever starts the dashboards again signs everybody out. Takes the time."""

from __future__ import annotations

import hashlib
import secrets
import threading
from dataclasses import dataclass, field, replace
from enum import Enum

__all__ = ["IDLE_SECONDS", "MOST", "MOST_OF_ONE", "OLD_SECONDS", "Ended", "Session", "Sessions"]

IDLE_SECONDS = 4 * 3600.0
"""Seconds without anything that a person did; a page that refreshes itself does not count."""
OLD_SECONDS = 12 * 3600.0
"""Seconds that a sign-in lasts at most: a shift."""
MOST = 2000
"""Sessions, and as many that ended and whose end is still known. 1 KB each."""
MOST_OF_ONE = 20
"""Sessions of one token, so that nobody puts out others by signing in often."""


class Ended(Enum):
    """Why somebody is not signed in, in words for them."""

    IDLE = f"You were signed out: you did nothing here for {IDLE_SECONDS / 3600:.0f} hours."
    OLD = f"You were signed out: a sign-in lasts {OLD_SECONDS / 3600:.0f} hours."
    OUT = "You signed out."
    REFUSED = "You were signed out: the collector does not take your token any more."
    CROWDED = "You were signed out: there are too many other sign-ins."
    NEVER = "You are not signed in."
    UNKNOWN = "You are signed out: the dashboards were started again since you signed in."


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in."""

    token: str = field(repr=False)
    """Token of the collector; it stays in this process."""
    person: str
    """Name of the token."""
    began_at: float
    """Seconds on the clock of whoever asks."""
    used_at: float
    """Seconds on the same clock: the last time that the person did something."""


class Sessions:
    """Sessions by a random identity, of which only the digest is kept. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._live: dict[bytes, Session] = {}  # the least recently used first
        self._ended: dict[bytes, Ended] = {}  # the first that ended first

    def begin(self, token: str, person: str, at: float) -> str:
        """Sign somebody in; return the identity, which only their browser has."""
        identity = secrets.token_urlsafe(32)
        with self._lock:
            own = [key for key, session in self._live.items() if session.token == token]
            for key in own[: max(0, len(own) - MOST_OF_ONE + 1)]:
                self._end(key, Ended.CROWDED)
            while len(self._live) >= MOST:
                self._end(next(iter(self._live)), Ended.CROWDED)
            self._live[_digest(identity)] = Session(token, person, at, at)
        return identity

    def look(self, identity: str, at: float) -> Session | Ended:
        """Return who is signed in by this identity, or why nobody is."""
        with self._lock:
            return self._look(_digest(identity), at)

    def use(self, identity: str, at: float) -> Session | Ended:
        """Return the same, since the person does something."""
        key = _digest(identity)
        with self._lock:
            found = self._look(key, at)
            if isinstance(found, Session):
                found = replace(found, used_at=max(at, found.used_at))
                del self._live[key]
                self._live[key] = found
            return found

    def end(self, identity: str, why: Ended) -> None:
        """Sign out whoever is signed in by this identity."""
        with self._lock:
            self._end(_digest(identity), why)

    def _look(self, key: bytes, at: float) -> Session | Ended:
        found = self._live.get(key)
        if found is None:
            return self._ended.get(key, Ended.UNKNOWN)
        if at - found.began_at >= OLD_SECONDS:
            return self._end(key, Ended.OLD)
        if at - found.used_at >= IDLE_SECONDS:
            return self._end(key, Ended.IDLE)
        return found

    def _end(self, key: bytes, why: Ended) -> Ended:
        if self._live.pop(key, None) is not None:
            self._ended[key] = why
            if len(self._ended) > MOST:
                del self._ended[next(iter(self._ended))]
        return self._ended.get(key, Ended.UNKNOWN)


def _digest(identity: str) -> bytes:
    # Looked up by digest, so that neither the time that it takes nor the memory tells an identity.
    return hashlib.sha256(identity.encode("utf-8", "replace")).digest()
