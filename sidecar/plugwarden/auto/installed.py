"""A host file from what is installed: the entry-point groups that somebody's plugins stand in."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Mapping

__all__ = ["host_file", "plugin_groups"]

TOOLS = (
    "console_scripts", "gui_scripts", "distutils.", "setuptools.", "egg_info.", "opentelemetry_", "hatch", "babel.", "pygments.",
    "keyring.", "pip.", "wheel", "flit.", "poetry.", "sqlalchemy.", "array_api", "numba_extensions", "mypy.", "pyarrow", "fsspec.",
    "virtualenv.", "jsonschema.", "prometheus_client.", "xarray.", "numpy_", "zest.", "paste.",
    "pkg_config", "pyinstaller", "pandas_plotting", "stevedore.",
)  # fmt: skip
"""Groups whose entry points are programs, or parts of tools, and not plugins that a host calls; each begins so."""

MANAGERS = {"datasette": "datasette", "kedro.hooks": "kedro", "llm": "llm", "pytest11": "pytest", "tox": "tox"}
"""Groups that a well-known host loads with pluggy -> what it calls its manager: there the hooks are what is wrapped."""


def plugin_groups(distributions: Iterable[importlib.metadata.Distribution] | None = None) -> Mapping[str, list[str]]:
    """Group -> "name (distribution version)" of each of its entry points, both sorted; those of tools are left out."""
    found: dict[str, set[str]] = {}
    for distribution in importlib.metadata.distributions() if distributions is None else distributions:
        for point in distribution.entry_points:
            if not point.group.startswith(TOOLS):
                about = f"{point.name} ({distribution.name} {distribution.version})"
                found.setdefault(point.group, set()).add(about)
    return {group: sorted(points) for group, points in sorted(found.items())}


def host_file(groups: Mapping[str, list[str]], service: str) -> str:
    """The text of a host file that wraps the plugins of these groups."""
    lines = [
        "# What of this host is wrapped by `plugwarden run -- COMMAND`; docs/how-to/run.md says what else can stand here.",
        f"service = {_quoted(service)}",
    ]
    if not groups:
        lines += ["", "# No entry points of plugins are installed here. A callable is wrapped by where it stands:"]
        lines += ["# [[callable]]", '# target = "package.module:function"', '# plugin = "name"']
    for group, points in groups.items():
        lines += ["", *(f"# {_plain(point)}" for point in points)]
        if group in MANAGERS:
            lines += ["[[pluggy]]", f"project = {_quoted(MANAGERS[group])}", "# timeout = 5.0"]
            continue
        lines += ["[[entry_points]]", f"group = {_quoted(group)}"]
        lines += [
            '# methods = ["run"]    # of classes and objects; functions are wrapped themselves',
            "# timeout = 5.0",
        ]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Without what would end a comment; names come from whatever is installed."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _quoted(text: str) -> str:
    return '"' + _plain(text).replace("\\", "\\\\").replace('"', '\\"') + '"'
