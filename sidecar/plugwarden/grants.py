"""What a host grants at most to a plugin that declares itself: a manifest asks, and has nothing beyond this."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from plugwarden.contract.value import value
from plugwarden.errors import ConfigurationError
from plugwarden.exception_names import is_named
from plugwarden.touches import Touches, demanded

__all__ = ["Grants"]

_LEAST = Touches()


@value
class Grants:
    """Nothing unless said. What a manifest asks beyond it is a `ConfigurationError` when it is declared."""

    read: tuple[Path | str, ...] = ()
    """Folders and files below which it may ask to read."""
    write: tuple[Path | str, ...] = ()
    """Folders and files below which it may ask to read and to change."""
    environment: tuple[str, ...] = ()
    """Variables it may ask for."""
    network: bool = False
    """True: it may ask for the network."""
    open_files: int = _LEAST.open_files
    processes: int = _LEAST.processes
    file_bytes: int = _LEAST.file_bytes
    """Up to which it may set these limits itself."""
    downstream_errors: tuple[type[Exception] | str, ...] = ()
    """Exceptions, or their dotted names, that it may say are a downstream's fault; of a type its subclasses too."""
    caller_errors: tuple[type[Exception] | str, ...] = ()
    """Exceptions that it may say are its caller's fault."""
    without_breaker: bool = False
    """True: it may ask to have no breaker."""
    require_enforced: tuple[str, ...] = ()
    """Words of `plugwarden.touches.ENFORCEABLE`: no plugin runs where the kernel does not hold it to these, whatever it asks."""

    def __post_init__(self) -> None:
        demanded("grants.require_enforced", self.require_enforced)

    def touches(self, asked: Touches | None) -> Touches:
        """What it may touch: what it asked for, with links followed. Raises `ConfigurationError` for what is not granted."""
        if asked is None:
            return Touches(network=False, require_enforced=demanded("grants.require_enforced", self.require_enforced))
        for name in sorted(set(asked.environment) - set(self.environment)):
            raise _not_granted("touches.environment", f"{name!r:.100}", f"environment=({name!r:.100},)")
        if asked.network and not self.network:
            raise _not_granted("touches.network", "true", "network=True")
        if asked.network and "network" in self.require_enforced:
            raise ConfigurationError("touches.network: true, and the host demands that network is refused and enforced")
        for name in ("open_files", "processes", "file_bytes"):
            if getattr(asked, name) > getattr(self, name):
                raise _not_granted(f"touches.{name}", str(getattr(asked, name)), f"{name}={getattr(asked, name)}")
        write = _beneath("touches.write", asked.write, self.write, "write")
        read = _beneath("touches.read", asked.read, (*self.read, *self.write), "read")
        # What lies in a folder that it may change could be made a link to elsewhere; the folder is granted as a whole.
        write = tuple(path for path in write if not any(path != other and _is_below(path, other) for other in write))
        read = tuple(path for path in read if not any(_is_below(path, other) for other in write))
        demand = demanded("touches.require_enforced", (*asked.require_enforced, *self.require_enforced))
        return replace(asked, read=read, write=write, require_enforced=demand)

    def check_errors(self, field: str, names: Iterable[type[Exception] | str]) -> None:
        """`field` begins with `downstreams`, or is of errors that are the caller's. Raises `ConfigurationError`."""
        term = "downstream_errors" if field.startswith("downstreams") else "caller_errors"
        for name in names:
            if isinstance(name, str) and not any(is_named(name, allowed) for allowed in getattr(self, term)):
                raise _not_granted(field, name, f'{term}=("{name}",)')

    def check_terms(self, field: str, terms: Mapping[str, Any]) -> None:
        """Check the terms of one operation. Raises `ConfigurationError`."""
        if terms.get("breaker") is False and not self.without_breaker:
            raise _not_granted(f"{field}.breaker", "false", "without_breaker=True")


def _beneath(field: str, asked: Iterable[Path], granted: Iterable[Path | str], term: str) -> tuple[Path, ...]:
    allowed = [Path(os.path.realpath(path)) for path in granted]
    found = []
    for path in asked:
        try:
            real = Path(os.path.realpath(path))
        except (OSError, ValueError):
            raise ConfigurationError(f"{field}: {str(path)!r:.200} is no path") from None
        if not any(_is_below(real, one) for one in allowed):
            raise _not_granted(field, str(path), f"{term}=({str(path)!r:.200},)")
        found.append(real)
    return tuple(found)


def _is_below(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


def _not_granted(field: str, asked: str, term: str) -> ConfigurationError:
    return ConfigurationError(
        f"{field}: {asked:.200} is not granted; if the plugin may have it: declare(…, grants=Grants({term:.220}))"
    )
