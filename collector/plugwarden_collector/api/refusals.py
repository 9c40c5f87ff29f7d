"""What callers of the HTTP API are told when they get no answer."""

from __future__ import annotations

__all__ = ["ApiError", "Unreachable"]


_PASSING = frozenset({0, 429, 502, 503, 504})
"""Status of refusals that end by themselves: no answer, too many, a gateway or a collector that has no room or is going."""


class ApiError(Exception):
    """The collector refused; the message says why and what to do."""

    def __init__(self, status: int, title: str, detail: str, *, retry_after: str | None = None) -> None:
        super().__init__(f"{title}: {detail}" if detail else title)
        self.status = status
        self.detail = detail
        self.retry_after_seconds = None if retry_after is None or not retry_after.isdecimal() else float(retry_after)
        """How long it asks to be left alone; None where it does not say so in seconds."""

    @property
    def passing(self) -> bool:
        """Whether the same question may be answered a little later."""
        return self.status in _PASSING

    @property
    def unanswered(self) -> bool:
        """Whether the collector is there and cannot answer: it knows no such route, is in trouble, or takes too long."""
        return self.status in {404, 405} or self.status >= 500


class Unreachable(ApiError):
    """There is no collector at the address, or it did not answer in time."""

    def __init__(self, url: str, why: str, *, slow: bool = False) -> None:
        super().__init__(0, f"no collector answers at {url}", why)
        self.slow = slow
        """Whether the question reached it: an act may be done all the same."""

    @property
    def unanswered(self) -> bool:
        """Whether the collector is there and cannot answer."""
        return self.slow
