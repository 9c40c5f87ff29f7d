"""Secrets of a rules file: written there, or better in a file or a variable that it names. No answer holds any of one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plugwarden_collector.private import read_secret

__all__ = ["secret_at", "secret_keys"]

MAX_BYTES = 8192
"""Bytes of a file with a secret: an address or a password takes a fraction of it."""


def secret_keys(key: str) -> set[str]:
    """Return the keys by which a secret can be given."""
    return {key, f"{key}_file", f"{key}_env"}


def secret_at(table: Mapping[str, Any], key: str, place: str, problems: list[str]) -> Any:
    """Return a secret as it was given, not checked; None where none is, or it cannot be read, which is a problem by then."""
    given = sorted(secret_keys(key) & table.keys())
    if len(given) > 1:
        problems.append(f"{place}.{given[0]}: {' and '.join(given)} say the same thing; keep one of them")
        return None
    if not given:
        return None
    (name,) = given
    value = table[name]
    if name == key:
        return value
    if not isinstance(value, str) or not value:
        problems.append(f"{place}.{name}: must be the name of a {'file' if name.endswith('_file') else 'variable'}")
        return None
    return (
        _of_file(value, f"{place}.{name}", problems)
        if name.endswith("_file")
        else _of_variable(value, f"{place}.{name}", problems)
    )


def _of_file(name: str, place: str, problems: list[str]) -> str | None:
    try:
        text = read_secret(Path(name), MAX_BYTES).strip()
    except OSError as error:
        problems.append(f"{place}: {name!a} cannot be read: {error.strerror}")
        return None
    except ValueError as error:
        problems.append(f"{place}: {name!a} {error}")
        return None
    if not text:
        problems.append(f"{place}: {name!a} must hold the secret and nothing else; it is empty")
        return None
    return text


def _of_variable(name: str, place: str, problems: list[str]) -> str | None:
    text = os.environ.get(name, "").strip()
    if not text:
        problems.append(f"{place}: the variable {name!a} is not set where the collector runs; set it, or use a file")
        return None
    return text
