"""Who asks, as the collector knows them."""

from __future__ import annotations

from plugwarden.contract.value import value

from .answer import Answer

__all__ = ["Caller"]


@value
class Caller(Answer):
    """Whom the token of a request belongs to."""

    name: str
    """Name of the token, under which acts are recorded; `local operator` where none is needed."""
    scopes: tuple[str, ...]
    """What it may do, in the order of `ingest`, `directives`, `read`, `operate`, `admin`."""
