"""A bill of materials in CycloneDX 1.6: every package of the lock, with its hashes, licence and what it needs.

The same lock and the same installed packages give the same bytes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from supply.lock import LOCK, pinned

__all__ = ["bill", "written"]

OURS = ("plugwarden", "plugwarden-collector", "plugwarden-dashboards", "plugwarden-demo")


def bill(lock: Path = LOCK) -> Bom:
    """The bill. Licences and needs are those that the packages installed here declare."""
    root = Component(
        name="plugwarden-workspace",
        version=_version(OURS[0]),
        type=ComponentType.APPLICATION,
        bom_ref="plugwarden-workspace",
    )
    # A package may be locked in two versions, for two versions of Python: both are in the bill.
    found = [_component(item.name, item.version, item.sha256) for item in pinned(lock)]
    found += [_component(name, _version(name), ()) for name in OURS]
    made = Bom(components=found)
    made.metadata.component = root
    made.metadata.timestamp = _made_at(lock)
    for component in found:
        needs = _needs(component.name)
        made.register_dependency(component, [other for other in found if other.name in needs])
    made.register_dependency(root, [component for component in found if component.name in OURS])
    made.serial_number = uuid.uuid5(
        uuid.NAMESPACE_URL, "\n".join(f"{item.name}=={item.version}" for item in sorted(found))
    )
    return made


def written(made: Bom) -> str:
    """As JSON."""
    return str(JsonV1Dot6(made).output_as_string(indent=2)) + "\n"


def _component(name: str, version: str, sha256: tuple[str, ...]) -> Component:
    reference = PackageURL("pypi", name=name, version=version)
    return Component(
        name=name, version=version, type=ComponentType.LIBRARY, purl=reference, bom_ref=str(reference),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=item) for item in sha256], licenses=_licences(name),
    )  # fmt: skip


def _licences(name: str) -> list[License]:
    try:
        told: Any = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return []  # locked for another platform
    text = told.get("License-Expression") or told.get("License") or ""
    if not text or "\n" in text.strip() or len(text) > 100:  # some put the whole text there
        text = next(
            (line.rpartition(" :: ")[2] for line in told.get_all("Classifier") or () if line.startswith("License ::")),
            "",
        )
    return [LicenseFactory().make_from_string(text.strip())] if text.strip() else []


def _needs(name: str) -> set[str]:
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return set()
    needs = [Requirement(line) for line in lines]
    return {
        canonicalize_name(need.name) for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})
    }


def _version(name: str) -> str:
    return metadata.version(name)


def _made_at(lock: Path) -> datetime:
    """When the lock was last changed, so that the bill does not change without it."""
    seconds = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not seconds:
        asked = ["git", "log", "-1", "--format=%ct", "--", lock.name]
        seconds = subprocess.run(asked, cwd=lock.parent, capture_output=True, text=True, check=False).stdout.strip()
    return datetime.fromtimestamp(int(seconds or 0), UTC)


def main() -> None:
    """Write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="where to write it")
    path = parser.parse_args().file
    made = bill()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(written(made))
    print(f"{path}: {len(made.components)} packages", file=sys.stderr)


if __name__ == "__main__":
    main()
