"""Whether a collector lets us in: a change of what it says is logged once, with what to set, and never a token."""

from __future__ import annotations

import logging

from plugwarden.lifetime.fork import resting

__all__ = ["OWN_TOKEN", "Admittance"]

OWN_TOKEN = "PLUGWARDEN_TOKEN or PLUGWARDEN_TOKEN_FILE"  # noqa: S105 - the variables' names
_log = logging.getLogger(__name__)


class Admittance:
    """At one address, for telemetry or for directives. Nothing is said before it is refused for the first time."""

    __slots__ = ("_address", "_admitted", "_remedy", "_what")

    def __init__(self, what: str, address: str, remedy: str) -> None:
        """`remedy`: which variable is to be set to what."""
        self._what = what
        self._address = ascii(address.rpartition("@")[2])
        self._remedy = remedy
        self._admitted = True

    def note(self, admitted: bool) -> None:
        """Take what the last answer was."""
        if admitted is self._admitted:
            return
        self._admitted = admitted
        try:
            with resting():  # a host's own handlers may wait for something
                if admitted:
                    _log.info("%s: %s lets us in again", self._what, self._address)
                else:
                    _log.warning(
                        "%s: %s does not let us in (401 or 403): set %s", self._what, self._address, self._remedy
                    )
        except Exception:  # noqa: BLE001, S110 - a filter or handler of the host's; the request is dealt with all the same
            pass
