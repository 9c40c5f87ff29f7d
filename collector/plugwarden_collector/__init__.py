"""Plugwarden's collector: receive, store, judge, decide, announce."""

__version__ = "0.1.0"
