"""The how-tos, as a reader follows them: their files are saved, their commands run, and what they promise is counted.

A block whose first line is a comment with a file's name is that file. What the reader has already (an application around it, a
plugin that is installed) stands here.
"""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.hosts.row import Row, distribution
from tests.hosts.trial import run

__all__ = ["SECTIONS", "Section", "broken_promise"]

HOW_TO = Path(__file__).parents[2] / "docs/how-to"
ITEMS = tuple(f"/item/{number}" for number in range(20))


@dataclass(frozen=True)
class Section:
    """One section of a page."""

    page: str
    heading: str
    plugins: frozenset[str]
    expected: Mapping[str, int]
    """Calls of each operation that a receiver is told of."""
    modules: tuple[str, ...] = ()
    """What has to be installed."""
    environment: str = ""
    """The row whose environment has it, where it is not in the lock."""
    has: Mapping[str, str] = field(default_factory=dict)
    """Files that the reader has already."""
    files_of: str = ""
    """Another section of the page, whose files are meant here too."""
    driver: str = ""
    """A program that starts the command, its arguments, and asks something of it."""
    requests: tuple[str, ...] = ()
    stop: int = signal.SIGTERM
    says: str = ""
    """What the command prints, if that is told."""

    @property
    def name(self) -> str:
        """Page and heading, for a report."""
        return f"{self.page}: {self.heading}"

    def row(self) -> Row:
        """The host that a reader has then."""
        own, others = _section(self.page, self.heading), _section(self.page, self.files_of) if self.files_of else ""
        (command,) = re.findall(r"^\$ (.*)$", own if "\n$ " in own else others, re.MULTILINE)
        words = tuple(re.sub(r"\b8000\b", "{port}", word) for word in shlex.split(command))
        if self.driver:
            words = ("python", "driver.py", *words)
        return Row(
            name="till",
            requires=(),
            files={**self.has, **_files(others), **_files(own), **({"driver.py": self.driver} if self.driver else {})},
            command=words,
            plugins=self.plugins,
            requests=self.requests,
            stop=self.stop,
        )


def broken_promise(section: Section, python: Path, folder: Path) -> str:
    """Follow a section; what it does not keep of its word, or nothing. Raises `HostFailedError` when nothing comes up."""
    seen = run(section.row(), python, folder, observed=True)
    if seen.code not in {0, -section.stop, 128 + section.stop}:
        return f"exit code {seen.code}: {seen.err[-1500:]}"
    if section.says and seen.out != section.says:
        return f"it says {seen.out[-500:]!r}: {seen.err[-1500:]}"
    if seen.counted != section.expected:
        return f"counted {dict(seen.counted)}, not {dict(section.expected)}: {seen.err[-1500:]}"
    return ""


def _section(page: str, heading: str) -> str:
    text = (HOW_TO / page).read_text("utf-8")
    (found,) = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return str(found)


def _files(section: str) -> dict[str, str]:
    blocks = re.findall(r"^```(?:python|toml)\n# (\S+)\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return {str(name): str(text) for name, text in blocks}


DJANGO = {
    "manage.py": "import os, sys\nos.environ['DJANGO_SETTINGS_MODULE'] = 'site_settings'\n"
    "from django.core.management import execute_from_command_line\nexecute_from_command_line(sys.argv)\n",
    "site_settings.py": "SECRET_KEY = 'x'\nALLOWED_HOSTS = ['*']\nINSTALLED_APPS = ['shop']\nROOT_URLCONF = 'shop.urls'\n",
    "shop/__init__.py": "",
    "shop/urls.py": "from django.http import HttpResponse\nfrom django.urls import path\n"
    "def item(request, number): return HttpResponse(str(number))\nurlpatterns = [path('item/<int:number>', item)]\n",
}
ASK_CELERY = """
import subprocess, sys
worker = subprocess.Popen([sys.executable, *sys.argv[2:]], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
from jobs import double
print([result.get(timeout=60, interval=0.02) for result in [double.delay(number) for number in range(30)]])
worker.terminate()
sys.exit(worker.wait(60))
"""
ASK_MCP = """
import asyncio, os, sys
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

async def main():
    server = StdioServerParameters(command=sys.executable, args=sys.argv[2:], env=dict(os.environ))
    async with stdio_client(server, errlog=open(os.devnull, "w")) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        for city in ("Oslo", "Bern", "nowhere"):
            print((await session.call_tool("forecast", {"city": city})).content[0].text)

asyncio.run(main())
"""
ASK_FASTMCP = """
import asyncio, os, sys
from fastmcp import Client
from fastmcp.client.transports import PythonStdioTransport

async def main():
    transport = PythonStdioTransport(sys.argv[2], python_cmd=sys.executable, env=dict(os.environ), keep_alive=False)
    async with Client(transport) as client:
        for city in ("Oslo", "Bern", "nowhere"):
            print((await client.call_tool("forecast", {"city": city}, raise_on_error=False)).content[0].text)

asyncio.run(main())
"""
STAMPS = """
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

class Stamp(SphinxDirective):
    def run(self):
        return [nodes.paragraph(text="stamp")]

def read(app, docname, source):
    source[0] += "\\nRead.\\n"

def setup(app):
    app.add_directive("stamp", Stamp)
    app.connect("source-read", read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
"""
NOTEBOOK = """{"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": {"name": "python3", "display_name": "P",
"language": "python"}}, "cells": [{"id": "a", "cell_type": "code", "execution_count": null, "metadata": {}, "outputs": [],
"source": "import scores\\nprint([scores.score(n) for n in range(12)])"}]}"""

SECTIONS = (
    Section(
        "web.md",
        "Flask",
        frozenset({"shop"}),
        {"item": 20},
        modules=("flask",),
        requests=ITEMS,
        stop=signal.SIGINT,
    ),
    Section(
        "web.md",
        "Django",
        frozenset({"shop"}),
        {"item": 20},
        modules=("django",),
        has=DJANGO,
        requests=ITEMS,
        stop=signal.SIGINT,
    ),
    Section(
        "web.md",
        "FastAPI and Starlette",
        frozenset({"shop", "reports"}),
        {"item": 20, "GET": 5},
        modules=("fastapi", "uvicorn"),
        requests=ITEMS + ("/reports/",) * 5,
    ),
    Section(
        "servers.md",
        "gunicorn",
        frozenset({"shop"}),
        {"item": 20},
        modules=("gunicorn", "flask"),
        environment="gunicorn-preload",
        requests=ITEMS,
    ),
    Section(
        "servers.md",
        "uvicorn",
        frozenset({"shop"}),
        {"item": 20},
        modules=("uvicorn", "fastapi"),
        has={
            "app.py": "from fastapi import APIRouter, FastAPI\nfrom plugwarden import Sidecar\n"
            "from plugwarden.integrations.asgi import wrap_routes\nrouter = APIRouter()\n"
            "@router.get('/item/{number}')\ndef item(number: int): return number\n"
            "wrap_routes(router.routes, Sidecar(), plugin='shop', version='1')\napp = FastAPI()\napp.include_router(router)\n"
        },
        requests=ITEMS,
    ),
    Section(
        "tasks.md",
        "Celery",
        frozenset({"jobs"}),
        {"double": 30},
        modules=("celery",),
        has={"queue/.keep": "", "results/.keep": ""},
        driver=ASK_CELERY,
        says=f"{[2 * number for number in range(30)]}\n",
    ),
    Section(
        "tasks.md",
        "multiprocessing and concurrent.futures",
        frozenset({"squares"}),
        {"square": 1000},
        says="332833500\n",
    ),
    Section("agents.md", "MCP", frozenset({"weather"}), {"forecast": 3}, modules=("mcp",), driver=ASK_MCP),
    Section(
        "agents.md",
        "FastMCP",
        frozenset({"weather"}),
        {"forecast": 3},
        modules=("fastmcp",),
        environment="fastmcp",
        files_of="MCP",
        driver=ASK_FASTMCP,
    ),
    Section(
        "agents.md",
        "LangChain",
        frozenset({"weather"}),
        {"forecast": 20},
        modules=("langchain_core",),
        environment="langchain",
    ),
    Section(
        "tools.md",
        "pytest",
        frozenset({"pytest-stamp"}),
        {"pytest_runtest_setup": 2},
        modules=("pytest",),
        has={
            "pytest_stamp.py": "def pytest_runtest_setup(item): pass\n",
            "test_it.py": "def test_one(): pass\ndef test_two(): pass\n",
            "pytest.ini": "[pytest]\n",
            **distribution("pytest-stamp", "1.1", "pytest11", "stamp = pytest_stamp"),
        },
    ),
    Section(
        "tools.md",
        "Sphinx",
        frozenset({"stamps"}),
        {"source-read": 21, "directive": 20},
        modules=("sphinx",),
        environment="sphinx",
        has={
            "stamps.py": STAMPS,
            "source/conf.py": "extensions = ['stamps']\n",
            "source/index.rst": "Notes\n=====\n\n.. toctree::\n   :glob:\n\n   page*\n",
            **{f"source/page{number:02}.rst": "Page\n====\n\n.. stamp::\n" for number in range(20)},
        },
    ),
    Section(
        "tools.md",
        "MkDocs",
        frozenset({"mkdocs-stamp"}),
        {"on_page_markdown": 6},
        modules=("mkdocs",),
        environment="mkdocs",
        has={
            "mkdocs.yml": "site_name: Notes\nplugins: [stamp]\n",
            **{f"docs/{name}.md": "# Page\n" for name in ("index", "a", "b", "c", "d", "e")},
            "stamp_plugin.py": "from mkdocs.plugins import BasePlugin\nclass StampPlugin(BasePlugin):\n"
            "    def on_page_markdown(self, markdown, **_): return markdown + 'stamp'\n",
            **distribution("mkdocs-stamp", "0.3", "mkdocs.plugins", "stamp = stamp_plugin:StampPlugin"),
        },
    ),
    Section(
        "tools.md",
        "flake8",
        frozenset({"flake8-names", "flake8-lines"}),
        {"run": 3, "call": 3},
        modules=("flake8",),
        environment="flake8",
        has={
            **{f"code/part{number}.py": "NUMBER = 1\n" for number in range(3)},
            "names_checker.py": "class Checker:\n    def __init__(self, tree): pass\n    def run(self): yield from ()\n"
            "def lines(logical_line): yield from ()\n",
            **distribution("flake8-names", "2.1", "flake8.extension", "NAM = names_checker:Checker"),
            **distribution("flake8-lines", "2.1", "flake8.extension", "LIN = names_checker:lines"),
        },
    ),
    Section(
        "tools.md",
        "Jupyter kernels",
        frozenset({"scores"}),
        {"score": 12},
        modules=("nbconvert", "ipykernel"),
        environment="nbconvert",
        has={"scores.py": "def score(number): return number\n", "report.ipynb": NOTEBOOK},
    ),
    Section(
        "registries.md",
        "Entry points",
        frozenset({"reports-formats"}),
        {"csv.call": 1, "xml.call": 1},
        has={
            "formats.py": "def csv(text): return text + ','\ndef xml(text): return f'<{text}>'\n",
            **distribution(
                "reports-formats", "1.0", "reports.formats", "csv = formats:csv\nxml = formats:xml\nold = formats:gone"
            ),
        },
        says="left out: old module 'formats' has no attribute 'gone'\ncsv text,\nxml <text>\n",
    ),
    Section(
        "registries.md",
        "stevedore",
        frozenset({"csv"}),
        {"render": 1},
        modules=("stevedore",),
        has={
            "drivers.py": "class Csv:\n    def render(self, text): return text + ','\n",
            **distribution("reports-drivers", "1.0", "reports.drivers", "csv = drivers:Csv"),
        },
        says="csv text,\n",
    ),
    Section(
        "registries.md",
        "Steps of a no-code tool",
        frozenset({"text_steps"}),
        {"shout": 10, "check": 20},
        says="".join(f"LINE {number}\n" for number in range(10)),
    ),
)
"""All sections that promise something which can be run."""
