"""Process settings: flags and PLUGWARDEN_* variables, fixed until the next start. Rules are another matter (judge/rules)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from plugwarden_collector.api.auth import TokenBook, read_tokens
from plugwarden_collector.errors import SettingsError

__all__ = ["Address", "Settings"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. Port 0 picks a free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, name: str) -> Address:
        """`HOST:PORT`, `[v6]:PORT` or `:PORT` (loopback); raises `SettingsError` naming the flag."""
        host, separator, port = text.rpartition(":")
        if not separator or not port.isdigit() or int(port) > 65_535:
            raise SettingsError(f"{name}: {text!r} is not HOST:PORT, such as 127.0.0.1:4317")
        return cls(host.strip("[]") or "127.0.0.1", int(port))

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the collector process is told."""

    data: Path = Path("data")
    """Folder of the database."""
    grpc: Address = Address("127.0.0.1", 4317)
    """OTLP over gRPC."""
    http: Address = Address("127.0.0.1", 4318)
    """OTLP over HTTP."""
    api: Address = Address("127.0.0.1", 8420)
    """The HTTP API."""
    rules: Path | None = None
    """Rules file; none: the built-in rules, which only observe."""
    tokens: TokenBook = field(default_factory=lambda: TokenBook(()))
    """Who may do what. Empty: everyone on this machine may do everything."""

    def check(self) -> None:
        """Raises `SettingsError` where these settings would leave a door open."""
        for name, address in (("--grpc", self.grpc), ("--http", self.http), ("--api", self.api)):
            if not address.loopback and not self.tokens:
                raise SettingsError(
                    f"{name}: {address} can be reached from other machines, and there is no token. "
                    "Set PLUGWARDEN_TOKEN (or PLUGWARDEN_TOKENS_FILE), or listen on 127.0.0.1"
                )

    @classmethod
    def tokens_from(cls, environ: Mapping[str, str] | None = None) -> TokenBook:
        """Tokens from PLUGWARDEN_TOKEN (everything), PLUGWARDEN_TOKEN_FILE and PLUGWARDEN_TOKENS_FILE."""
        return read_tokens(os.environ if environ is None else environ)
