"""Plugins for pictures: Pillow."""

from __future__ import annotations

import io

from PIL import Image

from ..corpus import Document
from ..hooks import hookimpl

__all__ = ["Thumbnail"]


class Thumbnail:
    """Makes small previews."""

    name, version = "thumbnail", "1.1.2"

    @hookimpl
    def on_image(self, document: Document) -> bytes:
        """A PNG of at most 96 × 96 pixels."""
        with Image.open(io.BytesIO(document.data)) as image:
            small = image.convert("RGBA")
            small.thumbnail((96, 96))
            out = io.BytesIO()
            small.save(out, "PNG")
            return out.getvalue()
