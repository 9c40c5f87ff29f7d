"""Django: observes the views of applications that plugins brought.

A view that answers 500 and above has failed; what it raises as a response below (`Http404`) is the caller's mistake.
A refused request is answered with 503 and Retry-After.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
"""Application config -> (plugin, version); None: it is the host's own."""


def instrument(
    sidecar: Sidecar, *, urlconf: str | None = None, describe: Describe | None = None, terms: Terms = no_terms
) -> int:
    """Wrap the views of all URL patterns (of `urlconf`, or of ROOT_URLCONF); return how many. Call it where the URLs are
    defined, or in an `AppConfig.ready`. Calling it again wraps only new ones.

    The plugin is the label of the application that the view's module is part of, with the version of its distribution,
    unless `describe` says otherwise; the operation is the pattern's name, or the view's. Django's own applications, and
    views that are part of no application, are left alone.
    """
    from django.apps import apps  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from django.urls import get_resolver  # type: ignore[import-not-found, import-untyped, unused-ignore]

    describe = describe or _describe
    wrapped = 0
    for pattern in _patterns(get_resolver(urlconf)):
        view = pattern.callback
        module = getattr(getattr(view, "view_class", view), "__module__", "")
        config = apps.get_containing_app_config(str(module))
        named = None if config is None else describe(config)
        if named is None or hasattr(view, "__plugwarden__"):
            continue
        plugin, version = fitting("plugin", named[0]), fitting("version", named[1])
        operation = fitting("operation", pattern.name or _name(view))
        options = {"failed_result": _is_server_error, **terms(plugin, version, operation)}
        observed = sidecar.wrap(view, plugin=plugin, version=version, operation=operation, **options)
        pattern.callback = answering(observed, _refused)
        wrapped += 1
    return wrapped


def _describe(config: Any) -> tuple[str, str] | None:
    own = str(config.name).partition(".")[0] == "django"
    return None if own else (str(config.label), version_of(str(config.name)))


def _name(view: Any) -> str:
    """That of a class where the view was made of one: all such functions are called `view`."""
    return str(getattr(getattr(view, "view_class", view), "__name__", "view"))


def _patterns(resolver: Any) -> Iterator[Any]:
    for one in resolver.url_patterns:
        if hasattr(one, "url_patterns"):
            yield from _patterns(one)
        else:
            yield one


def _is_server_error(answer: Any) -> bool:
    return bool(getattr(answer, "status_code", 0) >= 500)


def _refused(refusal: CallNotPermitted) -> Any:
    from django.http import HttpResponse  # type: ignore[import-not-found, import-untyped, unused-ignore]

    answer = http_refusal(refusal)
    return HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))
