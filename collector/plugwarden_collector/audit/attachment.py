"""What an entry rests on and is too large to stand in it: kept beside the chain, with its SHA-256 sealed in the entry."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, field

__all__ = ["MOST_PACKED_BYTES", "MOST_TEXT_BYTES", "Attachment", "TooLarge", "attach", "digest_of", "unpack"]

MOST_TEXT_BYTES = 4 * 2**20
"""10,000 cells (`cycle.facts`) at the 250 to 400 bytes that each takes with names of ordinary length."""
MOST_PACKED_BYTES = 2**18
"""What that packs to: one of the size of a world in tests/scenarios is a thousand bytes, 20 times less than its text where there are many
cells. It takes more only where nearly all names differ, as those do that somebody makes up."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A text, packed."""

    sha256: str
    """SHA-256 of the text, 64 hex digits."""
    packed: bytes = field(repr=False, compare=False)
    """zlib's form (RFC 1950)."""


@dataclass(frozen=True, slots=True)
class TooLarge:
    """More than an entry keeps, so that nothing of it is kept."""

    number: int
    """How much it is."""
    most: int
    """How much would be kept."""
    what: str
    """What is counted."""

    def __str__(self) -> str:
        return f"{self.number:,} {self.what}, and where there are more than {self.most:,} none is kept"


def attach(text: str) -> Attachment | TooLarge:
    """Return a text as an attachment, or which bound it passes. Raises `ValueError` for what is no Unicode."""
    raw = text.encode()
    if len(raw) > MOST_TEXT_BYTES:
        return TooLarge(len(raw), MOST_TEXT_BYTES, "bytes of text")
    packed = zlib.compress(raw)
    if len(packed) > MOST_PACKED_BYTES:
        return TooLarge(len(packed), MOST_PACKED_BYTES, "bytes when packed")
    return Attachment(digest_of(text), packed)


def unpack(packed: bytes) -> str:
    """Return the text of an attachment. Raises `ValueError` where it is none, or larger than any that was made."""
    reading = zlib.decompressobj()
    try:
        raw = reading.decompress(packed, MOST_TEXT_BYTES)
    except zlib.error as error:
        raise ValueError("it is not packed as attachments are") from error
    if not reading.eof:
        raise ValueError("it is cut, or larger than an attachment may be")
    return raw.decode("utf-8")


def digest_of(text: str) -> str:
    """Return the SHA-256 of a text, 64 hex digits; also of one that is no Unicode, which a file may hold and nothing sealed does."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
