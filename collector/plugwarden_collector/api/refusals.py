"""What callers of the HTTP API are told when they get no answer."""

from __future__ import annotations

__all__ = ["ApiError", "Unreachable"]


class ApiError(Exception):
    """The collector refused; the message says why and what to do."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(f"{title}: {detail}" if detail else title)
        self.status = status
        self.detail = detail


class Unreachable(ApiError):
    """There is no collector at the address."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(0, f"no collector answers at {url}", why)
