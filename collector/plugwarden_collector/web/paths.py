"""Names in paths: quoted in one place, taken apart in one place. A `/` in a name is part of the name.

Servers unquote a path before they look for a route, and `a%2Fseries` becomes two segments. Here the segments are told apart first;
a slash inside one travels as `SLASH`, which no text that was sent can hold, until the route's parameter is read.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote

from starlette.convertors import Convertor, register_url_convertor
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["SLASH", "keep_names", "path_of", "with_names_kept"]

SLASH = "\udc2f"
"""What stands for a slash within a name: half a surrogate pair, for text that was decoded from UTF-8 never has one."""


def path_of(*segments: str) -> str:
    """Segments as a relative path, each quoted whole; `.` and `..` too, which clients and proxies would resolve."""
    return "/".join(_quoted(segment) for segment in segments)


def _quoted(segment: str) -> str:
    if segment in {".", ".."}:
        return segment.replace(".", "%2E")
    return quote(segment, safe="", errors="replace")


def with_names_kept(raw_path: bytes) -> str:
    """A path as it was sent, unquoted segment by segment."""
    return "/".join(unquote(part).replace("/", SLASH) for part in raw_path.decode("latin-1").split("/"))


def keep_names(app: ASGIApp) -> Any:
    """The middleware around an application whose routes have `{parameter:name}`."""

    async def kept(scope: Scope, receive: Receive, send: Send) -> None:
        raw_path = scope.get("raw_path") or b""
        if scope["type"] == "http" and b"%2f" in raw_path.lower():
            scope = {**scope, "path": with_names_kept(raw_path)}
        await app(scope, receive, send)

    return kept


class _Name(Convertor[str]):
    """One segment, which may be empty: that nobody has this name is for the route to say."""

    regex = "[^/]*"

    def convert(self, value: str) -> str:
        return value.replace(SLASH, "/")

    def to_string(self, value: str) -> str:
        return value.replace("/", SLASH)


register_url_convertor("name", _Name())
