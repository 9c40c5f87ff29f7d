"""Places in a text, and patterns that are made when they are first needed: most processes never need most of them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator

__all__ = ["Finder", "Place", "compiled", "words"]

Place = tuple[int, int]
"""Where something begins, and where it has ended."""
Finder = Callable[[str, str], Iterator[Place]]
"""(text, the same in small letters) -> the places to mask. Its time is bounded per character of the text."""


@functools.cache
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of the tables of this package. `import plugwarden` must not pay for all of them (2 ms a dozen)."""
    return re.compile(pattern)


def words(text: str) -> frozenset[str]:
    """What stands between blanks."""
    return frozenset(text.split())
