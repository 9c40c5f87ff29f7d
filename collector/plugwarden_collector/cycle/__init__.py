"""One tick: judge, blame, decide; pure, the same for the live loop and the backtest."""

from .directives import directives_for
from .evaluate import evaluate
from .tick import Evidence, Observation, new_id

__all__ = ["Evidence", "Observation", "directives_for", "evaluate", "new_id"]
