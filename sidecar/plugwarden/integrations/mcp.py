"""MCP: observes the tools of a server written with the Model Context Protocol's Python SDK, or with FastMCP.

A tool that fails answers successfully with `isError`; that counts as a failure here. A wrong argument is the caller's
mistake. A refused call is answered with `isError` and the reason. The caller's `_meta.traceparent` is continued.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from opentelemetry.context import attach, detach
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from plugwarden.contract import OVERFLOW, ErrorSource, fitting
from plugwarden.errors import CallNotPermitted, ConfigurationError
from plugwarden.integrations.answering import answering, is_of, standing_for, text
from plugwarden.integrations.distributions import UNKNOWN_VERSION
from plugwarden.integrations.objects import Terms, no_terms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plugwarden.sidecar import Sidecar

__all__ = ["instrument", "is_error"]

Describe = Callable[[str], tuple[str, str]]
"""Tool name -> (plugin, version)."""
MAX_TOOLS = 200
"""Names of tools told apart on a server that does not say which it has: names come from callers."""
_propagator = TraceContextTextMapPropagator()
_work: ContextVar[Callable[[], Awaitable[Any]]] = ContextVar("plugwarden-mcp-work")


def instrument(server: Any, sidecar: Sidecar, *, describe: Describe | None = None, terms: Terms = no_terms) -> int:
    """Observe a server's tools, those that are added later too; return how many it has that can be told now.

    `server`: an `MCPServer` or low-level `Server` of the SDK, a `FastMCP` of the SDK before 2.0, or a `FastMCP` of the
    package of that name. The operation is the tool's name; the plugin, unless `describe` says otherwise, the server's.
    With a low-level server or the package FastMCP a fallback answers in the form that the server's own handler does.

    Raises `ConfigurationError` for any other server.
    """
    tools = _Tools(server, sidecar, describe, terms)
    manager = getattr(server, "_tool_manager", None)
    if hasattr(manager, "add_tool") and hasattr(manager, "list_tools"):
        return tools.of_manager(manager)
    if hasattr(server, "add_middleware"):
        return tools.of_middleware()
    if hasattr(server, "get_request_handler") and hasattr(server, "add_request_handler"):
        return tools.of_handlers()
    if isinstance(getattr(server, "request_handlers", None), dict):
        return tools.of_handlers_before_2()
    raise ConfigurationError(f"server: {server!r:.200} is no MCP server that is known here")


def is_error(result: Any) -> bool:
    """Whether a tool's result says that it failed; for hosts that call tools too."""
    result = getattr(result, "root", result)  # of the SDK before 2.0
    return bool(getattr(result, "isError", None) or getattr(result, "is_error", None))


class _Tools:
    """The tools of one server, each an operation."""

    def __init__(self, server: Any, sidecar: Sidecar, describe: Describe | None, terms: Terms) -> None:
        version = str(getattr(server, "version", None) or UNKNOWN_VERSION)
        self._server, self._sidecar, self._terms = server, sidecar, terms
        self._describe = describe or (lambda tool: (server.name, version))
        self._observed: dict[str, Any] = {}
        self._listed: set[str] = set()
        """Names that the server has told a client."""

    def _wrap(self, function: Any, tool: str, **more: Any) -> Any:
        plugin, version = self._describe(tool)
        plugin, version = fitting("plugin", plugin), fitting("version", version)
        operation = fitting("operation", tool)
        options = {
            "failed_result": _fault,
            "caller_errors": _wrong_arguments,
            **more,
            **self._terms(plugin, version, operation),
        }
        return self._sidecar.wrap(function, plugin=plugin, version=version, operation=operation, **options)

    # -- servers that keep functions ------------------------------------------------------------------------------------

    def of_manager(self, manager: Any) -> int:
        """`MCPServer`, and `FastMCP` of the SDK before 2.0. What is observed is the tool's function: a call whose arguments
        are wrong does not reach it."""
        wrapped = sum(self._exchange(tool) for tool in manager.list_tools())
        add = manager.add_tool
        if not hasattr(add, "__plugwarden__"):

            @functools.wraps(add)
            def adds(*args: Any, **kwargs: Any) -> Any:
                tool = add(*args, **kwargs)
                self._exchange(tool)
                return tool

            adds.__plugwarden__ = self  # type: ignore[attr-defined]
            manager.add_tool = adds
        return wrapped

    def _exchange(self, tool: Any) -> bool:
        if hasattr(tool.fn, "__plugwarden__"):
            return False
        observed = answering(self._wrap(tool.fn, tool.name), functools.partial(_raise_tool_error, _TOOL_ERRORS))
        if not hasattr(self._server, "_lowlevel_server"):  # before 2.0 the SDK did not read `_meta.traceparent` itself
            observed = _continuing(observed, lambda: getattr(self._server, "_mcp_server", None))
        tool.fn = observed
        return True

    # -- servers that are asked by name ---------------------------------------------------------------------------------

    def of_middleware(self) -> int:
        """The package FastMCP, by its public middleware; tools of mounted servers are observed under the names they have here."""
        known = getattr(self._server, "middleware", ())
        if any(hasattr(one, "__plugwarden__") for one in known):
            return 0

        async def middleware(context: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
            if context.method == "tools/list":
                listed = await call_next(context)
                self._listed.update(tool.name for tool in listed)
                return listed
            if context.method != "tools/call":
                return await call_next(context)
            message = context.message
            try:
                return await self._call(message.name, message.arguments, lambda: call_next(context))
            except CallNotPermitted as refusal:
                return _raise_tool_error(("fastmcp.exceptions",), refusal)

        middleware.__plugwarden__ = self  # type: ignore[attr-defined]
        self._server.add_middleware(middleware)
        return len(self._listed)

    def of_handlers(self) -> int:
        """The low-level server, by its public registry of handlers."""
        server = self._server
        calls, lists = server.get_request_handler("tools/call"), server.get_request_handler("tools/list")
        if calls is None:
            raise ConfigurationError("server: it has no handler of tools/call yet; instrument it when it has")
        if hasattr(calls.handler, "__plugwarden__"):
            return 0

        @functools.wraps(calls.handler)
        async def call_tool(context: Any, params: Any) -> Any:
            with _continued(context.meta):
                try:
                    return await self._call(params.name, params.arguments, lambda: calls.handler(context, params))
                except CallNotPermitted as refusal:
                    from mcp.types import CallToolResult, TextContent

                    return CallToolResult(content=[TextContent(type="text", text=text(refusal))], is_error=True)

        call_tool.__plugwarden__ = self  # type: ignore[attr-defined]
        server.add_request_handler("tools/call", calls.params_type, call_tool)
        if lists is not None:

            @functools.wraps(lists.handler)
            async def list_tools(context: Any, params: Any) -> Any:
                result = await lists.handler(context, params)
                self._listed.update(tool.name for tool in getattr(result, "tools", ()))
                return result

            server.add_request_handler("tools/list", lists.params_type, list_tools)
        return len(self._listed)

    def of_handlers_before_2(self) -> int:
        """The low-level server of the SDK before 2.0."""
        from mcp import types

        handlers: dict[Any, Any] = self._server.request_handlers
        calls, lists = handlers.get(types.CallToolRequest), handlers.get(types.ListToolsRequest)
        if calls is None:
            raise ConfigurationError("server: it has no handler of tools/call yet; instrument it when it has")
        if hasattr(calls, "__plugwarden__"):
            return 0

        @functools.wraps(calls)
        async def call_tool(request: Any) -> Any:
            params = request.params
            with _continued(getattr(params, "meta", None)):
                try:
                    return await self._call(params.name, params.arguments, lambda: calls(request))
                except CallNotPermitted as refusal:
                    content = [types.TextContent(type="text", text=text(refusal))]
                    told: dict[str, Any] = {"content": content, "isError": True}
                    return types.ServerResult(types.CallToolResult(**told))  # type: ignore[operator]

        call_tool.__plugwarden__ = self  # type: ignore[attr-defined]
        handlers[types.CallToolRequest] = call_tool
        if lists is not None:

            @functools.wraps(lists)
            async def list_tools(request: Any) -> Any:
                result = await lists(request)
                self._listed.update(tool.name for tool in getattr(result.root, "tools", ()))
                return result

            handlers[types.ListToolsRequest] = list_tools
        return len(self._listed)

    async def _call(self, name: str, arguments: Mapping[str, Any] | None, work: Callable[[], Awaitable[Any]]) -> Any:
        observed = self._observed.get(name)
        if observed is None:
            observed = self._observe(name)
        token = _work.set(work)
        try:
            return await observed(**(arguments or {}))
        except CallNotPermitted as refusal:
            if is_of(refusal, observed):
                raise
            raise RuntimeError(str(refusal)) from refusal  # of a plugin that this one calls: its own failure
        finally:
            _work.reset(token)

    def _observe(self, name: str) -> Any:
        """What is not among the tools that the server lists is one operation, and its failures the caller's."""

        async def tool(**arguments: Any) -> Any:
            return await _work.get()()

        unknown = bool(self._listed) and name not in self._listed
        if unknown or len(self._observed) >= MAX_TOOLS:
            name, more = OVERFLOW, {"caller_errors": Exception, "breaker": False} if unknown else {}
            if name in self._observed:
                return self._observed[name]
            self._observed[name] = observed = self._wrap(tool, name, **more)
            return observed
        self._observed[name] = observed = self._wrap(tool, name)
        return observed


# -- what calls mean ----------------------------------------------------------------------------------------------------


def _fault(result: Any) -> bool | ErrorSource:
    if not is_error(result):
        return False
    content = getattr(getattr(result, "root", result), "content", None) or [None]
    said = str(getattr(content[0], "text", ""))
    # How the SDK's low-level server before 2.0 answers arguments that its schema does not allow; it has no code for it.
    return ErrorSource.CALLER if said.startswith("Input validation error: ") else ErrorSource.PLUGIN


def _wrong_arguments(error: BaseException) -> bool:
    """A tool's error that says its arguments do not fit: FastMCP raises one, caused by pydantic's."""
    module = getattr(sys.modules.get("pydantic_core"), "ValidationError", None)
    kinds = [
        getattr(sys.modules.get(name), kind, None)
        for name, kind in (("fastmcp.exceptions", "ValidationError"), ("fastmcp.exceptions", "NotFoundError"))
    ]
    if any(kind is not None and issubclass(type(error), kind) for kind in kinds):
        return True
    tool_error = getattr(sys.modules.get("mcp.server.mcpserver.exceptions"), "ToolError", None)
    return (
        tool_error is not None and type(error) is tool_error and module is not None and type(error.__cause__) is module
    )


_TOOL_ERRORS = ("mcp.server.mcpserver.exceptions", "mcp.server.fastmcp.exceptions")


def _raise_tool_error(modules: tuple[str, ...], refusal: CallNotPermitted) -> Any:
    """What the framework answers with `isError` and this very text."""
    for module in modules:
        kind = getattr(sys.modules.get(module), "ToolError", None)
        if kind is not None:
            raise kind(text(refusal)) from refusal
    raise refusal


# -- the caller's trace -------------------------------------------------------------------------------------------------


@contextmanager
def _continued(meta: Any) -> Iterator[None]:
    """Runs under the span that `_meta.traceparent` names, unless there is one already."""
    token = None
    if meta is not None and not get_current_span().get_span_context().is_valid:
        carrier = {key: _text(meta, key) for key in ("traceparent", "tracestate")}
        if carrier["traceparent"]:
            token = attach(_propagator.extract({key: value for key, value in carrier.items() if value}))
    try:
        yield
    finally:
        if token is not None:
            detach(token)


def _text(meta: Any, key: str) -> str:
    found = meta.get(key) if isinstance(meta, Mapping) else getattr(meta, key, None)
    return found if isinstance(found, str) else ""


def _continuing(observed: Any, low_level: Callable[[], Any]) -> Any:
    """`observed`, under the trace of the request that the low-level server is answering."""

    def meta() -> Any:
        try:
            return low_level().request_context.meta
        except (LookupError, AttributeError):
            return None  # called by the host itself

    if inspect.iscoroutinefunction(observed):

        async def continues(*args: Any, **kwargs: Any) -> Any:
            with _continued(meta()):
                return await observed(*args, **kwargs)

    else:

        def continues(*args: Any, **kwargs: Any) -> Any:  # type: ignore[misc]  # each as what it stands for
            with _continued(meta()):
                return observed(*args, **kwargs)

    return standing_for(continues, observed)
