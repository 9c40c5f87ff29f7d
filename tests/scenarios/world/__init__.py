"""Worlds in files: what hosts do and who is at fault, judged by the real code with time simulated."""

from .loop import Run, run
from .verdict import Verdict, judge
from .world import World, WorldError, load_world, parse_world

__all__ = ["Run", "Verdict", "World", "WorldError", "judge", "load_world", "parse_world", "run"]
