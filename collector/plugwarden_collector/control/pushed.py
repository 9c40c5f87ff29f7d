"""The loop that follows pushed alerts, as the policies of the rules say."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from plugwarden_collector.decide.acts import Acted
from plugwarden_collector.decide.pushed import FiringAlert, Matched, follow, is_held, matched
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.pushed import PushedAlerts
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.store import Ledger

from .live import Warden

__all__ = ["PushedFollower", "run_pushed_follower"]

EVERY_SECONDS = 1.0
"""Seconds between two looks: as often as alerts that are not pushed any more are ended."""
_log = logging.getLogger(__name__)


class PushedFollower:
    """Looks at what fires, and has the warden act on it."""

    def __init__(self, warden: Warden, alerts: PushedAlerts, ledger: Ledger) -> None:
        self._warden, self._alerts, self._ledger = warden, alerts, ledger
        # Of its own: slow queries may have all threads that asyncio has for everybody.
        self._thread = ThreadPoolExecutor(1, "plugwarden-pushed-policy")
        self._read = -1
        self._firing: Sequence[FiringAlert] = ()
        self._matched: Sequence[Matched] = ()
        self._rules: Rules | None = None

    async def follow(self) -> None:
        """Act on what fires now."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self.turn)

    def turn(self) -> None:
        """Act on what fires now, in the caller's thread."""
        warden = self._warden
        rules, called = warden.rules, warden.called
        held = any(map(is_held, list(warden.standing.quarantines.values())))
        if called is None or not (rules.pushed or held):
            return
        self._match(rules)
        if not (self._matched or held):
            return

        def act(standing: Standing, at: datetime) -> Acted:
            return follow(standing, rules.policy, self._matched, called, at, random.random)

        warden.act(act)

    def close(self) -> None:
        """Look no more."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _match(self, rules: Rules) -> None:
        """Read what fires where something changed, and find whose policy it is where that did: repeats of thousands cost nothing."""
        changes = self._alerts.changes
        if changes != self._read:
            self._firing, self._read, self._rules = self._ledger.pushed_firing(), changes, None
        if rules is not self._rules:
            self._matched, self._rules = matched(rules.pushed, self._firing), rules


async def run_pushed_follower(follower: PushedFollower) -> None:
    """Follow, for as long as the collector runs."""
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        try:
            await follower.follow()
        except Exception:  # noqa: BLE001 - logged, and tried again in a second
            _log.exception("pushed alerts could not be followed; it is tried again")
