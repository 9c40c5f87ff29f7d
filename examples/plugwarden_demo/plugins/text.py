"""Plugins for prose and program text: markdown-it, Jinja, Pygments."""

from __future__ import annotations

import logging

from jinja2 import Environment
from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from ..corpus import Document
from ..hooks import hookimpl

__all__ = ["Highlight", "Markdown", "MarkdownAscii", "MarkdownFixed", "Template"]

log = logging.getLogger("demo.plugins.text")


class Markdown:
    """Renders prose to HTML."""

    name, version = "markdown", "1.4.0"

    def __init__(self) -> None:
        self._parser = MarkdownIt("commonmark")

    @hookimpl
    def on_text(self, document: Document) -> bytes:
        """HTML of a Markdown document."""
        return str(self._parser.render(self._decode(document.data))).encode()

    def _decode(self, data: bytes) -> str:
        return data.decode("utf-8", errors="replace")


class MarkdownAscii(Markdown):
    """The release that breaks: it decodes strictly as ASCII, which is quicker and fails on every document with a dash, a
    quote or an accent outside of ASCII."""

    version = "2.0.0"

    def _decode(self, data: bytes) -> str:
        return data.decode("ascii")


class MarkdownFixed(Markdown):
    """The release after it: quick where it can be, correct everywhere."""

    version = "2.0.1"

    def _decode(self, data: bytes) -> str:
        return data.decode("ascii") if data.isascii() else data.decode("utf-8", errors="replace")


class Template:
    """Makes a card for a listing page."""

    name, version = "template", "3.1.0"

    def __init__(self) -> None:
        environment = Environment(autoescape=True)
        self._template = environment.from_string(
            "<article><h2>{{ name }}</h2><p>{{ words }} words</p>"
            "<ol>{% for line in lines %}<li>{{ line | trim | truncate(80) }}</li>{% endfor %}</ol></article>"
        )

    @hookimpl
    def on_text(self, document: Document) -> bytes:
        """A card with the document's first headings."""
        text = document.data.decode("utf-8", errors="replace")
        lines = [line for line in text.splitlines() if line.startswith("#")][:10]
        if not lines:
            log.info("%s has no headings", document.name)
        return self._template.render(name=document.name, words=len(text.split()), lines=lines).encode()


class Highlight:
    """Colours program text."""

    name, version = "highlight", "2.3.1"

    @hookimpl
    def on_source(self, document: Document) -> bytes:
        """HTML with syntax colours."""
        text = document.data.decode("utf-8", errors="replace")
        return str(highlight(text, PythonLexer(), HtmlFormatter())).encode()
