"""Randomness of our own: a child draws other numbers than its parent and its siblings, and the host's draws are undisturbed."""

from __future__ import annotations

import json
import subprocess
import sys

FORKS = """
import importlib, json, os, pkgutil, random, sys
import plugwarden

for module in pkgutil.walk_packages(plugwarden.__path__, "plugwarden."):
    if "__main__" not in module.name and ".site." not in module.name:
        try:
            importlib.import_module(module.name)
        except ImportError:
            pass  # what it integrates with is not installed

def generators():
    found = {}
    for name, module in sorted(sys.modules.items()):
        for word, value in list(vars(module).items()) if name.split(".")[0] == "plugwarden" else ():
            owner = getattr(value, "__self__", value)
            if isinstance(owner, random.Random):
                found[f"{name}.{word}"] = owner
    return found

def drawn():
    return {name: generator.random() for name, generator in generators().items()}

random.seed(7)
told = []
for _ in range(3):
    ours, theirs = os.pipe()
    if os.fork() == 0:
        os.write(theirs, json.dumps(drawn()).encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        told.append(json.loads(pipe.read()))
    os.wait()
told.append(drawn())
print(json.dumps({"told": told, "host": random.random()}))
"""


def test_every_generator_of_ours_draws_other_numbers_in_each_child_than_in_its_parent() -> None:
    ended = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    seen = json.loads(ended.stdout)
    names = set(seen["told"][0])
    assert "plugwarden.gate.subscription.chance" in names
    for name in names:
        assert len({draws[name] for draws in seen["told"]}) == 4, f"{name} is in step with its siblings or its parent"
    assert seen["host"] == 0.32383276483316237  # what a host gets that has seeded the module's own generator with 7
