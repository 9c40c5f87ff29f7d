"""The sidecar's modules: none imports another in a circle, also not for type checkers alone."""

from __future__ import annotations

from pathlib import Path

import plugwarden

from tests.circles import circles

INVOCATION = {"plugwarden.interruption", "plugwarden.invocation", "plugwarden.operation"}
"""An invocation names its operation, for type checkers, and an operation makes invocations."""


def test_no_module_imports_another_in_a_circle() -> None:
    found = [one for one in circles(Path(plugwarden.__file__).parent) if not one <= INVOCATION]
    assert not found


def test_a_circle_is_seen_through_packages_functions_and_type_checking(tmp_path: Path) -> None:
    package = tmp_path / "made"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "inner" / "__init__.py").write_text("from .one import a\n")
    (package / "inner" / "one.py").write_text("def a():\n    from ..two import b\n")
    (package / "two.py").write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from made import inner\n")
    (package / "three.py").write_text("import made.two\nfrom made.inner import one\n")
    assert circles(package) == [{"made.inner", "made.inner.one", "made.two"}]
