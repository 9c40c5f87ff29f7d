"""Replays stored calls through a rules file: the live code, on past data, with time as an argument."""

from .backtest import backtest
from .report import Report

__all__ = ["Report", "backtest"]
