"""Slack: a message for an incoming webhook. All that others wrote is plain text there, which Slack interprets nothing of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx2

from plugwarden_collector.rules.receiver import Receiver

from ..notice import Notice
from ..text import Text, text_of
from .answer import Answer
from .post import post
from .sender import Occasion

__all__ = ["Slack"]

MAX_TITLE = 150
"""Characters of a header (Slack, Block Kit)."""
MAX_SECTION = 3_000
"""Characters of a section (Slack, Block Kit)."""
MAX_SHOWN = 20
"""Messages of one notice that are shown: a message has at most 50 blocks, two for each and two more."""


class Slack:
    """What Slack is sent, and how."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    def form(self, receiver: Receiver, notice: Notice, occasion: Occasion) -> dict[str, Any]:
        """Return a message of blocks, and the text that stands in for them in a notification."""
        texts = [text_of(item, occasion.public_url) for item in notice.messages]
        blocks = [block for text in texts[:MAX_SHOWN] for block in _blocks(text)]
        if len(texts) > MAX_SHOWN:
            blocks.append(_section(f"{len(texts) - MAX_SHOWN} more: see the page of alerts."))
        return {
            "status": notice.status,
            "message": {
                "text": _escaped(texts[0].title), "blocks": blocks, "unfurl_links": False, "unfurl_media": False,
            },
        }  # fmt: skip

    async def send(self, receiver: Receiver, form: Mapping[str, Any], attempt: str) -> Answer:
        """Post it."""
        return await post(self._client, receiver.url, json.dumps(form["message"]), attempt)


def _blocks(text: Text) -> list[dict[str, Any]]:
    rows = [text.title] if len(text.title) > MAX_TITLE else []
    rows += [f"{name}: {value}" for name, value in text.lines]
    rows += [text.link] if text.link else []
    title = text.title if len(text.title) <= MAX_TITLE else text.title[: MAX_TITLE - 1] + "…"
    return [{"type": "header", "text": _plain(title)}, _section("\n".join(rows)[:MAX_SECTION])]


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _plain(text)}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _escaped(text: str) -> str:
    """Return text that no mention and no link is read from: it is the one place where Slack reads its own signs."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
