"""The text of the rules that were loaded, as an entry of the log holds it: a log that cannot be changed must not hold a secret."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plugwarden_collector.rules.text import decoded, files_of
from plugwarden_collector.wording import harmless

__all__ = ["content_of"]

MAX_CONTENT = 64 * 1024
"""Characters of a rules file that its entry holds."""
LEFT_OUT = (
    "left out: a secret stands in it in a way that cannot be masked; write it on one line and without quotes or escapes, "
    "or in a file that the rules name"
)
_ADDRESS = re.compile(r"""(https?://)(?:[^"'\s/@]*@)?([^"'\s/?#]*)[^"'\s]*""", re.IGNORECASE)
"""Webhooks carry their secret in their path, user and query."""
_SERVICE = re.compile(r"""((?!https?:)\b[a-z][a-z0-9+.-]*://)[^"'\s]*""", re.IGNORECASE)
"""Other schemes carry theirs anywhere, also where a host would be."""
_SECRET = re.compile(
    r"""((?:token|secret|password|authorization|api_?key|routing_?key)\w*["']?\s*[=:]\s*)\S.*""", re.IGNORECASE
)
_SECRET_KEY = re.compile(r"urls?|.*(?:token|secret|password|authorization|api_?key|routing_?key).*", re.IGNORECASE)
_ELSEWHERE = re.compile(r".*_(?:file|env)", re.IGNORECASE)
_SHOWN = re.compile(r"https?://[^/@?#]*/?", re.IGNORECASE)
"""Scheme, host and port of an address of the web, which are shown."""


def content_of(path: Path | None) -> dict[str, Any]:
    """Digest and text, bounded, of a rules file or a folder of them, as evidence of what was loaded. What may be a secret is left out."""
    if path is None:
        return {"content": "the built-in rules"}
    try:
        files = [path] if not path.is_dir() else files_of(path)
        texts = [(file.name, file.read_bytes()) for file in files]
    except OSError as error:
        return {"sha256": "", "bytes": 0, "content": f"cannot be read: {error.strerror}"}
    except ValueError as error:
        texts = [("", str(error).encode())]
    several = path.is_dir()
    raw = b"\n".join(f"# {name}\n".encode() + data if several else data for name, data in texts)
    content = "\n".join(f"# {name}\n{_masked(data)}" if several else _masked(data) for name, data in texts)
    return {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw), "content": content[:MAX_CONTENT]}


def _masked(data: bytes) -> str:
    """Return the text of a file without its secrets, which are looked for as they are written and as they are read."""
    try:
        text = decoded(data)
    except ValueError:  # nobody loads such a file
        text = data.decode("utf-8", "replace")
    masked = _SECRET.sub(r"\g<1>…", _SERVICE.sub(r"\g<1>…", _ADDRESS.sub(r"\g<1>\g<2>/…", harmless(text))))
    try:
        secrets = set(_secrets(tomllib.loads(text)))
    except (ValueError, RecursionError):
        return masked  # no TOML: YAML, which has no receivers
    for secret in secrets:
        written = f'"{secret}"' in text or f"'{secret}'" in text
        if not written or re.search(r"""["'\s]""", secret) or f'"{secret}"' in masked or f"'{secret}'" in masked:
            return LEFT_OUT
    return masked


def _secrets(value: Any, key: str = "") -> Iterator[str]:
    """Yield the texts of a document that are secrets, by their keys and by what they are."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _secrets(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _secrets(inner, key)
    elif isinstance(value, str) and _is_secret(key, value):
        yield value


def _is_secret(key: str, value: str) -> bool:
    named = _SECRET_KEY.fullmatch(key) and not _ELSEWHERE.fullmatch(key)
    return bool(named) and not _SHOWN.fullmatch(value)
