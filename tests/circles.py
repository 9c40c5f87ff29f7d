"""Circles of modules: who imports whom, read from the text of a package, imports for type checkers and in functions included."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["circles"]


def circles(package: Path) -> list[frozenset[str]]:
    """Return the sets of modules of a package that import each other, directly or by way of others."""
    modules = {_name(package, path): path for path in package.rglob("*.py")}
    imports = {name: set(_imported(name, path, modules)) - {name} for name, path in modules.items()}
    reached = {name: _reached(name, imports) for name in imports}
    found = {
        frozenset({name, *(other for other in reached[name] if name in reached[other])})
        for name in imports
        if name in reached[name]
    }
    return sorted(found, key=sorted)


def _name(package: Path, path: Path) -> str:
    parts = (package.name, *path.relative_to(package).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(name: str, path: Path, modules: Mapping[str, Path]) -> Iterator[str]:
    within = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (item.name for item in node.names if item.name in modules)
        elif isinstance(node, ast.ImportFrom):
            above = within[: len(within) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for item in node.names:
                inner = f"{base}.{item.name}"
                yield from (found for found in [inner if inner in modules else base] if found in modules)


def _reached(start: str, imports: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [*imports[start]]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += imports[name]
    return seen
