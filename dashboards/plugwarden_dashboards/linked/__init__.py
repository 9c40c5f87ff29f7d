"""What pages draw with real links: tables, lines, tiles, cards, maps, ribbons and notices."""

from .cell import Cell, Said, Tone
from .element import Card, Column, Event, Tile, cards, line, notice, ribbon, table, tiles

__all__ = [
    "Card", "Cell", "Column", "Event", "Said", "Tile", "Tone", "cards", "line", "notice", "ribbon", "table", "tiles",
]  # fmt: skip
