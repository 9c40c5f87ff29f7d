"""The house stands as CONTRIBUTING and the architecture's page say: one place knows the engine, and no module leads back to itself."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.circles import circles

ROOT = Path(__file__).parents[1]
COLLECTOR = ROOT / "collector/plugwarden_collector"
STORE = COLLECTOR / "store"
ENGINE = re.compile(r"\bduckdb\b")
NAMED = re.compile(r"\bstatement\(")
CONNECTED = re.compile(r"\bconnection: Any\b|\blambda connection\b|\bconnection\.execute\b")
SQL = re.compile(
    r"\b(select\s+\S.*\sfrom\s+\w|insert\s+(or replace\s+)?into\s|update\s+\w+\s+set\s|delete\s+from\s|create\s+(table|view)\s)",
    re.DOTALL,
)


def outside() -> dict[str, ast.Module]:
    """Modules of the collector that are not the store's, by their paths."""
    files = [file for file in COLLECTOR.rglob("*.py") if STORE not in file.parents]
    return {str(file.relative_to(COLLECTOR)): ast.parse(file.read_text("utf-8")) for file in sorted(files)}


def imported(module: ast.Module) -> set[str]:
    """Names that a module imports, at its top or later, in full."""
    found = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def texts(module: ast.Module) -> list[str]:
    """Strings of a module that are no docstrings."""
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    said = {
        node.value
        for holder in ast.walk(module)
        if isinstance(holder, holders)
        for node in holder.body
        if isinstance(node, ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(module)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in said
    ]


def test_nobody_but_the_store_imports_the_engine_or_what_stands_on_it() -> None:
    found = {path for path, module in outside().items() if any(ENGINE.search(name) for name in imported(module))}
    assert found == set()


def test_nobody_but_the_store_names_a_statement_or_holds_a_connection() -> None:
    found = {
        path
        for path, module in outside().items()
        if NAMED.search(text := ast.unparse(module)) or CONNECTED.search(text)
    }
    assert found == set()


def test_nobody_but_the_store_writes_sql() -> None:
    found = {(path, text) for path, module in outside().items() for text in texts(module) if SQL.search(text)}
    assert found == set()


def test_what_a_port_says_names_no_engine() -> None:
    for file in STORE.glob("*.py"):
        if file.name not in ("__init__.py", "backup.py", "rescue.py"):  # the doors of the engines
            assert not ENGINE.search(" ".join(imported(ast.parse(file.read_text("utf-8"))))), file.name


@pytest.mark.parametrize("package", ["collector/plugwarden_collector", "dashboards/plugwarden_dashboards"])
def test_no_module_leads_back_to_itself(package: str) -> None:
    assert circles(ROOT / package) == []


def test_the_contract_about_the_engine_covers_everything_but_the_store() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (contract,) = [item for item in settings["contracts"] if item["name"] == "Only the store knows its engine"]
    parts = {
        f"plugwarden_collector.{path.stem}"
        for path in COLLECTOR.iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").exists()) and path.name not in ("__init__.py", "store")
    }
    assert set(contract["source_modules"]) == parts
    assert set(contract["forbidden_modules"]) == {"duckdb", "plugwarden_collector.store.duckdb"}


def undocumented(path: Path) -> list[str]:
    """Attributes of the dataclasses of a module under which no docstring stands."""
    found = []
    for holder in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(holder, ast.ClassDef) and "dataclass" in " ".join(map(ast.unparse, holder.decorator_list)):
            for node, below in zip(holder.body, [*holder.body[1:], None], strict=True):
                if isinstance(node, ast.AnnAssign) and not isinstance(below, ast.Expr):
                    found.append(f"{holder.name}.{ast.unparse(node.target)}")
    return found


@pytest.mark.parametrize("name", ["cycle/facts.py", "cycle/replay.py", "audit/attachment.py"])
def test_each_part_of_what_decisions_rest_on_says_what_it_is(name: str) -> None:
    assert undocumented(COLLECTOR / name) == []
