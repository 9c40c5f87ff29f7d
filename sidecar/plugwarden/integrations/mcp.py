"""MCP: wraps every tool of a server written with the Model Context Protocol's Python SDK.

A tool that fails answers successfully with `isError`; that counts as a failure here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from plugwarden.integrations.objects import Terms, no_terms

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

    from plugwarden.sidecar import Sidecar

__all__ = ["instrument", "is_error"]

Describe = Callable[[str], tuple[str, str]]
"""Tool name -> (plugin, version)."""


def instrument(
    server: MCPServer[Any], sidecar: Sidecar, *, describe: Describe | None = None, terms: Terms = no_terms
) -> int:
    """Wrap the tools registered so far; answers how many. The operation is the tool's name; the plugin, unless `describe`
    says otherwise, the server's."""
    name, version = server.name, str(getattr(server, "version", None) or "0")
    wrapped = 0
    for tool in server._tool_manager.list_tools():
        if hasattr(tool.fn, "__plugwarden__"):
            continue
        plugin, plugin_version = (name, version) if describe is None else describe(tool.name)
        options = {"failed_result": is_error, **terms(plugin, plugin_version, tool.name)}
        tool.fn = sidecar.wrap(tool.fn, plugin=plugin, version=plugin_version, operation=tool.name, **options)
        wrapped += 1
    return wrapped


def is_error(result: Any) -> bool:
    """Whether a tool's result says that it failed; for hosts that call tools too."""
    return bool(getattr(result, "isError", None) or getattr(result, "is_error", None))
