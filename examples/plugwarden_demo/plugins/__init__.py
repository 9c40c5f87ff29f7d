"""The plugins, each around one published library. They know nothing of Plugwarden, but for naming their downstream."""

from .data import Profile, Schema, Table
from .lookups import Catalog, Dedupe, Links
from .pictures import Thumbnail
from .text import Highlight, Markdown, MarkdownAscii, MarkdownFixed, Template

__all__ = [
    "Catalog",
    "Dedupe",
    "Highlight",
    "Links",
    "Markdown",
    "MarkdownAscii",
    "MarkdownFixed",
    "Profile",
    "Schema",
    "Table",
    "Template",
    "Thumbnail",
]
