"""MkDocs builds a site with a plugin of its entry-point group."""

from __future__ import annotations

from tests.hosts.row import Row, distribution

__all__ = ["ROW"]

PLUGIN = """
from mkdocs.config import config_options
from mkdocs.config.base import Config
from mkdocs.plugins import BasePlugin, event_priority
from tally import tally

class StampConfig(Config):
    stamp = config_options.Type(str, default="stamped")

class StampPlugin(BasePlugin[StampConfig]):
    def on_config(self, config):
        tally("on_config")
        return config

    @event_priority(50)
    def on_page_markdown(self, markdown, *, page, config, files):
        tally("on_page_markdown")
        return markdown + f"\\n\\n{self.config.stamp} {page.file.src_uri}\\n"

    def on_post_page(self, output, *, page, config):
        tally("on_post_page")
        return output
"""

ROW = Row(
    name="mkdocs",
    requires=("mkdocs==1.6.1",),
    packages=("mkdocs",),
    files={
        "mkdocs.yml": "site_name: Notes\nplugins:\n  - stamp:\n      stamp: seen\n",
        **{f"docs/page{number}.md": f"# Page {number}\n\nText *{number}*.\n" for number in range(30)},
        "docs/index.md": "# Notes\n",
        "stamp_plugin.py": PLUGIN,
        **distribution("mkdocs-stamp", "0.3", "mkdocs.plugins", "stamp = stamp_plugin:StampPlugin"),
    },
    command=("python", "-m", "mkdocs", "build"),
    plugins=frozenset({"mkdocs-stamp"}),
    host_file=(
        '[[entry_points]]\ngroup = "mkdocs.plugins"\nmethods = ["on_config", "on_page_markdown", "on_post_page"]\n'
    ),
    made="site",
    varies=(r"in [\d.]+ seconds", r"Build Date UTC : \S+ \S+", r"<lastmod>[\d-]+</lastmod>", r"\x1f\x8b[\s\S]*"),
)
