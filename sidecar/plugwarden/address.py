"""What an address of an HTTP service looks like, and what to write where it does not."""

from __future__ import annotations

import re
import urllib.parse

__all__ = ["address_fault", "bare_address"]

_WITHOUT_SCHEME = r"(?://)?((?:\[[0-9A-Fa-f:.]+\]|[^\s/:@\[\]]+)(?::\d+)?(?:[/?].*)?)"
"""`host:port`, as most people write it. Compiled when somebody did."""


def address_fault(url: str) -> str | None:
    """Return why it is none, with the address but for a name and password in it; None: it is one."""
    why = None
    try:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
            why = "must start with http:// or https://, and name a host"
            if bare := bare_address(url):
                why += f": write http://{bare}"
    except ValueError as error:
        why = str(error)
    if why is None and (not url.isprintable() or " " in url):
        why = "has a blank or control character"
    if why is None:
        return None
    _, secret, address = url.rpartition("@")
    return f"{f'…@{address}' if secret else address!r:.300} {why}"


def bare_address(url: str) -> str | None:
    """Return the address where it is one but for its scheme, else None."""
    found = re.fullmatch(_WITHOUT_SCHEME, url)
    return None if found is None else found[1]
