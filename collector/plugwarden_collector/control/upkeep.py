"""What people decide about the store itself: rows that could not be counted, and deletions that are too large to happen by
themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.clock import Clock
from plugwarden_collector.errors import ConflictError, NotFoundError
from plugwarden_collector.figures import counted
from plugwarden_collector.store.telemetry import Upkeep
from plugwarden_collector.store.upkeep import Refused, SetAside

__all__ = ["StoreActs"]

EVIDENCE = ("what", "rows", "batch", "service_name", "plugin_id", "error")
"""Fields of an entry that was set aside which the decision about it keeps."""


class StoreActs:
    """Every act is in the decision log. May be called from any thread, and waits for the store."""

    def __init__(self, upkeep: Upkeep, clock: Clock) -> None:
        self._upkeep, self._clock = upkeep, clock

    def try_again(self, identity: str, reason: str, actor: Actor) -> SetAside:
        """Count what was set aside; raises `NotFoundError`, or `StoreError` when it still cannot be: then it stays as it is."""
        entry = self._entry(identity)
        draft = self._draft("counted_after_all", entry, reason, actor)
        self._upkeep.count_again(identity, self._clock(), draft)
        return entry

    def give_up(self, identity: str, reason: str, actor: Actor) -> SetAside:
        """Forget what was set aside: it is never counted. Raises `NotFoundError`."""
        entry = self._entry(identity)
        self._upkeep.give_up(identity, self._draft("given_up", entry, reason, actor))
        return entry

    def allow(self, reason: str, actor: Actor) -> Mapping[str, Refused]:
        """Let what waits for a person go, once, as it is shown and no more: in the next round, within a minute. Return it by its
        view. Raises `ConflictError` when nothing waits."""
        waiting = self._upkeep.retained().refused
        if not waiting:
            raise ConflictError("retention waits for nobody: what is old enough goes by itself")
        views = ", ".join(
            f"{view} ({counted(item.rows, 'row')} from before {item.before})" for view, item in sorted(waiting.items())
        )
        evidence = {"views": {view: asdict(item) for view, item in waiting.items()}}
        draft = Draft(
            self._clock(), "deletion_allowed", actor.name, views, reason, "enforce", None, evidence, actor.says
        )
        self._upkeep.allow(waiting, draft)
        return waiting

    def _entry(self, identity: str) -> SetAside:
        for entry in self._upkeep.set_aside():
            if entry.id == identity:
                return entry
        raise NotFoundError(f"nothing is set aside as {identity!r}; `plugwarden aside` lists what is")

    def _draft(self, kind: str, entry: SetAside, reason: str, actor: Actor) -> Draft:
        evidence = {name: getattr(entry, name) for name in EVIDENCE}
        return Draft(self._clock(), kind, actor.name, entry.id, reason, "enforce", None, evidence, actor.says)
