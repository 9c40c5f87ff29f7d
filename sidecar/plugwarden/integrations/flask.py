"""Flask: observes the views of blueprints that plugins brought.

A view that answers 500 and above has failed; what it raises as a response below (`abort(404)`) is the caller's mistake.
A refused request is answered with 503 and Retry-After.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from plugwarden.contract import fitting
from plugwarden.errors import CallNotPermitted
from plugwarden.integrations.answering import answering
from plugwarden.integrations.distributions import version_of
from plugwarden.integrations.objects import Terms, no_terms
from plugwarden.integrations.refusal import http_refusal

if TYPE_CHECKING:
    from plugwarden.sidecar import Sidecar

__all__ = ["instrument"]

Describe = Callable[[Any], tuple[str, str] | None]
"""Blueprint -> (plugin, version); None: it is the host's own."""


def instrument(app: Any, sidecar: Sidecar, *, describe: Describe | None = None, terms: Terms = no_terms) -> int:
    """Wrap the views of all blueprints registered so far; return how many. Calling it again wraps only new ones.

    The plugin is the blueprint's name and the version of the distribution that its module is part of, unless `describe`
    says otherwise; the operation is the view's name. Views of the application itself are left alone.
    """
    describe = describe or (lambda blueprint: (blueprint.name, version_of(blueprint.import_name)))
    wrapped = 0
    for endpoint, view in list(app.view_functions.items()):
        owner, _, name = endpoint.rpartition(".")
        blueprint = app.blueprints.get(owner)
        named = None if blueprint is None else describe(blueprint)
        if named is None or hasattr(view, "__plugwarden__"):
            continue
        plugin, version = fitting("plugin", named[0]), fitting("version", named[1])
        operation = fitting("operation", name)
        options = {"failed_result": _is_server_error, **terms(plugin, version, operation)}
        observed = sidecar.wrap(view, plugin=plugin, version=version, operation=operation, **options)
        app.view_functions[endpoint] = answering(observed, _refused)
        wrapped += 1
    return wrapped


def _is_server_error(answer: Any) -> bool:
    """Return whether it says 5xx, of whatever a view may return: a response, or a tuple of one, or of a body, with a status, headers
    or both."""
    parts = answer if isinstance(answer, tuple) else (answer,)
    status = parts[1] if len(parts) > 1 else None
    if not isinstance(status, int | str):  # headers, or a status that is left to the response
        status = getattr(parts[0], "status_code", None) if parts else None
    if isinstance(status, str):  # "503 Service Unavailable"
        status = status.partition(" ")[0]
        return len(status) == 3 and status.isdigit() and status >= "500"
    return isinstance(status, int) and status >= 500


def _refused(refusal: CallNotPermitted) -> Any:
    from flask import Response  # type: ignore[import-not-found, unused-ignore]

    answer = http_refusal(refusal)
    return Response(answer.body, answer.status, dict(answer.headers))
