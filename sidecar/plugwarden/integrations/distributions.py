"""What is installed: which distribution a module belongs to, and its version."""

from __future__ import annotations

import functools
import importlib.metadata
from typing import Any

__all__ = ["UNKNOWN_VERSION", "name_and_version", "of_module", "version_of"]

UNKNOWN_VERSION = "0"
"""Where there is no distribution, or one that does not say."""


def of_module(module: str) -> tuple[str, str] | None:
    """Name and version of the distribution that a module is part of; None where it is part of none.

    The names need not be alike: `_pytest.terminal` is part of `pytest`, `yaml` of `PyYAML`.
    """
    top = module.partition(".")[0]
    return _of_package(top) if top else None


def version_of(module: str) -> str:
    """The version of the distribution that a module is part of, or `UNKNOWN_VERSION`."""
    found = of_module(module)
    return UNKNOWN_VERSION if found is None else found[1]


def name_and_version(distribution: Any, otherwise: str) -> tuple[str, str]:
    """What a distribution says of itself. Metadata may be broken: without a name it is `otherwise`, without a version `UNKNOWN_VERSION`."""
    told = []
    for attribute in ("name", "version"):
        try:
            told.append(getattr(distribution, attribute, None))
        except Exception:  # noqa: BLE001 - a damaged .dist-info must not keep a plugin out
            told.append(None)
    name, version = told
    return str(name or otherwise), str(version or UNKNOWN_VERSION)


@functools.lru_cache(maxsize=1_024)
def _of_package(top: str) -> tuple[str, str] | None:
    for name in (top, *_owners().get(top, ())):
        try:
            return name_and_version(importlib.metadata.distribution(name), name)
        except (importlib.metadata.PackageNotFoundError, ValueError):
            continue
    return None


@functools.lru_cache(maxsize=1)
def _owners() -> dict[str, list[str]]:
    """Top-level package -> distributions; reads the whole environment, so it is asked once a process."""
    try:
        return dict(importlib.metadata.packages_distributions())
    except Exception:  # noqa: BLE001 - one damaged distribution must not take the others' versions
        return {}
