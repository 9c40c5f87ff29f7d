"""Sentences about ourselves: how many of something, and what was set aside."""

from __future__ import annotations

__all__ = ["amount"]


def amount(number: int, noun: str) -> str:
    """`1 sender`, `2 senders`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
