"""llm with a plugin that brings a model and a tool of its own: no network."""

from __future__ import annotations

from tests.hosts.row import Row, distribution

__all__ = ["ROW"]

PLUGIN = """
import llm
from tally import tally

class Echo(llm.Model):
    model_id = "echo"

    def execute(self, prompt, stream, response, conversation):
        tally("execute")
        yield "said: "
        yield prompt.prompt

@llm.hookimpl
def register_models(register):
    tally("register_models")
    register(Echo())

@llm.hookimpl
def register_commands(cli):
    tally("register_commands")
    @cli.command(name="twice")
    def twice():
        print("twice")
"""
HOST = """
from click.testing import CliRunner
from llm.cli import cli

for words in (["models", "list"], ["-m", "echo", "hello", "--no-log"], ["twice"], ["plugins"]) * 5:
    done = CliRunner().invoke(cli, words)
    print(words, done.exit_code, done.output)
"""

ROW = Row(
    name="llm",
    requires=("llm==0.36",),
    packages=("llm",),
    files={
        "host.py": HOST,
        "llm_echo.py": PLUGIN,
        **distribution("llm-echo", "0.2", "llm", "echo = llm_echo"),
    },
    command=("python", "host.py"),
    plugins=frozenset({"llm-echo", "llm_echo"}),
    host_file='[[pluggy]]\nproject = "llm"\n[[callable]]\ntarget = "llm_echo:Echo.execute"\n',
)
