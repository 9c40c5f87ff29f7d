"""The pages of the sign-in, as plain HTML: no script, nothing loaded, and nothing of the collector in them. Pure."""

from __future__ import annotations

from html import escape
from urllib.parse import quote, urlencode, urlsplit

__all__ = ["FORM", "HEADERS", "PATH", "back", "bounce", "form", "sign_in_address"]

PATH = "/sign-in"
FORM = ("token", "next")
"""Names of the form's fields."""
MOST_NEXT = 2000
"""Characters of an address to go back to; longer ones lead to the first page."""
HEADERS = {
    # A browser names the page that a form comes from only under this policy; others get `Origin: null`.
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
    "content-security-policy": "; ".join(
        (
            "default-src 'none'",
            "style-src 'unsafe-inline'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    ),
}
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { margin: 12vh auto 0; padding: 0 1rem; max-width: 24rem }
h1 { font-size: 1.5rem }
label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit }
input, button { padding: .5rem; margin: .25rem 0 1rem; border: 1px solid #888; border-radius: .4rem }
button { background: #0072B2; color: #fff; border-color: #0072B2; cursor: pointer }
[role=alert] { padding: .5rem .75rem; border-left: .3rem solid #D55E00; background: color-mix(in srgb, #D55E00 12%, transparent) }
small { opacity: .8 }
"""


def back(address: str) -> str:
    """Return an address of one of our own pages, or that of the first page where it leads anywhere else."""
    plain = address.isascii() and address.isprintable() and " " not in address and len(address) <= MOST_NEXT
    if not plain or "\\" in address or not address.startswith("/") or address.startswith("//"):
        return "/"
    try:
        return "/" if urlsplit(address).path == PATH else address
    except ValueError:
        return "/"


def sign_in_address(path: str, query: str) -> str:
    """Return the address of the sign-in from which one comes back to a page."""
    asked = quote(path) + (f"?{query}" if query else "")
    return f"{PATH}?{urlencode({'next': back(asked)})}"


def bounce(address: str) -> str:
    """Return the page that leads to the sign-in by itself.

    A browser that followed a link from elsewhere did not send the cookie (`SameSite=Strict`). It does on the way from here, which is
    ours: who is signed in already lands on the page of the link.
    """
    going = escape(address)
    return _page(
        "Sign in", f'<p><a href="{going}">Sign in</a></p>', f'<meta http-equiv="refresh" content="0;url={going}">'
    )


def form(problem: str, next_address: str) -> str:
    """Return the form, below what went wrong."""
    alert = f'<p role="alert">{escape(problem)}</p>' if problem else ""
    return _page(
        "Sign in",
        f"""{alert}<form method="post" action="{PATH}">
<input type="hidden" name="next" value="{escape(back(next_address))}">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" maxlength="1000" required autofocus>
<button>Sign in</button>
<small>A token that the collector knows, with the scope <code>read</code> to look and <code>operate</code> to act.
What you do is recorded under its name.</small>
</form>""",
    )


def _page(title: str, body: str, head: str = "") -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} · Plugwarden</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{head}<style>{_STYLE}</style></head>'
        f"<body><main><h1>Plugwarden</h1>{body}</main></body></html>"
    )
