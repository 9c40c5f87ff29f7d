"""The modules of a package, as their sources stand."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

__all__ = ["modules_of"]


def modules_of(package: ModuleType) -> Iterator[tuple[str, ast.Module]]:
    """Give every module of a package: its path below the package, and its syntax tree."""
    root = Path(str(package.__file__)).parent
    for path in sorted(root.rglob("*.py")):
        yield str(path.relative_to(root)), ast.parse(path.read_text("utf-8"))
