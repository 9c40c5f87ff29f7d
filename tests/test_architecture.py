"""The architecture's page is true: its paths exist, each file of a walk leads to the next, and every package has its line."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/explanation/architecture.md").read_text("utf-8")
ROOTS = {
    "plugwarden": ROOT / "sidecar/plugwarden",
    "plugwarden_collector": ROOT / "collector/plugwarden_collector",
    "plugwarden_dashboards": ROOT / "dashboards/plugwarden_dashboards",
}
WALKS = ["From one call to a refused call in another host", "From a page in the browser to the rows"]


class Stop(NamedTuple):
    """A file of a walk."""

    path: str
    http: str | None
    starter: str | None

    @property
    def text(self) -> str:
        return (ROOT / self.path).read_text("utf-8")


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def stops(title: str) -> list[Stop]:
    """The files of a walk, in order."""
    found = []
    for path, link, said in re.findall(r"^\d+\. \[`([^`]+)`\]\(([^)]+)\): (.*)$", section(title), re.MULTILINE):
        assert link == f"../../{path}"
        http = re.search(r"over HTTP, `([^`]+)`", said)
        starter = re.search(r"started by \[`[^`]+`\]\(\.\./\.\./([^)]+)\)", said)
        found.append(Stop(path, http and http[1], starter and starter[1]))
    return found


@cache
def modules() -> dict[str, str]:
    """Paths of all modules, by their names."""
    found = {}
    for name, folder in ROOTS.items():
        for file in folder.rglob("*.py"):
            parts = [name, *file.relative_to(folder).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = str(file.relative_to(ROOT))
    return found


@cache
def imported(path: str) -> frozenset[str]:
    """Files that a file imports, at its top or later, and what the packages among them re-export."""
    name = next(name for name, file in modules().items() if file == path)
    package = name.split(".") if path.endswith("__init__.py") else name.split(".")[:-1]
    names = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            base = ".".join(part for part in (above, node.module) if part)
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    files = {modules()[name] for name in names if name in modules()}
    for file in [file for file in files if file.endswith("__init__.py") and file != path]:
        if Path(file).parent.name not in ROOTS:  # that of a whole distribution leads everywhere
            files |= imported(file)
    return frozenset(files)


def leads_to(before: list[Stop], stop: Stop) -> bool:
    """Whether a file of those before imports this one, names it, or speaks to it over HTTP; or the one that is said to starts it."""
    if stop.starter:
        return starts(stop.starter, stop.path)
    if stop.http:
        return stop.http in stop.text and any(stop.http in earlier.text for earlier in before)
    named = {".py": Path(stop.path).name, ".sql": Path(stop.path).stem}[Path(stop.path).suffix]
    return any(
        stop.path in imported(earlier.path) or f'"{named}"' in earlier.text
        for earlier in before
        if earlier.path.endswith(".py")
    )


def starts(starter: str, path: str) -> bool:
    """Whether a file imports another by name when it is time, or runs its distribution as a process."""
    text = (ROOT / starter).read_text("utf-8")
    distribution = next(name for name, folder in ROOTS.items() if (ROOT / path).is_relative_to(folder))
    module = next(name for name, file in modules().items() if file == path)
    main = imported(str((ROOTS[distribution] / "__main__.py").relative_to(ROOT)))
    return f'"{module}"' in text or path in imported(starter) or (f'"{distribution}"' in text and path in main)


@pytest.mark.parametrize("title", WALKS)
def test_a_walk_names_files_that_are_there_and_none_twice(title: str) -> None:
    paths = [stop.path for stop in stops(title)]
    assert len(paths) >= 15
    assert len(paths) == len(re.findall(r"^\d+\. ", section(title), re.MULTILINE)), "a line of the walk names no file"
    assert [path for path in paths if not (ROOT / path).is_file()] == []
    assert sorted(set(paths)) == sorted(paths)


@pytest.mark.parametrize("title", WALKS)
def test_each_file_of_a_walk_is_led_to_by_one_before_it(title: str) -> None:
    walk = stops(title)
    lost = [
        stop.path for number, stop in enumerate(walk) if (number or stop.starter) and not leads_to(walk[:number], stop)
    ]
    assert lost == []


def test_every_package_has_its_line_and_every_line_its_package() -> None:
    said = re.findall(r"^\| \[`([^`]+)`\]\(\.\./\.\./([^)]+)\) \| \S", section("Where do I put …"), re.MULTILINE)
    assert [name for name, link in said if name != link] == []
    packages = {str(file.parent.relative_to(ROOT)) for folder in ROOTS.values() for file in folder.rglob("__init__.py")}
    assert sorted(name for name, _ in said) == sorted(packages)


def test_every_arrow_is_a_contract_that_is_checked() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    contracts = {contract["name"] for contract in settings["contracts"]}
    said = re.findall(r"\| ([^|]+) \|$", section("Arrows that must not exist"), re.MULTILINE)[1:]
    assert len(said) >= 8
    assert {*said} - contracts - {"---"} == set()
