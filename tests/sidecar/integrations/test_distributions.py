"""What is installed, read without parsing all of it: the same as the standard library says."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugwarden.integrations.distributions import UNKNOWN_VERSION, _of_package, _owners, version_of
from plugwarden.integrations.entry_points import _installed


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """What is installed is read anew, here and by who comes after."""
    kept = (_owners, _of_package, _installed)
    for one in kept:
        one.cache_clear()
    yield
    for one in kept:
        one.cache_clear()


def install(site: Path, name: str, version: str = "1.0", **files: str) -> None:
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    for file, text in files.items():
        (folder / file.replace("_txt", ".txt")).write_text(text)


def test_who_owns_a_package_is_what_the_standard_library_says() -> None:
    ours = {top: {str(one.name) for one in found} for top, found in _owners().items()}
    assert ours == {top: set(found) for top, found in importlib.metadata.packages_distributions().items()}


def test_a_package_is_found_by_what_its_distribution_declares_or_holds(site: Path) -> None:
    install(site, "declares", "2.0", top_level_txt="declared_package\nother\n")
    install(
        site,
        "holds",
        "3.0",
        RECORD="held_package/deep/module.py,sha256=x,1\nheld_module.py,,\nholds-3.0.dist-info/METADATA,,\n",
    )
    assert version_of("declared_package.inner") == "2.0"
    assert version_of("held_package.deep") == version_of("held_module") == "3.0"
    assert version_of("nobodys_package") == UNKNOWN_VERSION


def test_a_damaged_distribution_keeps_no_other_from_being_known(site: Path) -> None:
    install(site, "damaged", RECORD="x")
    (site / "damaged-1.0.dist-info" / "RECORD").write_bytes(b"\xff\xfe/\xff.py,,\n")
    (site / "damaged-1.0.dist-info" / "entry_points.txt").write_bytes(b"[perf.plugins]\nno equals sign \xff\n")
    install(
        site, "whole", "4.0", RECORD="whole_package/a.py,,\n", entry_points_txt="[perf.plugins]\na = whole_package:a\n"
    )
    assert version_of("whole_package") == "4.0"
    assert _installed("perf.plugins", tuple(sys.path)) == {("a", "whole_package:a"): ("whole", "4.0")}


def test_the_points_of_a_group_are_those_of_the_standard_library(site: Path) -> None:
    install(
        site, "one", "1.0", entry_points_txt="[perf.plugins]\na = one:a\nb = one:b\n[perf.plugins.more]\nc = one:c\n"
    )
    install(site, "two", "2.0", entry_points_txt="[console_scripts]\nperf.plugins = two:run\n")
    later = site / "later"
    later.mkdir()
    install(later, "one", "0.9", entry_points_txt="[perf.plugins]\na = one:old\n")
    sys.path.append(str(later))
    try:
        found = _installed("perf.plugins", tuple(sys.path))
        assert set(found) == {(one.name, one.value) for one in importlib.metadata.entry_points(group="perf.plugins")}
    finally:
        sys.path.remove(str(later))
    assert found == {("a", "one:a"): ("one", "1.0"), ("b", "one:b"): ("one", "1.0")}
