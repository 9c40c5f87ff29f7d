"""Who acts: the name of the token that was shown, and beside it, marked as said by them, on whose behalf."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

__all__ = ["LOCAL", "MAX_SAID", "RESERVED", "Actor", "claimed", "token_name_problem"]

LOCAL = "local operator"
"""Who acts on loopback without a token, or on files: somebody who is on this machine."""
RESERVED = frozenset({"automation", "collector", "local", LOCAL, "plugwarden", "system"})
"""Names that stand for ourselves; nobody may claim them."""
MAX_SAID = 200
_NAME = re.compile(r"[^\s()\"]{1,64}")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something."""

    name: str
    """Name of the token; nothing that the caller can choose."""
    says: str | None = None
    """On whose behalf, in the caller's words; see `claimed`."""

    def __str__(self) -> str:
        return self.name if self.says is None else f'{self.name} (says: "{self.says}")'


def claimed(text: str | None) -> str | None:
    """What a caller says of themselves, as one bounded line without control and direction characters or quotes.

    Raises `ValueError` when it is a name that stands for ourselves.
    """
    if text is None:
        return None
    shown = " ".join("".join(" " if letter in "\t\r\n" else _harmless(letter) for letter in text).split())[:MAX_SAID]
    if not shown:
        return None
    bare = "".join(letter for letter in text if not _hidden(letter))
    if " ".join(unicodedata.normalize("NFKC", bare).casefold().split()) in RESERVED:
        raise ValueError(f"{shown!r} stands for the collector itself; say who you are, or leave it out")
    return shown


def token_name_problem(name: str) -> str | None:
    """Why a token cannot have a name; None when it can."""
    if name.casefold() in RESERVED:
        return f"{name!r} stands for the collector itself; name the person or program that holds the token"
    if _NAME.fullmatch(name) is None or any(_hidden(letter) for letter in name):
        return f"{name!r}: a name has up to 64 visible characters, none of them a quote or a parenthesis"
    return None


def _hidden(letter: str) -> bool:
    return unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def _harmless(letter: str) -> str:
    return "\N{REPLACEMENT CHARACTER}" if _hidden(letter) else "'" if letter == '"' else letter
