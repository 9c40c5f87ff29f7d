"""Whom the senders of messages and events trust: the machine's certificates, which take 50 ms to read, read once for all of them."""

from __future__ import annotations

import ssl
from functools import cache

import httpx2

__all__ = ["certificates"]


@cache
def certificates() -> ssl.SSLContext:
    """Return what a client of ours makes of them when it is made."""
    return httpx2.create_ssl_context()
