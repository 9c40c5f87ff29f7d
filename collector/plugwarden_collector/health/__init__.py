"""The collector's own health: what it reads of itself, which conditions that makes true, and who is told."""

from .arrivals import Arrivals
from .watch import HealthWatch, run_health

__all__ = ["Arrivals", "HealthWatch", "run_health"]
