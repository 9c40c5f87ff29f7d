"""One trace as people read it: a tree of spans, what it waited for, and the rows that there is room for. Pure functions of its spans."""

from .critical_path import Section, critical_path
from .rows import Row, rows
from .tree import Node, tree, ways

__all__ = ["Node", "Row", "Section", "critical_path", "rows", "tree", "ways"]
