"""Text from elsewhere, made harmless for whoever reads it: terminals, pages, logs, tables, notifications. Nothing is interpreted.

What is hostile stands here once: control characters move a cursor and end lines, direction characters show a name backwards, and
what has no width makes two names look alike. Where a value must stay true it is escaped (`escaped_json`); where a person reads it,
each such character becomes a sign that can be seen (`one_line`).
"""

from __future__ import annotations

import logging
import re

__all__ = ["HOSTILE", "HarmlessFormatter", "cell", "escaped", "escaped_json", "harmless", "one_line"]

_BEYOND_C0 = (
    "\x7f-\x9f"  # C1: escape sequences of terminals begin here and in C0
    "\xad\u034f\u061c\u180e\u200b-\u200f\u2060-\u206f\ufeff"  # no width, and directions
    "\u2028-\u202e"  # separators of lines and paragraphs, embeddings and overrides
    "\u115f\u1160\u3164\uffa0"  # letters without a shape
    "\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f"  # annotations, invisible controls, tags
    "\ud800-\udfff"  # halves of pairs, which no encoding takes
)
HOSTILE = f"\x00-\x1f{_BEYOND_C0}"
"""Inside of a character class, for regular expressions: characters that a reader must not meet."""
SHOWN = "�"
"""What stands where a hostile character stood."""
FORMULA = "=+-@\t\r\n＝＋－＠"
"""A cell that begins so is a formula to a spreadsheet (OWASP, CSV injection), in wide forms too."""

_HOSTILE = re.compile(f"[{HOSTILE}]")
_HOSTILE_BUT_LINES = re.compile(f"[\x00-\x08\x0b-\x1f{_BEYOND_C0}]")
_LINE_ENDS = re.compile("\r\n|[\n\x0b\x0c\r\x85\u2028\u2029]")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def one_line(value: object, limit: int | None = None) -> str:
    """A value as one line of harmless text, cut to `limit` characters with a `…`."""
    text = str(value)
    if _HOSTILE.search(text):
        text = _HOSTILE.sub(SHOWN, _LINE_ENDS.sub(" ⏎ ", text).replace("\t", " "))
    return text if limit is None or len(text) <= limit else text[: limit - 1] + "…"


def harmless(text: str) -> str:
    """Text of our own that may hold some from elsewhere: as it is, with its lines, and without anything hostile."""
    return _HOSTILE_BUT_LINES.sub(SHOWN, text)


def escaped(text: str) -> str:
    """Text in which each hostile character but newline and tab is written as Python and JSON write it: `\\u202e`."""
    return _HOSTILE_BUT_LINES.sub(_escape, text)


def escaped_json(document: str) -> str:
    """A JSON document in ASCII where it matters: the same values, and nothing that a terminal would obey."""
    return escaped(document)


def cell(text: str) -> str:
    """Text as a cell of a CSV file: no formula, nothing hostile; numbers stay what they are."""
    if text[:1] in FORMULA and text and not _NUMBER.fullmatch(text):
        text = "'" + text
    return escaped(text)


class HarmlessFormatter(logging.Formatter):
    """A line of log stays one line, whatever was put into it; only a traceback of ours has more."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line, with its message made harmless."""
        record.message = one_line(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        """The same with its traceback, which quotes what it failed at."""
        return harmless(super().format(record))


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
