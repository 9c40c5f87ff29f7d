"""What sidecars obey."""

from __future__ import annotations

from plugwarden.contract import Directive
from plugwarden.contract.value import value

from .answer import Answer

__all__ = ["Directives"]


@value
class Directives(Answer):
    """Everything in force at one revision."""

    epoch: str
    """Identity of the collector's store; in another one revisions are counted anew."""
    revision: int
    """Grows with every change."""
    directives: list[Directive]
