"""What our own component is given to draw: read from a page that Streamlit's test runner drew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from streamlit.testing.v1 import AppTest

__all__ = ["elements", "hrefs", "rows", "strings", "texts", "tiles"]


def elements(page: AppTest, kind: str | None = None) -> list[dict[str, Any]]:
    """Return the data of everything that is drawn by it, or of one kind: `table`, `line`, `tiles`, `cards` or `notice`."""
    found = [json.loads(element.proto.json) for element in page.get("bidi_component")]
    return [item for item in found if kind in (None, item["kind"])]


def rows(page: AppTest, caption: str) -> list[dict[str, str]]:
    """Return the rows of the table whose caption begins so, as texts by column; empty where there is none."""
    for table in elements(page, "table"):
        if table["caption"].startswith(caption):
            names = [column["name"] for column in table["columns"]]
            return [dict(zip(names, map(_text, row), strict=True)) for row in table["rows"]]
    return []


def tiles(page: AppTest) -> dict[str, str]:
    """Return values by labels."""
    return {tile["label"]: tile["value"] for item in elements(page, "tiles") for tile in item["tiles"]}


def texts(page: AppTest) -> str:
    """Return all that it shows, a line a text."""
    return "\n".join(strings(elements(page)))


def hrefs(page: AppTest) -> list[str]:
    """Return all addresses that it links to."""
    return [text for text in strings(elements(page), keys=("href",)) if text]


def strings(value: Any, keys: tuple[str, ...] = ()) -> Iterator[str]:
    """Give every string within a value; with `keys`, those under such keys."""
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, str):
                if not keys or key in keys:
                    yield item
            else:
                yield from strings(item, keys)
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, str):
                if not keys:
                    yield item
            else:
                yield from strings(item, keys)


def _text(said: Any) -> str:
    if isinstance(said, str):
        return said
    return " ".join(map(_text, said["parts"])) if "parts" in said else str(said["text"])
