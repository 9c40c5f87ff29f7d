"""Slack: a message for an incoming webhook. What others wrote is plain text, our links stand beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx2

from plugwarden_collector.rules.receiver import Receiver

from ..notice import Notice
from ..signs import unlinked, unmarked
from ..text import Text, text_of
from .answer import Answer
from .post import post
from .sender import Occasion

__all__ = ["Slack"]

MAX_TITLE = 150
"""Characters of a header (Slack, Block Kit)."""
MAX_SECTION = 3_000
"""Characters of a section (Slack, Block Kit)."""
MAX_FIELD = 2_000
"""Characters of a field of a section (Slack, Block Kit)."""
_SAFE = "%/:?#[]@!$&'()*+,;=~"
"""Signs of an address that stay as they are; those by which Slack would end it do not."""
MAX_SHOWN = 20
"""Messages of one notice that are shown: a message has at most 50 blocks, two for each and two more."""


class Slack:
    """What Slack is sent, and how."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    def form(self, receiver: Receiver, notice: Notice, occasion: Occasion) -> dict[str, Any]:
        """Return a message of blocks, and the text that stands in for them in a notification."""
        texts = [text_of(item, occasion.public_url, unlinked) for item in notice.messages]
        # What shows no blocks reads this as mrkdwn or, as those that take messages for Slack do, as Markdown.
        shown = unmarked(texts[0].title).replace("&", "&amp;")
        blocks = [block for text in texts[:MAX_SHOWN] for block in _blocks(text)]
        if len(texts) > MAX_SHOWN:
            blocks.append(_section(f"{len(texts) - MAX_SHOWN} more: see the page of alerts."))
        return {
            "status": notice.status,
            "message": {
                "text": shown, "blocks": blocks, "unfurl_links": False, "unfurl_media": False,
            },
        }  # fmt: skip

    async def send(self, receiver: Receiver, form: Mapping[str, Any], attempt: str) -> Answer:
        """Post it."""
        return await post(self._client, receiver.url, json.dumps(form["message"]), attempt)


def _blocks(text: Text) -> list[dict[str, Any]]:
    links = [*([("Page", text.link)] if text.link else []), *text.links]
    fields = {item: field for item in links if len(field := _linked(*item)) <= MAX_FIELD}
    rows = [text.title] if len(text.title) > MAX_TITLE else []
    rows += [f"{name}: {value}" for name, value in text.lines if (name, value) not in links]
    rows += [f"{name}: {url}" for name, url in links if (name, url) not in fields]
    title = text.title if len(text.title) <= MAX_TITLE else text.title[: MAX_TITLE - 1] + "…"
    return [{"type": "header", "text": _plain(title)}, _section("\n".join(rows)[:MAX_SECTION], [*fields.values()])]


def _linked(name: str, url: str) -> str:
    return f"<{quote(url, safe=_SAFE)}|{name}>"


def _section(text: str, fields: Sequence[str] = ()) -> dict[str, Any]:
    shown = [{"type": "mrkdwn", "text": field} for field in fields]
    return {"type": "section", "text": _plain(text), **({"fields": shown} if shown else {})}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}
