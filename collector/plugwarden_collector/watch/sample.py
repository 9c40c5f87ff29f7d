"""What one look of a rule found: a value, or a plugin, with its labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Sample", "key_of"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One thing that a rule looks at, as it was at one look."""

    labels: Mapping[str, str]
    """What tells it apart from others of the same rule."""
    met: bool | None
    """Whether it is as it should not be; None: there is no value to tell by."""
    over: bool | None
    """Whether an alert on it that fires may end."""
    said: str
    """The numbers, in a few words."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """The numbers themselves."""

    @property
    def key(self) -> str:
        """What it is known by among the others of its rule."""
        return key_of(self.labels)


def key_of(labels: Mapping[str, str]) -> str:
    """Return what labels are known by, whatever their order."""
    return repr(sorted(labels.items()))
