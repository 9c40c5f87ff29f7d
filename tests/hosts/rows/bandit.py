"""Bandit, which loads its checks with stevedore, with one more check in its entry-point group."""

from __future__ import annotations

from tests.hosts.row import Row, distribution

__all__ = ["ROW"]

CHECK = """
import bandit
from bandit.core import test_properties
from tally import tally

@test_properties.checks("Call")
@test_properties.test_id("X901")
def prints(context):
    tally("call")
    if context.call_function_name == "print":
        return bandit.Issue(severity=bandit.LOW, confidence=bandit.HIGH, text="It prints.", lineno=context.node.lineno)
"""

ROW = Row(
    name="bandit",
    requires=("bandit==1.9.4",),
    packages=("bandit",),
    files={
        **{
            f"code/part{number}.py": f"import subprocess\nprint({number})\nsubprocess.call('x', shell=True)\nexec('1')\n"
            for number in range(40)
        },
        "no_prints.py": CHECK,
        **distribution("bandit-prints", "0.9", "bandit.plugins", "no_prints = no_prints:prints"),
    },
    command=("python", "-m", "bandit", "-r", "code", "-f", "txt"),
    plugins=frozenset({"bandit-prints"}),
    host_file='[[entry_points]]\ngroup = "bandit.plugins"\n',
    varies=(r"Run started:.*",),
)
