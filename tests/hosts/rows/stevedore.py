"""A host that loads its drivers with stevedore, as OpenStack's services do."""

from __future__ import annotations

from tests.hosts.row import Row, distribution

__all__ = ["ROW"]

HOST = """
from stevedore import DriverManager, ExtensionManager, HookManager, NamedExtensionManager

everything = ExtensionManager("notes.formats", invoke_on_load=True)
print(sorted(everything.names()))
for number in range(100):
    for name, text in sorted(everything.map(lambda extension, n: (extension.name, extension.obj.render(n)), number)):
        print(name, text)
print(DriverManager("notes.formats", "json", invoke_on_load=True).driver.render(7))
named = NamedExtensionManager("notes.formats", ["csv", "missing"], invoke_on_load=True, warn_on_missing_entrypoint=False)
print(named["csv"].obj.render(8), named["csv"].plugin.__name__, named["csv"].entry_point_target)
try:
    everything["csv"].obj.render(-1)
except ValueError as error:
    print("refused:", error)
"""
FORMATS = """
import json
from tally import tally

class Csv:
    def render(self, number):
        tally("csv.render")
        if number < 0:
            raise ValueError(number)
        return f"{number},{number}"

class Json:
    def render(self, number):
        tally("json.render")
        return json.dumps({"number": number})
"""

ROW = Row(
    name="stevedore",
    requires=("stevedore==5.10.0",),
    packages=("stevedore",),
    files={
        "host.py": HOST,
        "note_formats.py": FORMATS,
        **distribution("note-formats", "1.2", "notes.formats", "csv = note_formats:Csv\njson = note_formats:Json"),
    },
    command=("python", "host.py"),
    plugins=frozenset({"note-formats"}),
    host_file='[[entry_points]]\ngroup = "notes.formats"\nmethods = ["render"]\nbreaker = false\n',
)
