"""A no-code tool of one's own: pipelines in a file, steps looked up by name in a registry that plugins fill by a decorator."""

from __future__ import annotations

from tests.hosts.row import Row

__all__ = ["FILES", "ROW"]

FILES = {
    "flowtool/__init__.py": "",
    "flowtool/registry.py": """
STEPS = {}

def step(name):
    def register(function):
        STEPS[name] = function
        return function
    return register
""",
    "flowtool/__main__.py": """
import importlib, json, sys, threading
from pathlib import Path
from .registry import STEPS

flow = json.loads(Path(sys.argv[1]).read_text())
for plugin in flow["plugins"]:
    importlib.import_module(plugin)
if len(sys.argv) > 2:
    importlib.import_module(sys.argv[2])

def run(item):
    for step in flow["steps"]:
        try:
            item = STEPS[step["use"]](item, **step.get("with", {}))
        except ValueError as error:
            if step.get("on_error") != "skip":
                raise
            item = {**item, "error": str(error)}
    return item

for number in range(150):
    print(json.dumps(run({"number": number}), sort_keys=True))
""",
    "text_steps.py": """
from flowtool.registry import step
from tally import tally

@step("shout")
def shout(item, *, mark="!"):
    tally("shout")
    return {**item, "text": f"NUMBER {item['number']}{mark}"}

@step("check")
def check(item):
    tally("check")
    if item["number"] % 50 == 7:
        raise ValueError("unlucky")
    return item
""",
    "observe.py": """
import os
if os.environ.get("HOST_OBSERVED"):
    from flowtool.registry import STEPS
    from plugwarden import Sidecar

    sidecar = Sidecar()
    for name, function in list(STEPS.items()):
        STEPS[name] = sidecar.wrap(function, plugin=function.__module__, version="1.0", operation=name)
""",
    "flow.json": """{"plugins": ["text_steps"],
 "steps": [{"use": "shout", "with": {"mark": "?"}}, {"use": "check", "on_error": "skip"}, {"use": "shout"}]}""",
}

ROW = Row(
    name="steps",
    requires=(),
    files=FILES,
    command=("python", "-m", "flowtool", "flow.json", "observe"),
    plugins=frozenset({"text_steps"}),
)
