"""pytest with a plugin that is registered by its entry point, all of pytest's own hooks observed too."""

from __future__ import annotations

from tests.hosts.row import Row, distribution

__all__ = ["ROW"]

PLUGIN = """
import pytest
from tally import tally

def pytest_addoption(parser):
    tally("pytest_addoption")
    parser.addoption("--stamp", action="store_true")

def pytest_collection_modifyitems(items):
    tally("pytest_collection_modifyitems")
    items.sort(key=lambda item: item.name)

def pytest_runtest_setup(item):
    tally("pytest_runtest_setup")

@pytest.fixture
def number():
    return 7

def pytest_report_header(config):
    tally("pytest_report_header")
    return ["stamped: " + str(config.getoption("stamp"))]

def pytest_assertrepr_compare(config, op, left, right):
    tally("pytest_assertrepr_compare")
    return ["Numbers differ:", f"  {left} {op} {right}"] if isinstance(left, int) else None
"""
TESTS = """
import pytest

@pytest.mark.parametrize("index", range(60))
def test_one(index, number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert number != 8

def test_wrong(number):
    assert number == 8

@pytest.mark.xfail(strict=True)
def test_known():
    raise RuntimeError("known")

def test_says(capsys):
    print("said")
    assert capsys.readouterr().out == "said\\n"

@pytest.fixture
def broken():
    raise OSError("no such thing")

def test_never(broken):
    pass
"""

ROW = Row(
    name="pytest",
    requires=("pytest==9.2.0",),
    packages=("pytest",),
    files={
        "test_things.py": TESTS,
        "pytest_stamp.py": PLUGIN,
        "pytest.ini": "[pytest]\naddopts = -p no:cacheprovider\n",
        **distribution("pytest-stamp", "1.1", "pytest11", "stamp = pytest_stamp"),
    },
    command=("python", "-m", "pytest", "--stamp", "-v", "-rA", "--color=no"),
    plugins=frozenset({"pytest-stamp"}),
    host_file='[[pluggy]]\nproject = "pytest"\nbreaker = false\n',
    varies=(r"in [\d.]+s", r"=+"),
)
