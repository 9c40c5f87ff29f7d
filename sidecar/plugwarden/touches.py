"""What a plugin in a worker process may touch, and which of it must be enforced for the plugin to run at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from plugwarden.contract.value import value
from plugwarden.errors import ConfigurationError
from plugwarden.given import whole
from plugwarden.nearest import hint

__all__ = ["ENFORCEABLE", "Touches", "demanded"]

ENFORCEABLE = {
    "network": "seccomp (Linux on x86_64 or aarch64) and network = false",
    "system_calls": "seccomp (Linux on x86_64 or aarch64)",
    "network_namespace": "a kernel without seccomp that lets this user make network namespaces, and network = false",
    "tcp": "Landlock of version 4 or later (Linux 6.7) and network = false",
    "file_access": "Landlock (Linux 5.13 or later, switched on)",
    "process_tree": "a kernel that lets this user make process namespaces",
    "no_new_privileges": "Linux",
    "no_capabilities": "Linux",
    "open_files": "a hard limit of open files that may be lowered",
    "processes": "a hard limit of processes that may be lowered",
    "file_size": "a hard limit of file sizes that may be lowered",
    "no_core": "a hard limit of core files that may be lowered",
    "memory": "quota.memory_bytes, and /proc",
}
"""What a worker reports that the kernel holds it to -> what that needs."""
_AGAINST_NETWORK = ("network", "network_namespace", "tcp")


@value
class Touches:
    """What a plugin in a worker process may touch. Where the kernel cannot enforce a part, the worker says so."""

    read: tuple[Path, ...] = ()
    """Folders and files it may read, besides Python's own, its own code and the system's libraries."""
    write: tuple[Path, ...] = ()
    """Folders and files it may change."""
    environment: tuple[str, ...] = ()
    """Environment variables it is given, besides PATH, HOME, LANG, LC_ALL, TZ and PYTHONPATH."""
    network: bool = True
    """False: no sockets of any kind, but for pairs that lead to nobody else (seccomp, on x86_64 and aarch64)."""
    open_files: int = 256
    """RLIMIT_NOFILE."""
    processes: int = 64
    """RLIMIT_NPROC, where the worker does not run as root."""
    file_bytes: int = 256 * 1024 * 1024
    """RLIMIT_FSIZE: the largest file it may write."""
    require_enforced: tuple[str, ...] = ()
    """Words of `ENFORCEABLE` without which the plugin is not run; all else is enforced as far as it can be."""

    def __post_init__(self) -> None:
        for name in ("open_files", "processes", "file_bytes"):
            if not whole(getattr(self, name)) >= 1:
                raise ConfigurationError(f"touches.{name}: must be 1 or more, a whole number")
        for name in self.environment:
            if name == "PLUGWARDEN_TOKEN" or (name.startswith("OTEL_EXPORTER_OTLP") and name.endswith("HEADERS")):
                raise ConfigurationError(
                    f"touches.environment: {name} holds the host's own token, which no plugin is given"
                )
        for name in demanded("touches.require_enforced", self.require_enforced):
            if self.network and name in _AGAINST_NETWORK:
                raise ConfigurationError(
                    f"touches.require_enforced: {name}: there is nothing to enforce with network = true"
                )


def demanded(field: str, given: Any) -> tuple[str, ...]:
    """Words of `ENFORCEABLE`, each once, in order. Raises `ConfigurationError` naming `field` for anything else."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigurationError(f"{field}: must be a list of texts")
    words = tuple(given)
    for word in words:
        if not isinstance(word, str):
            raise ConfigurationError(f"{field}: must be a list of texts")
        if word not in ENFORCEABLE:
            raise ConfigurationError(
                f"{field}: {word:.100} is nothing that a worker is held to; {hint(word, ENFORCEABLE)}"
            )
    return tuple(sorted(set(words)))
