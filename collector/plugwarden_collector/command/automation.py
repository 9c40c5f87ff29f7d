"""`plugwarden freeze` and `unfreeze`: the automation, off and on."""

from __future__ import annotations

from .options import DEFAULT_URL, Actor, AsJson, Reason, Url, client
from .output import console, emit_json

__all__ = ["freeze", "unfreeze"]


def freeze(reason: Reason, actor: Actor = None, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Switch the automation off: it goes on judging and recording, and quarantines nothing."""
    _automation(True, reason, actor, url, as_json)


def unfreeze(reason: Reason, actor: Actor = None, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Switch the automation on again."""
    _automation(False, reason, actor, url, as_json)


def _automation(frozen: bool, reason: str, actor: str | None, url: str, as_json: bool) -> None:
    with client(url) as api:
        answer = api.post("automation", {"frozen": frozen, "reason": reason, "actor": actor})
    if as_json:
        emit_json(answer)
    else:
        console.print("the automation is frozen" if frozen else "the automation runs")
