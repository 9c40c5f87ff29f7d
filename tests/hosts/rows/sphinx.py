"""Sphinx builds a site in two processes (`-j 2`) with an extension: a directive, a role and handlers of events."""

from __future__ import annotations

from tests.hosts.row import Row

__all__ = ["ROW"]

EXTENSION = """
from docutils import nodes
from sphinx.util.docutils import SphinxDirective
from tally import tally

class Stamp(SphinxDirective):
    has_content = True

    def run(self):
        tally("directive")
        return [nodes.paragraph(text="stamp: " + " ".join(self.content))]

def shout(name, rawtext, text, lineno, inliner, options=None, content=None):
    tally("role")
    return [nodes.strong(text=text.upper())], []

def read(app, docname, source):
    tally("source-read")
    source[0] += "\\nRead.\\n"

def resolved(app, doctree, docname):
    tally("doctree-resolved")

def setup(app):
    app.add_directive("stamp", Stamp)
    app.add_role("shout", shout)
    app.connect("source-read", read)
    app.connect("doctree-resolved", resolved)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
"""
PAGE = "Page {number}\n=======\n\n.. stamp::\n\n   number {number}\n\nSome :shout:`loud {number}` text.\n"
CALLABLES = {"Stamp.run": "directive", "shout": "role", "read": "source-read", "resolved": "doctree-resolved"}

ROW = Row(
    name="sphinx",
    requires=("sphinx==9.0.4",),
    packages=("sphinx",),
    files={
        "source/conf.py": "project = 'Notes'\nextensions = ['stamps']\nhtml_theme = 'basic'\nhtml_last_updated_fmt = None\n",
        "source/index.rst": "Notes\n=====\n\n.. toctree::\n   :glob:\n\n   page*\n",
        **{f"source/page{number:02}.rst": PAGE.format(number=number) for number in range(40)},
        "stamps.py": EXTENSION,
    },
    command=("python", "-m", "sphinx", "-j", "2", "-b", "html", "-q", "source", "made"),
    plugins=frozenset({"stamps"}),
    host_file="".join(
        f'[[callable]]\ntarget = "stamps:{target}"\noperation = "{operation}"\n'
        for target, operation in CALLABLES.items()
    ),
    made="made",
    varies=(r"\x80[\s\S]*",),  # pickled doctrees hold times
)
