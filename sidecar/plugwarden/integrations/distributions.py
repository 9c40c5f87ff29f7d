"""What is installed: which distribution a module belongs to, and its version."""

from __future__ import annotations

import functools
import importlib.metadata
import re
from typing import Any

__all__ = ["UNKNOWN_VERSION", "name_and_version", "of_module", "version_of"]

UNKNOWN_VERSION = "0"
"""Where there is no distribution, or one that does not say."""
_TOP = re.compile(r'^"?([^,/"\n]+?)(?:/[^,\n]*)?\.py"?,', re.MULTILINE)
"""The first part of the path of each Python file of a RECORD."""


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
    try:
        return name_and_version(importlib.metadata.distribution(top), top)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        owners = _owners().get(top, ())
        return name_and_version(owners[0], top) if owners else None


@functools.lru_cache(maxsize=1)
def _owners() -> dict[str, list[importlib.metadata.Distribution]]:
    """Top-level package -> distributions; reads the whole environment, so it is asked once a process.

    As `importlib.metadata.packages_distributions`, which makes a path of every file and parses the metadata of every distribution.
    """
    found: dict[str, list[importlib.metadata.Distribution]] = {}
    for distribution in importlib.metadata.distributions():
        try:
            tops = _tops(distribution)
        except Exception:  # noqa: BLE001, S112 - one damaged distribution must not take the others' versions
            continue
        for top in tops:
            found.setdefault(top, []).append(distribution)
    return found


def _tops(distribution: importlib.metadata.Distribution) -> set[str]:
    """The top-level packages and modules of a distribution: those that it declares, else those of its files."""
    declared = distribution.read_text("top_level.txt")
    if declared:
        return set(declared.split())
    record = distribution.read_text("RECORD")
    return (
        set(_TOP.findall(record))
        if record
        else {file.parts[0].removesuffix(".py") for file in distribution.files or ()}
    )
