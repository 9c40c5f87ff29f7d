"""Which version of an operation may be gone back from, and which one gone back to, wherever `previous` is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from plugwarden.errors import ConfigurationError

__all__ = ["Versioned", "check_way_back"]

# A named tuple: `plugwarden run` reads host files before it becomes the host (auto/wanted.py).


class Versioned(NamedTuple):
    """A version of an operation, as far as going back is concerned."""

    plugin: str
    version: str | None
    operation: str | None
    """None: each that it has."""
    fails_closed: bool = False
    """Whether it is of criticality security; a version that is only named is taken for what the newer one is, until it is wrapped."""
    further: tuple[str | None, ...] = ()
    """Versions that its own calls go back to in turn, as far as they are known."""

    def __str__(self) -> str:
        return f"{self.plugin}@{self.version}" + ("" if self.operation is None else f" operation={self.operation}")


def check_way_back(newer: Versioned, found: Sequence[Versioned], path: str = "") -> None:
    """Raise `ConfigurationError` where calls of `newer` cannot go back to what was found: one, or several of the same name.

    `path` is what stands before the field in a file, as in `operations.find.previous`: all of that up to its last dot.
    """
    earlier = found[0]
    if (earlier.plugin, earlier.operation) != (newer.plugin, newer.operation):
        why = f"{earlier} is not an earlier version of {newer}; give one of the same plugin and operation"
    elif earlier.version == newer.version:
        why = f"{earlier} is the version itself; give another version's"
    elif len(found) > 1:
        why = (
            f"{earlier} is here {len(found)} times; give each an operation of its own, or the form that is meant: "
            "wrap(function, previous=…)"
        )
    elif newer.version in earlier.further:
        why = f"{earlier} goes back to {newer} itself; leave out one of the two"
    elif newer.fails_closed and not earlier.fails_closed:
        why = f"{newer} is of criticality security and fails closed; so must {earlier}"
    else:
        return
    raise ConfigurationError(f"{path}previous: {why}")
