"""Plugins that ask another service over HTTP, asynchronously: catalogue, links, duplicates."""

from __future__ import annotations

import hashlib
import re
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import httpx2

from ..corpus import Document
from ..hooks import hookimpl

__all__ = ["Catalog", "Dedupe", "Links"]

_LINK = re.compile(rb"https?://[\w./-]+")


class _Waits(Protocol):
    """What these plugins ask of their host: a way to say what they wait for."""

    def downstream(self, name: str) -> AbstractAsyncContextManager[object]: ...


class _Lookup:
    def __init__(self, client: httpx2.AsyncClient, host: _Waits) -> None:
        self._client = client
        self._host = host

    async def _ask(self, path: str, **query: str) -> dict[str, object]:
        async with self._host.downstream("registry"):
            answer = await self._client.get(path, params=query)
            answer.raise_for_status()
            found: dict[str, object] = answer.json()
            return found


class Catalog(_Lookup):
    """Registers every document."""

    name, version = "catalog", "4.0.0"

    @hookimpl
    async def on_document(self, document: Document) -> dict[str, object]:
        """The document's catalogue entry."""
        return await self._ask("/catalog", name=document.name, size=str(len(document.data)))


class Dedupe(_Lookup):
    """Finds documents that were there before."""

    name, version = "dedupe", "1.0.5"

    @hookimpl
    async def on_document(self, document: Document) -> dict[str, object]:
        """Whether the same bytes are known."""
        return await self._ask("/digest", digest=hashlib.sha256(document.data).hexdigest())


class Links(_Lookup):
    """Looks a document's links up."""

    name, version = "links", "0.7.0"

    @hookimpl
    async def on_document(self, document: Document) -> dict[str, object]:
        """What is known about the first link."""
        found = _LINK.search(document.data)
        return await self._ask("/link", url=found.group().decode() if found else "")
