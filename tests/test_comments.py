"""Docstrings say one thing each, in a sentence whose subject is named (CONTRIBUTING, "Comments")."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ["sidecar/plugwarden", "collector/plugwarden_collector", "dashboards/plugwarden_dashboards"]
FRAGMENTS = ("...", "…", "Of ", "And ", "Or ", "Likewise", "The same")
"""Beginnings of docstrings that are no sentences without the line above."""


def said(body: list[ast.stmt]) -> Iterator[tuple[ast.expr, str]]:
    """Targets of assignments that have a docstring below them, in a module and its classes."""
    for node, below in zip(body, [*body[1:], None], strict=False):
        if isinstance(node, ast.ClassDef):
            yield from said(node.body)
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(below, ast.Expr):
            continue
        if isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            yield node.targets[0] if isinstance(node, ast.Assign) else node.target, below.value.value


@pytest.mark.parametrize("package", PACKAGES)
def test_a_docstring_of_a_constant_is_a_sentence_of_its_own(package: str) -> None:
    torn = []
    for file in sorted((ROOT / package).rglob("*.py")):
        for target, text in said(ast.parse(file.read_text("utf-8")).body):
            shared = isinstance(target, ast.Tuple)
            if shared or text.startswith(FRAGMENTS) or text.rstrip().endswith((" ...", "…")):
                torn.append(f"{file.relative_to(ROOT)}: {ast.unparse(target)}: {text:.60}")
    assert torn == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_docstring_of_a_function_says_what_it_does_or_returns(package: str) -> None:
    torn = []
    for file in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node) or ""
                if text.startswith(("...", "…", "Of ", "Into ", "Likewise", "Answers ")):
                    torn.append(f"{file.relative_to(ROOT)}: {node.name}: {text:.60}")
    assert torn == []
