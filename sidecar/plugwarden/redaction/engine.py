"""A text without secrets and personal data: every rule says where something stands, and all that is masked at once.

Replacing keeps the words around, so that a message can still be understood. Time grows with the length of the text and no faster:
rules take bounded steps at each character, and a long text is looked at a window at a time, so that no look holds the interpreter
for longer than some milliseconds (benchmarks/redaction.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from .gate import has_numbers, has_words
from .keys import find_keyed
from .places import Finder, Place, compiled
from .shapes import find_authorities, find_key_blocks, find_numbers, find_shapes
from .tokens import find_tokens

__all__ = ["MAX_LOOKED_AT", "REDACTED", "redact"]

REDACTED = "[redacted]"
MAX_LOOKS = 4
"""A mask ends what stood beside a secret, and what is left may be one that was not seen before: it is looked at again."""
MAX_LOOKED_AT = 1 << 20
"""Characters of one text. What comes after is left out: nobody looked at it. (A request of OTLP is bounded besides.)"""
WINDOW = 8_192
"""Characters looked at in one go."""
OVERLAP = 1_024
"""What stands on a border is whole in one of the two windows; of longer things the one that has its beginning tells."""
SHORTEST = 6
"""No rule finds anything in less."""
_FINDERS: tuple[Finder, ...] = (find_tokens, find_shapes, find_authorities, find_keyed)
_ON = r"""[^\s"'<>,;&]{1,8192}+"""


def redact(text: str) -> str:
    """The text without what looks like a secret or like personal data."""
    if len(text) < SHORTEST:
        return text
    cut = ""
    if len(text) > MAX_LOOKED_AT:
        cut = f"… [{len(text) - MAX_LOOKED_AT} characters left out]"
        text = text[:MAX_LOOKED_AT]
    for _ in range(MAX_LOOKS):
        seen, text = text, _looked_at(text)
        if text == seen:
            break
    return text + cut


def _looked_at(text: str) -> str:
    places = [*find_key_blocks(text, "")] if "-----BEGIN " in text else []
    if len(text) <= WINDOW:
        places += _places(text)
    else:
        reached = 0
        for start in range(0, len(text), WINDOW - OVERLAP):
            window = text[start : start + WINDOW]
            if start + len(window) <= reached:
                continue  # all of it is masked already
            found = [*_moved(text, start, len(window), _places(window))]
            reached = max(reached, *(last for _, last in found), 0)
            places += found
    return _masked(text, places) if places else text


def _places(text: str) -> Iterator[Place]:
    low = text.replace("İ", "I").lower()  # the one letter whose small form is longer
    if has_words(low):
        for find in _FINDERS:
            yield from find(text, low)
    if has_numbers(text):
        yield from find_numbers(text, low)


def _moved(text: str, start: int, size: int, places: Iterator[Place]) -> Iterator[Place]:
    """Places of a window as those of the whole text; what reaches its end goes on to the next blank."""
    for first, last in places:
        end = start + last
        while last == size and (more := compiled(_ON).match(text, end)) is not None:
            end = more.end()
        yield start + first, end


def _masked(text: str, places: list[Place]) -> str:
    places.sort()
    parts: list[str] = []
    done = 0
    for first, last in places:
        if last <= done:
            continue
        if first > done or not parts:
            parts += [text[done:first], REDACTED]
        done = last
    return "".join((*parts, text[done:]))
