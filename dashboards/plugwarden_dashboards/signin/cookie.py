"""The cookie that names a session: no script reads it, and no page elsewhere makes a browser send it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["identity_of", "set_cookie"]

_NAME = "plugwarden"
_SECURE = f"__Host-{_NAME}"
"""Name under TLS: browsers take such a cookie from this very host over TLS alone."""
MOST = 100
"""Characters of an identity; ours have 43."""


def identity_of(cookies: Mapping[str, str]) -> str | None:
    """Return the identity that a browser sent; None where it sent none."""
    found = cookies.get(_SECURE) or cookies.get(_NAME)
    return found if found and len(found) <= MOST else None


def set_cookie(identity: str, *, secure: bool) -> str:
    """Return the header's value. Without an age: a browser that is closed forgets it."""
    name, rest = (_SECURE, "; Secure") if secure else (_NAME, "")
    return f"{name}={identity}; Path=/; HttpOnly; SameSite=Strict{rest}"
