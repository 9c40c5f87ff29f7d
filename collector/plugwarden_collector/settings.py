"""Process settings: flags and PLUGWARDEN_* variables, fixed until the next start. Rules are another matter (rules/)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

from plugwarden_collector.audit import Place
from plugwarden_collector.errors import SettingsError
from plugwarden_collector.memory import memory_from, parse_size
from plugwarden_collector.named_path import folder_to_make, rules_to_read
from plugwarden_collector.receive.decode.identity import DEFAULT_IDENTITY, Identity
from plugwarden_collector.rules.duration import seconds
from plugwarden_collector.rules.workable import url_problem
from plugwarden_collector.store.upkeep import Keep
from plugwarden_collector.web.auth import TokenBook, read_tokens

__all__ = ["Address", "Settings"]

MIN_RAW_SECONDS, MAX_RAW_SECONDS = 3600.0, 400 * 86_400.0
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")


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
    """Rules file, or a folder of some; none: the built-in rules, which only observe."""
    tokens: TokenBook = field(default_factory=lambda: TokenBook(()))
    """Who may do what. Empty: everyone on this machine may do everything."""
    identity: Identity = DEFAULT_IDENTITY
    """Which attributes name the plugin."""
    keep: Keep = field(default_factory=Keep)
    """How long, and how much."""
    audit: Place = field(default_factory=Place.of)
    """Where the key of the decision log and its heads lie."""
    public_url: str = ""
    """Where people reach the dashboards, for links in what they are told; empty: nobody said, and there are none."""

    def check(self) -> None:
        """Raises `SettingsError` where these settings would leave a door open, or could not work."""
        memory_from(os.environ)
        folder_to_make("--data", self.data, make=True)
        if self.rules is not None:
            rules_to_read("--rules", self.rules)
        if self.keep.archive is not None:
            folder_to_make("--archive", self.keep.archive, make=True)
        self.audit.check(self.data)
        if self.public_url and (wrong := url_problem(self.public_url)) is not None:
            raise SettingsError(f"--public-url: {wrong}")
        for name, address in (("--grpc", self.grpc), ("--http", self.http), ("--api", self.api)):
            if not address.loopback and not self.tokens:
                raise SettingsError(
                    f"{name}: {address} can be reached from other machines, and there is no token. "
                    "Set PLUGWARDEN_TOKEN (or PLUGWARDEN_TOKENS_FILE), or listen on 127.0.0.1"
                )

    @classmethod
    def identity_from(cls, text: str) -> Identity:
        """`plugin.id,gen_ai.tool.name,scope.name`: attribute keys in order, or `scope.name`; raises `SettingsError`."""
        sources = tuple(part.strip() for part in text.split(",") if part.strip())
        if not sources:
            raise SettingsError("--plugin-from: name at least one attribute, such as plugin.id, or scope.name")
        return Identity(sources)

    @classmethod
    def keep_from(cls, raw: str, size: str, archive: Path | None, deletion: str = "100%") -> Keep:
        """What is kept, from flags; raises `SettingsError` naming the flag."""
        try:
            days = seconds(raw)
        except ValueError as error:
            raise SettingsError(f"--keep-raw: {error}") from error
        if not MIN_RAW_SECONDS <= days <= MAX_RAW_SECONDS:
            raise SettingsError("--keep-raw: must be between 1h and 400d")
        share = _SHARE.fullmatch(deletion.strip())
        if share is None or not 1 <= float(share.group(1)) <= 100:
            raise SettingsError(
                f"--max-deletion: {deletion!r} is not a share; write for instance 50%, or 100% for no limit"
            )
        return Keep(
            raw=timedelta(seconds=days), max_bytes=_max_size(size), archive=archive,
            max_share_ratio=float(share.group(1)) / 100,
        )  # fmt: skip

    @classmethod
    def tokens_from(cls, environ: Mapping[str, str] | None = None) -> TokenBook:
        """Read tokens from PLUGWARDEN_TOKEN (everything), PLUGWARDEN_INGEST_TOKEN (a host's), both also as _FILE, and
        PLUGWARDEN_TOKENS_FILE."""
        return read_tokens(os.environ if environ is None else environ)


def _max_size(text: str) -> int:
    try:
        return parse_size(text, "--max-size")
    except SettingsError as error:
        raise SettingsError(f"{error}, or 0 for no limit") from error
