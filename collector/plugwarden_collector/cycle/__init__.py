"""One tick: judge, blame, decide; pure, the same for the live loop and the backtest."""

from .directives import directives_for, next_set
from .evaluate import evaluate, forget
from .tick import Evidence, Observation
from .trouble import within

__all__ = ["Evidence", "Observation", "directives_for", "evaluate", "forget", "next_set", "within"]
