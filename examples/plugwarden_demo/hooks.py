"""What plugins of this host can hook into. Every hook takes one document; coroutines are awaited by the host."""

from __future__ import annotations

from collections.abc import Awaitable

import pluggy

from .corpus import Document

__all__ = ["PROJECT", "DocumentHooks", "hookimpl"]

PROJECT = "plugwarden-demo"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class DocumentHooks:
    """The host's extension points, one a kind of document."""

    @hookspec
    def on_text(self, document: Document) -> bytes | None:
        """Prose arrived."""

    @hookspec
    def on_source(self, document: Document) -> bytes | None:
        """Program text arrived."""

    @hookspec
    def on_data(self, document: Document) -> bytes | None:
        """A table or a JSON document arrived."""

    @hookspec
    def on_image(self, document: Document) -> bytes | None:
        """A picture arrived."""

    @hookspec
    def on_document(self, document: Document) -> Awaitable[dict[str, object]] | None:
        """Anything arrived: look something up about it."""
