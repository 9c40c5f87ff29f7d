"""Apprise: whatever else takes messages, through a library that is loaded only where a receiver asks for it.

It answers with yes or no alone, so that nothing is refused for good: what is not taken is tried again.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Mapping
from typing import Any

from plugwarden_collector.rules.receiver import Receiver

from ..notice import Notice
from ..signs import unmarked
from ..text import joined, text_of
from .answer import Answer, Verdict
from .apart import apart
from .sender import Occasion

__all__ = ["Apprise"]

WHOLE_SECONDS = 30.0
"""Longest wait for an answer: it waits 4 s for a connection and 4 s for an answer, of each of the requests that a service takes."""


class Apprise:
    """What is sent by Apprise, and how."""

    def form(self, receiver: Receiver, notice: Notice, occasion: Occasion) -> dict[str, Any]:
        """Return a title and a text: what reads them may know Markdown or none, and the library does not tell."""
        texts = [text_of(item, occasion.public_url, unmarked) for item in notice.messages]
        more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
        return {"status": notice.status, "title": f"{texts[0].title}{more}", "body": joined(texts)}

    async def send(self, receiver: Receiver, form: Mapping[str, Any], attempt: str) -> Answer:
        """Hand it to the library, in a thread."""
        try:
            async with asyncio.timeout(WHOLE_SECONDS):
                return await apart("apprise", lambda: _notify(receiver.url, form))
        except TimeoutError:
            return Answer(Verdict.MISSED, f"the service took longer than {WHOLE_SECONDS:g} s")


def _notify(url: str, form: Mapping[str, Any]) -> Answer:
    try:
        apprise: Any = importlib.import_module("apprise")
    except ImportError:
        return Answer(Verdict.MISSED, "apprise is not installed; pip install apprise")
    # It tells what goes wrong with the address that it goes wrong with.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    services = apprise.Apprise()
    if not services.add(url):
        return Answer(Verdict.REFUSED, "apprise knows no service of such an address")
    if services.notify(title=form["title"], body=form["body"], body_format=apprise.NotifyFormat.TEXT):
        return Answer(Verdict.TAKEN)
    return Answer(Verdict.MISSED, "the service did not take it")
