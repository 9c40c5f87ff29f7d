"""What people read of a message, whatever receives it: what, how bad, since when, how sure, where, the error, what was done, until
when, and what to do. Pure.

Nothing in it is hostile to a line of text; what a receiver would read as its own signs, its form escapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from plugwarden_collector.durations import moment
from plugwarden_collector.wording import one_line

from .message import RESOLVED, Ending, Message
from .subject import Subject

__all__ = ["Text", "describe", "end_sentence", "headline", "joined", "link_to", "text_of"]

MAX_LINE = 2_000
"""Characters of one line: with ten of them a message stays within what any receiver takes."""
_SEVERITIES = {"page": "page: somebody should look now", "ticket": "ticket: it can wait for the day"}
_WORDS = {
    "over": "It is over",
    "resolved": "It is over",
    "common_cause_over": "It is over",
    "suspicion_over": "The suspicion is over",
    "approved": "It was followed",
    "taken_back": "It was taken back",
    "widened": "A wider scope was isolated",
    "unfrozen": "The automation was switched on",
}
"""Kind of an ending -> how the sentence about it begins; other kinds are verbs, such as `released`."""


@dataclass(frozen=True, slots=True)
class Text:
    """A message as people read it."""

    title: str
    """What, in one sentence, and before it whether it is over."""
    lines: tuple[tuple[str, str], ...]
    """Name of a line, and what it says; what is not known has none."""
    link: str
    """Page that shows it; empty where nobody said where the dashboards are."""

    @property
    def plain(self) -> str:
        """The whole, a line each."""
        rows = [self.title, "", *(f"{name}: {value}" for name, value in self.lines)]
        return "\n".join([*rows, "", self.link] if self.link else rows)


def text_of(message: Message, public_url: str) -> Text:
    """Return the text of a message; `public_url` is where people reach the dashboards, or empty."""
    subject, ended = message.subject, message.ended
    since = moment(subject.started_at) if ended is None else f"{moment(subject.started_at)}, until {moment(ended.at)}"
    trace = link_to(public_url, f"trace?trace_id={quote(subject.trace, safe='')}") if subject.trace else ""
    lines = [
        ("How bad", _SEVERITIES.get(subject.severity, subject.severity)),
        ("Since", since),
        ("How sure", subject.sure),
        ("Scope", subject.scope),
        ("Error", subject.error),
        ("Trace", trace or subject.trace),
        ("More", "" if ended is not None or subject.done or subject.todo else subject.description),
    ]
    if ended is None:
        lines += [("Done", subject.done), ("Until", subject.until), ("What you can do", subject.todo)]
        lines.append(("Runbook", subject.runbook or _made_by(subject)))
    else:
        lines.append(("Ended", end_sentence(ended)))
    said = tuple((name, one_line(value, MAX_LINE)) for name, value in lines if value)
    return Text(headline(message), said, link_to(public_url, subject.path))


def _made_by(subject: Subject) -> str:
    """Return the command that makes a runbook of what is known; empty of what has none."""
    return f"plugwarden runbook {subject.key}" if subject.key.startswith(("a-", "q-", "i-")) else ""


def headline(message: Message) -> str:
    """Return what happened in one line, and that it is over where it is."""
    before = "Over: " if message.status == RESOLVED else "Told late, it is over: " if message.ended else ""
    return one_line(f"{before}{message.subject.summary}", MAX_LINE)


def describe(message: Message) -> str:
    """Return what a receiver is told beside the summary: of an end how it came about, of a late beginning that it is over."""
    if message.ended is None:
        return message.subject.description
    return end_sentence(message.ended)


def end_sentence(ended: Ending) -> str:
    """Return how something ended, who did it and why, in one line."""
    how = _WORDS.get(ended.kind, f"It was {ended.kind.replace('_', ' ')}")
    by = f" by {ended.actor}" if ended.actor and ended.kind not in ("over", "resolved") else ""
    why = f": {ended.reason}" if ended.reason else ""
    return one_line(f"{how}{by} at {moment(ended.at)}{why}".rstrip(".") + ".", MAX_LINE)


def link_to(public_url: str, path: str) -> str:
    """Return the address of a page of the dashboards; empty where nobody said where they are."""
    return f"{public_url.rstrip('/')}/{path}" if public_url else ""


def joined(texts: Sequence[Text]) -> str:
    """Return several texts as one, with a line between."""
    return "\n\n----\n\n".join(item.plain for item in texts)
