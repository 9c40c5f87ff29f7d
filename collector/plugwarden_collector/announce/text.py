"""What people read of a message, whatever receives it: what, how bad, since when, how sure, where, the error, what was done, until
when, and what to do. Pure.

Nothing in it is hostile to a line of text; what its reader would make more of than text goes through a form (`announce.signs`), and what we
write ourselves, addresses above all, does not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from plugwarden_collector.durations import moment
from plugwarden_collector.wording import one_line

from .message import RESOLVED, Ending, Message
from .signs import Form
from .subject import Subject

__all__ = ["Text", "describe", "end_sentence", "headline", "joined", "link_to", "text_of"]

MAX_LINE = 2_000
"""Characters of one line: with ten of them a message stays within what any receiver takes."""
_LINK = re.compile(r"https?://")
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
    links: tuple[tuple[str, str], ...] = ()
    """Those of the lines that are addresses of ours."""

    @property
    def plain(self) -> str:
        """The whole, a line each."""
        rows = [self.title, "", *(f"{name}: {value}" for name, value in self.lines)]
        return "\n".join([*rows, "", self.link] if self.link else rows)


def text_of(message: Message, public_url: str, form: Form) -> Text:
    """Return the text of a message for the readers of a form; `public_url` is where people reach the dashboards, or empty."""
    subject, ended = message.subject, message.ended
    since = moment(subject.started_at) if ended is None else f"{moment(subject.started_at)}, until {moment(ended.at)}"
    trace = link_to(public_url, f"trace?trace_id={quote(subject.trace, safe='')}") if subject.trace else ""
    description = "" if ended is not None or subject.done or subject.todo else subject.description
    lines = [
        ("How bad", _SEVERITIES.get(subject.severity, subject.severity)),
        ("Since", since),
        ("How sure", subject.sure),
        ("Scope", subject.scope),
        ("Error", subject.error),
        ("Trace", trace or subject.trace),
        ("More", description),
    ]
    if ended is None:
        lines += [("Done", subject.done), ("Until", subject.until), ("What you can do", subject.todo)]
        lines.append(("Runbook", subject.runbook or _made_by(subject)))
    else:
        lines.append(("Ended", end_sentence(ended)))
    ours = {"Trace", "Runbook"} | ({"More"} if subject.described else set())
    said = tuple((name, one_line(value if name in ours else form(value), MAX_LINE)) for name, value in lines if value)
    links = tuple((name, value) for name, value in said if name in ("Trace", "Runbook") and _LINK.match(value))
    return Text(form(headline(message)), said, link_to(public_url, subject.path), links)


def _made_by(subject: Subject) -> str:
    """Return the command that makes a runbook of what is known; empty of what has none."""
    return f"plugwarden runbook {subject.key}" if subject.key.startswith(("a-", "q-", "i-")) else ""


def headline(message: Message) -> str:
    """Return what happened in one line, and that it is over where it is."""
    before = "Over: " if message.status == RESOLVED else "Told late, it is over: " if message.ended else ""
    return one_line(f"{before}{message.subject.summary}", MAX_LINE)


def describe(message: Message, form: Form) -> str:
    """Return what a receiver is told beside the summary: of an end how it came about, of a late beginning that it is over."""
    if message.ended is not None:
        return form(end_sentence(message.ended))
    subject = message.subject
    return subject.description if subject.described else form(subject.description)


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
