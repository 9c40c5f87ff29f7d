"""What was meant by a name that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["hint"]


def hint(name: str, known: Iterable[str]) -> str:
    """Return `did you mean …?` for the known name that is nearest, or else all that are known."""
    import difflib  # a host whose names are right never needs it

    names = tuple(known)
    near = difflib.get_close_matches(name, names, 1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}"
