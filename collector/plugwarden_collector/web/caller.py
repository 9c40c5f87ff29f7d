"""Where a request comes from, as its headers tell: this machine, a proxy, or a web page somewhere else.

Pure functions of headers. Loopback says who is connected, and not on whose behalf: a browser on this machine opens pages of
strangers, and a proxy on it serves everybody. Both give themselves away in headers that pages cannot leave out or forge.
A proxy that hides everything of this cannot be told from a program on this machine (docs/adr/0023).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["LOCAL_NAMES", "Headers", "Outsider", "host_name", "other_page", "outsider", "proxy_header", "wrong_host"]

Headers = Iterable[tuple[bytes, bytes]]
"""As ASGI has them: lower-case names, a name as often as it was sent."""

LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""What a browser or a program on this machine calls it. A page of evil.example that resolves to 127.0.0.1 says evil.example."""

_FORWARDING = frozenset(
    {
        # RFC 7239 and RFC 9110; then what reverse proxies and content networks add by themselves.
        b"forwarded", b"via", b"x-real-ip", b"x-client-ip", b"x-cluster-client-ip", b"x-original-host", b"x-original-url",
        b"x-envoy-external-address", b"true-client-ip", b"cf-connecting-ip", b"cdn-loop", b"fastly-client-ip",
    }
)  # fmt: skip
_FORWARDING_PREFIX = b"x-forwarded"
_NO_PAGE = frozenset({b"none", b"same-origin"})
_SHOWN = 100
"""Characters of what a stranger sent that an answer repeats."""


@dataclass(frozen=True, slots=True)
class Outsider:
    """Why a request does not come from a program or a page of this machine."""

    status: int
    """HTTP status of the answer."""
    text: str
    """What is wrong, and what would be right."""


def outsider(headers: Headers, *, method: str = "POST", host_told: bool = True) -> Outsider | None:
    """Why this caller must not pass for a person on this machine; None when it may.

    `host_told` is false where the transport has no Host that we can see (gRPC).
    """
    headers = tuple(headers)
    if host_told and (host := wrong_host(headers, LOCAL_NAMES)) is not None:
        return Outsider(400, f"host {host!r} is not this machine; without a token only localhost is served")
    page = other_page(headers, method)
    if page is not None:
        return Outsider(403, f"a web page elsewhere ({page}) must not speak to a collector without tokens")
    proxy = proxy_header(headers)
    if proxy is not None:
        return Outsider(
            401,
            f"this request came through a proxy ({proxy}), so that its being from this machine says nothing: "
            "set PLUGWARDEN_TOKEN or PLUGWARDEN_TOKENS_FILE for the collector, and send a token",
        )
    return None


def wrong_host(headers: Headers, names: frozenset[str]) -> str | None:
    """The Host header, shortened, when its name is none of `names`; also when there is none, or more than one."""
    found = [value for name, value in headers if name == b"host"]
    if len(found) == 1 and host_name(found[0].decode("latin-1")) in names:
        return None
    return b", ".join(found).decode("latin-1")[:_SHOWN]


def host_name(host: str) -> str:
    """The name in a Host header, in lower case and without its port; `[::1]` keeps its brackets."""
    host = host.strip().lower()
    name, colon, port = host.rpartition(":")
    if colon and ((port.isascii() and port.isdigit()) or not port) and not host.endswith("]"):
        host = name
    return host.removesuffix(".")


def other_page(headers: Headers, method: str) -> str | None:
    """What a browser says of the page that sent this, when it is another than ours; None otherwise.

    A link that a person follows is no such request: it is theirs, and its answer is shown to them alone.
    """
    sent = dict(headers)
    origin = sent.get(b"origin")
    if origin is not None:
        place = origin.partition(b"://")[2].lower()
        if place != sent.get(b"host", b"").strip().lower() or not place:
            return f"Origin {origin.decode('latin-1')[:_SHOWN]!r}"
    site = sent.get(b"sec-fetch-site", b"none").strip().lower()
    followed = (
        method in {"GET", "HEAD"}
        and sent.get(b"sec-fetch-mode") == b"navigate"
        and sent.get(b"sec-fetch-dest", b"document") == b"document"
    )
    if site in _NO_PAGE or followed:
        return None
    return f"Sec-Fetch-Site {site.decode('latin-1')[:_SHOWN]!r}"


def proxy_header(headers: Headers) -> str | None:
    """The name of a header that only proxies add; None when there is none."""
    for name, _ in headers:
        if name in _FORWARDING or name.startswith(_FORWARDING_PREFIX):
            return name.decode("latin-1")[:_SHOWN]
    return None
