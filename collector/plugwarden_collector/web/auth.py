"""Bearer tokens with scopes. Tokens are compared by hash in constant time and never logged or answered."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from plugwarden_collector.audit.actor import LOCAL, token_name_problem
from plugwarden_collector.errors import SettingsError
from plugwarden_collector.named_path import file_to_read
from plugwarden_collector.private import read_secret
from plugwarden_collector.web.caller import Headers, Outsider, outsider

__all__ = ["SCOPES", "Principal", "TokenBook", "read_tokens"]

SCOPES = ("ingest", "directives", "read", "operate", "admin")
"""What a token may do, in this order: send telemetry and fetch directives; fetch directives alone; look; quarantine, release and
silence; freeze, reload and all else."""
HOST = frozenset({"ingest", "directives"})
"""What a host holds: it neither looks nor acts, whoever gets hold of its token."""
MIN_LENGTH = 16
MAX_FILE_BYTES = 1024 * 1024
"""Bytes of a file of tokens: ten thousand of them."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks."""

    name: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Whether it has a scope; `admin` has all, and whoever sends telemetry may be told what to refuse."""
        return scope in self.scopes or "admin" in self.scopes or (scope == "directives" and "ingest" in self.scopes)


@dataclass(frozen=True, slots=True)
class _Entry:
    principal: Principal
    digest: bytes


class TokenBook:
    """All known tokens. False when there are none: then everyone is a local operator."""

    LOCAL = Principal(LOCAL, frozenset(SCOPES))

    def __init__(self, tokens: tuple[tuple[str, frozenset[str], str], ...]) -> None:
        """`tokens` are (name, scopes, token)."""
        self._entries = tuple(_Entry(Principal(name, scopes), _digest(token)) for name, scopes, token in tokens)

    def __bool__(self) -> bool:
        return bool(self._entries)

    def outsider(self, headers: Headers, *, method: str = "POST", host_told: bool = True) -> Outsider | None:
        """Why a caller may not pass for the local operator; None when it may, and when there are tokens, which then decide."""
        return None if self._entries else outsider(headers, method=method, host_told=host_told)

    def caller(self, principal: Principal, address: str) -> str | None:
        """Return by what one who looks is told from others: the token; where there is one for all, the address. None: by nothing.

        An address of this machine says nothing, for a proxy's callers all have it (ADR 0023).
        """
        if sum(entry.principal.may("read") for entry in self._entries) > 1:
            return principal.name
        try:
            local = ip_address(address).is_loopback
        except ValueError:
            local = True
        return None if local or not self._entries else address

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
    for variable, name, scopes in (
        ("PLUGWARDEN_TOKEN", "operator", frozenset(SCOPES)),
        ("PLUGWARDEN_INGEST_TOKEN", "host", HOST),
    ):
        token = _given(environ, variable)
        if not token:
            continue
        _long_enough(token, variable)
        if any(token == known for _, _, known in tokens):
            raise SettingsError(f"{variable}: is the same as PLUGWARDEN_TOKEN, which may do everything; make another")
        tokens.append((name, scopes, token))
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
            wrong = token_name_problem(parts[0])
            if wrong is not None:
                raise SettingsError(f"{where}: {wrong}")
            _long_enough(parts[2], where)
            tokens.append((parts[0], scopes, parts[2]))
    return TokenBook(tuple(tokens))


def _given(environ: Mapping[str, str], variable: str) -> str:
    """A token from its variable, or from the file that the variable with `_FILE` names."""
    by_file = f"{variable}_FILE"
    file = environ.get(by_file)
    return environ.get(variable, "") or (_text(file, by_file).strip() if file else "")


def _text(path: str, name: str) -> str:
    file_to_read(name, Path(path))
    try:
        return read_secret(Path(path), MAX_FILE_BYTES)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{name}: {path}: cannot be read: {error}; name a text file") from error


def _long_enough(token: str, where: str) -> None:
    if len(token) < MIN_LENGTH:
        raise SettingsError(f"{where}: a token has at least {MIN_LENGTH} characters; try `openssl rand -hex 32`")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
