"""A first look for one text: most hold nothing that any rule begins with, and are let go after some nanoseconds a character.

All first words of all rules are one expression, with what words have in common told once: `re` tries a letter at a time then, and not
four hundred words at each place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .places import compiled
from .shapes import SHAPES
from .tokens import TOKENS

__all__ = ["has_numbers", "has_words"]

_NUMBERS = (
    r"(?>19|20)[0-9]{2}-[01][0-9]-[0-3][0-9](?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9}+)?+)?+)?+(?:Z|[+\-][0-9]{2}:?+[0-9]{2})?+"
    r"|([0-9](?:[ .\-+/]?+[0-9]){5}|[A-Z]{5}[0-9])"
)
"""Dates are stepped over; group 1 is in every text in which a number of SHAPES is: six digits with little between them, or the letters
that some begin with."""
_KEY_OF = "api access private signing encryption decryption master account shared license session storage hmac ssh deploy secret"
_NAME_OF = "first last sur given family maiden middle"
_BESIDE = ("", "_", "-", " ", ".")
_WORDS = (
    "passw passphrase passcode passport passkey pwd secret token cred cookie sessid sess_id session_id session-id session.id sessionid "
    "recovery mnemonic phrase social ssn birth dob phone mobile msisdn fax iban card account tax national personn otp cvv cvc srf jwt "
    "auth sid sig :// @ %40"
)


def _all_words() -> set[str]:
    found = {*_WORDS.split(), "-----begin ", *(prefix.lower() for prefix, _ in TOKENS)}
    found |= {f"pass{sign}" for sign in ("=", ":", "'", '"', " ", ",", "\\", "%", ">")}
    found |= {f"pin{sign}" for sign in ("=", ":", "'", '"', " ", ",", "\\", "%", ">", "c")}
    found |= {f"{of}{sign}key" for of in _KEY_OF.split() for sign in _BESIDE}
    found |= {f"{of}{sign}name" for of in _NAME_OF.split() for sign in _BESIDE}
    for shape in SHAPES:
        if not shape.is_number:
            found.update(anchor for anchor in shape.anchors if len(anchor) > 1 or not anchor.isalnum())
    return found


_pattern: re.Pattern[str] | None = None


def has_words(low: str) -> bool:
    """Whether a text, in small letters, has a word that any rule but those of numbers begins with."""
    global _pattern
    if _pattern is None:
        _pattern = re.compile(_tree(_all_words()) + r"|\.[a-z0-9_\-]{6}\.[a-z0-9_\-]{27}")
    return _pattern.search(low) is not None


def has_numbers(text: str) -> bool:
    """Whether a text has anything that may be a number of a person's."""
    return any(found.group(1) for found in compiled(_NUMBERS).finditer(text))


_Tree = dict[str, "_Tree"]


def _tree(words: Iterable[str]) -> str:
    """An expression for any of these words; of two that begin alike the shorter will do."""
    root: _Tree = {}
    for word in sorted(words, key=len):
        level, known = root, False
        for letter in word:
            known = letter in level and not level[letter]
            if known:
                break
            level = level.setdefault(letter, {})
    return _branches(root)


def _branches(level: _Tree) -> str:
    parts = [re.escape(letter) + (_branches(inner) if inner else "") for letter, inner in sorted(level.items())]
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"
