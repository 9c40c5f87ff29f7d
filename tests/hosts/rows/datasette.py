"""Datasette with a plugin from a folder of plugins; ended by SIGTERM."""

from __future__ import annotations

from tests.hosts.row import Row

__all__ = ["ROW"]

PLUGIN = """
from datasette import hookimpl, Response
from tally import tally

@hookimpl
def extra_template_vars(datasette):
    tally("extra_template_vars")
    async def inner():
        return {"stamp": "seen"}
    return inner

@hookimpl
def render_cell(value, column):
    tally("render_cell")
    return f"<{value}>" if column == "loud" else None

@hookimpl
def register_routes():
    tally("register_routes")
    async def hello(request):
        return Response.text("hello " + request.args.get("name", ""))
    return [(r"^/-/hello$", hello)]
"""

ROW = Row(
    name="datasette",
    requires=("datasette==0.65.5",),
    packages=("datasette",),
    files={"plugins/stamp_plugin.py": PLUGIN, "settings.json": "{}"},
    command=(
        "python", "-m", "datasette", "serve", "--memory", "--plugins-dir", "plugins", "--port", "{port}",
        "--secret", "x", "--setting", "num_sql_threads", "1",
    ),
    plugins=frozenset({"stamp_plugin.py"}),
    host_file='[[pluggy]]\nproject = "datasette"\nbreaker = false\n',
    requests=(
        *("/", "/_memory", "/_memory?sql=select+1+as+loud,2+as+quiet", "/-/hello?name=Ada") * 20,
        "/-/plugins.json",
        "/_memory.json?sql=select+2",
    ),
    varies=(r"process \[\d+\]", r"127\.0\.0\.1:\d+", r'"query_ms": [\d.]+', r"[\d.]+ms", r'"took_ms": [\d.]+'),
)  # fmt: skip
