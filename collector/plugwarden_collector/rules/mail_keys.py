"""The keys of a `[[receiver]]` table of the kind `email`: how a message goes, or what is wrong with each of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .receiver import Mail, Tls
from .secret import secret_at, secret_keys
from .table import choice_at
from .workable import shown

__all__ = ["MAIL_KEYS", "mail_in"]

MAIL_KEYS = {"smarthost", "from", "to", "tls", "username", *secret_keys("password")}
"""Keys that say how a message goes."""
PORTS = {Tls.STARTTLS: 587, Tls.TLS: 465, Tls.NONE: 25}
"""Ports of submission (RFC 6409, RFC 8314), and of a relay."""
MAX_ADDRESSES = 50
_ADDRESS = re.compile(r"[!-~]+@[A-Za-z0-9.\[\]:-]+")
"""An address alone, in ASCII, with no name before it: nothing of a header can be hidden in it."""


def mail_in(table: Mapping[str, Any], place: str, problems: list[str]) -> Mail | None:
    before = len(problems)
    tls = choice_at(table, "tls", Tls.STARTTLS, place, problems)
    if tls is None:
        return None
    host, port = _smarthost(table.get("smarthost"), PORTS[tls], place, problems)
    sender, to = table.get("from"), table.get("to")
    if not _is_address(sender):
        problems.append(f"{place}.from: {shown(sender)} must be one address, such as plugwarden@example.net")
    to = [to] if isinstance(to, str) else to
    if not isinstance(to, list) or not 1 <= len(to) <= MAX_ADDRESSES or not all(map(_is_address, to)):
        problems.append(f"{place}.to: {shown(to)} must be a list of 1 to {MAX_ADDRESSES} addresses")
    username = table.get("username")
    if username is not None and (not isinstance(username, str) or not username or not username.isprintable()):
        problems.append(f"{place}.username: {shown(username)} must be a non-empty string")
    password = secret_at(table, "password", place, problems)
    if len(problems) == before and (username is None) != (password is None):
        problems.append(f"{place}.username: a username and a password (or password_file, password_env) go together")
    if password is not None and (not isinstance(password, str) or not password):
        problems.append(f"{place}.password: must be a non-empty string (it is not shown)")
    if username is not None and tls is Tls.NONE:
        problems.append(f"{place}.tls: a password would be sent in the open; write starttls or tls")
    if len(problems) > before:
        return None
    return Mail(host, port, str(sender), tuple(dict.fromkeys(to or ())), tls, username, password)


def _smarthost(value: object, port: int, place: str, problems: list[str]) -> tuple[str, int]:
    text = value if isinstance(value, str) else ""
    host, separator, number = text.rpartition(":")
    if not separator or text.endswith("]"):
        host, number = text, str(port)
    host = host.strip("[]")
    if not re.fullmatch(r"[A-Za-z0-9.:_-]+", host) or not number.isdigit() or not 0 < int(number[:6]) < 65_536:
        problems.append(f"{place}.smarthost: {shown(value)} must be the mail server, such as mail.example.net:{port}")
        return "", 0
    return host, int(number)


def _is_address(value: object) -> bool:
    return isinstance(value, str) and len(value) <= 254 and _ADDRESS.fullmatch(value) is not None
