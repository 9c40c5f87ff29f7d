"""Names that are refused, by what is wrong with them."""

from __future__ import annotations

from plugwarden.contract import MAX_NAME, OVERFLOW

BAD = {
    "empty": "",
    "blank": "  ",
    "over-long": "x" * (MAX_NAME + 1),
    "a line break": "geo\nlookup",
    "a terminal's escape": "geo\x1b[2J",
    "a control character above ASCII": "geo\x9b2J",
    "a paragraph separator": "geo\u2029",
    "half a surrogate pair": "geo\ud83d",
    "a right-to-left override": "geo\u202etxt",
    "an isolate": "geo\u2066",
    "a mark of direction": "geo\u061c",
    "what stands for others": OVERFLOW,
}
