"""`plugwarden retention`: what is too much to be deleted by itself."""

from __future__ import annotations

from typing import Annotated

import typer

from plugwarden_collector.figures import number, percent

from .options import DEFAULT_URL, Actor, AsJson, ReasonIfActing, Url, client
from .output import clock, console, emit_json, fail, show

__all__ = ["retention"]


def retention(
    allow: Annotated[bool, typer.Option("--allow", help="Let go of what waits, once.")] = False,
    reason: ReasonIfActing = None,
    actor: Actor = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List deletions that are too large to happen without a person; allow them, once."""
    if allow and reason is None:
        fail("--allow: say why with --reason")
    with client(url) as api:
        found = api.post("retention/allow", {"reason": reason, "actor": actor}) if allow else api.get("retention")
    if as_json:
        emit_json(found)
        return
    show(
        found,
        {"view": "view", "rows": ("rows", number), "share_ratio": ("of all", percent), "before": ("from before", clock)},
        empty="no deletion waits for a person",
    )  # fmt: skip
    if allow:
        console.print("\nallowed once: they go within a minute")
