"""Bearer tokens with scopes. Tokens are compared by hash in constant time and never logged or answered."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from plugwarden_collector.errors import SettingsError

__all__ = ["SCOPES", "Principal", "TokenBook", "read_tokens"]

SCOPES = ("ingest", "read", "operate", "admin")
"""send telemetry and fetch directives; look; quarantine, release and silence; freeze, reload and everything else."""
MIN_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks."""

    name: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Whether it has a scope; `admin` has all."""
        return scope in self.scopes or "admin" in self.scopes


@dataclass(frozen=True, slots=True)
class _Entry:
    principal: Principal
    digest: bytes


class TokenBook:
    """All known tokens. False when there are none: then everyone is a local operator."""

    LOCAL = Principal("local operator", frozenset(SCOPES))

    def __init__(self, tokens: tuple[tuple[str, frozenset[str], str], ...]) -> None:
        """`tokens` are (name, scopes, token)."""
        self._entries = tuple(_Entry(Principal(name, scopes), _digest(token)) for name, scopes, token in tokens)

    def __bool__(self) -> bool:
        return bool(self._entries)

    def principal(self, authorization: str | None) -> Principal | None:
        """Who an Authorization header belongs to; None when it is nobody we know."""
        if not self._entries:
            return self.LOCAL
        kind, _, token = (authorization or "").partition(" ")
        if kind.lower() != "bearer":
            return None
        digest = _digest(token.strip())
        found = None
        for entry in self._entries:  # all of them, so that the time says nothing
            if hmac.compare_digest(entry.digest, digest):
                found = entry.principal
        return found


def read_tokens(environ: Mapping[str, str]) -> TokenBook:
    """Tokens from the environment; raises `SettingsError` naming variable and line."""
    tokens: list[tuple[str, frozenset[str], str]] = []
    everything = environ.get("PLUGWARDEN_TOKEN", "")
    if not everything and environ.get("PLUGWARDEN_TOKEN_FILE"):
        everything = _text(environ["PLUGWARDEN_TOKEN_FILE"], "PLUGWARDEN_TOKEN_FILE").strip()
    if everything:
        _long_enough(everything, "PLUGWARDEN_TOKEN")
        tokens.append(("operator", frozenset(SCOPES), everything))
    path = environ.get("PLUGWARDEN_TOKENS_FILE")
    if path:
        for number, line in enumerate(_text(path, "PLUGWARDEN_TOKENS_FILE").splitlines(), 1):
            parts = line.split()
            if not parts or parts[0].startswith("#"):
                continue
            where = f"PLUGWARDEN_TOKENS_FILE line {number}"
            if len(parts) != 3:
                raise SettingsError(f"{where}: write NAME SCOPE[,SCOPE] TOKEN")
            scopes = frozenset(parts[1].split(","))
            if not scopes <= set(SCOPES):
                raise SettingsError(f"{where}: {parts[1]!r}: scopes are {', '.join(SCOPES)}")
            _long_enough(parts[2], where)
            tokens.append((parts[0], scopes, parts[2]))
    return TokenBook(tuple(tokens))


def _text(path: str, name: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except OSError as error:
        raise SettingsError(f"{name}: {path}: {error.strerror}") from error


def _long_enough(token: str, where: str) -> None:
    if len(token) < MIN_LENGTH:
        raise SettingsError(f"{where}: a token has at least {MIN_LENGTH} characters; try `openssl rand -hex 32`")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
