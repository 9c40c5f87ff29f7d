"""flake8 checks files in two processes with a checker of its entry-point group."""

from __future__ import annotations

from tests.hosts.row import Row, distribution

__all__ = ["ROW"]

CHECKER = '''
import ast
from tally import tally

class NamesChecker:
    """Complains about functions that are called f."""

    name, version = "names", "2.1"

    def __init__(self, tree, filename):
        self.tree, self.filename = tree, filename

    def run(self):
        tally("run")
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef) and node.name == "f":
                yield node.lineno, node.col_offset, "NAM001 call it by a name", type(self)
'''

ROW = Row(
    name="flake8",
    requires=("flake8==7.5.0",),
    packages=("flake8",),
    files={
        **{f"code/part{number}.py": f"def f():\n    return {number}\n\nimport os\n" for number in range(40)},
        "names_checker.py": CHECKER,
        **distribution("flake8-names", "2.1", "flake8.extension", "NAM = names_checker:NamesChecker"),
    },
    command=("python", "-m", "flake8", "--jobs", "2", "code"),
    plugins=frozenset({"flake8-names"}),
    host_file='[[entry_points]]\ngroup = "flake8.extension"\nmethods = ["run"]\n',
)
