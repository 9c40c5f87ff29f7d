"""A key file that no longer holds what the log was sealed with: found at a start, told until it is put back or accepted. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .entries import ACCESS, DECISIONS, Keyring
from .head_file import Head

__all__ = ["LostKey", "lost_key"]

_NAMES = {DECISIONS: "the decision log", ACCESS: "the access log"}


@dataclass(frozen=True, slots=True)
class LostKey:
    """What cannot be verified with the keys that there are."""

    missing: tuple[str, ...]
    """Ids of the keys that are gone."""
    text: str

    def evidence(self, current: str | None) -> dict[str, Any]:
        """As it stands in the decision log."""
        return {"missing": list(self.missing), "key": current}


def lost_key(
    used: Iterable[Mapping[str, Any]], keyring: Keyring, accepted: Mapping[str, Head], *, made: bool
) -> LostKey | None:
    """`used` are rows of keys_used.sql; `accepted`, up to which entry of each chain keys that are gone were accepted; `made`, whether
    the key file was missing and was made just now. None: no key is missing."""
    known = keyring.secrets()
    gone = [
        row for row in used if row["key_id"] not in known and row["last"] > accepted.get(row["stream"], Head()).sequence
    ]
    if not gone or keyring.current is None:
        return None
    spans = ", ".join(f"{_NAMES[row['stream']]} {row['first']} to {row['last']} (key {row['key_id']})" for row in gone)
    how = "the key file was missing and a new key was made" if made else "the key file holds another key"
    text = (
        f"key replaced: {how}; earlier entries cannot be verified with this key ({keyring.current.id}): {spans}. Put the old key "
        "back below the first line of the key file, or explain it with `plugwarden audit accept`"
    )
    return LostKey(tuple(dict.fromkeys(row["key_id"] for row in gone)), text)
