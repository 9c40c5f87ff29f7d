"""Errors as they are sent: RFC 9457 problem documents, which may have members of their own kind (section 3.2)."""

from __future__ import annotations

from plugwarden.contract.value import value

from .answer import Answer

__all__ = ["Problem"]


@value
class Problem(Answer):
    """Why a request was not answered as it was meant."""

    type: str
    """Kind of problem as a URI; `about:blank`: the status says all."""
    title: str
    """What went wrong, the same for all problems of a kind."""
    status: int
    """Status code of the answer."""
    detail: str
    """What went wrong this time, and often what to do."""
