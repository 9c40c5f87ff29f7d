"""What pages draw with real links: tables, lines, tiles, cards and notices."""

from .cell import Cell, Said, Tone
from .element import Card, Column, Tile, cards, line, notice, table, tiles

__all__ = ["Card", "Cell", "Column", "Said", "Tile", "Tone", "cards", "line", "notice", "table", "tiles"]
