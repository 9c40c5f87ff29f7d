"""How often one may try to sign in: an allowance for each address, and one for all together. Takes the time."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Allowance", "Attempts"]


@dataclass(frozen=True, slots=True)
class Allowance:
    """Attempts at once, and how soon one more comes back."""

    most: float
    """Attempts at once."""
    seconds: float
    """Seconds until one more is allowed."""


OF_ONE = Allowance(5, 20.0)
"""Attempts of an address; five are the mistakes of a person who pastes."""
OF_ALL = Allowance(60, 1.0)
"""Attempts of all addresses: what the collector is asked, and writes into its access log, because of strangers."""
MOST_ADDRESSES = 4096
"""Addresses that are remembered. Forgotten ones begin anew, within what all together may."""


class Attempts:
    """Failed attempts, by address. For one thread, that of the server's loop."""

    def __init__(self) -> None:
        self._all = (OF_ALL.most, 0.0)
        self._by_address: dict[str, tuple[float, float]] = {}

    def take(self, address: str, at: float) -> float:
        """Return 0 and take an attempt, or return the seconds until there is one again."""
        own, whole = self._own(address, at), _grown(self._all, OF_ALL, at)
        wait = max((1 - own) * OF_ONE.seconds, (1 - whole) * OF_ALL.seconds)
        if wait > 0:
            return wait
        self._keep(address, own - 1, at)
        self._all = (whole - 1, at)
        return 0.0

    def give_back(self, address: str, at: float) -> None:
        """Give an attempt back that did not fail."""
        self._keep(address, min(OF_ONE.most, self._own(address, at) + 1), at)
        self._all = (min(OF_ALL.most, _grown(self._all, OF_ALL, at) + 1), at)

    def _own(self, address: str, at: float) -> float:
        return _grown(self._by_address.get(address, (OF_ONE.most, at)), OF_ONE, at)

    def _keep(self, address: str, left: float, at: float) -> None:
        self._by_address.pop(address, None)
        self._by_address[address] = (left, at)
        if len(self._by_address) > MOST_ADDRESSES:
            del self._by_address[next(iter(self._by_address))]


def _grown(left: tuple[float, float], allowance: Allowance, at: float) -> float:
    amount, then = left
    return min(allowance.most, amount + max(0.0, at - then) / allowance.seconds)
