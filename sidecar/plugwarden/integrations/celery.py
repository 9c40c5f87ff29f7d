"""Celery: observes the tasks that plugins brought, in the worker that runs them.

A retry asked for, `Ignore` and `Reject` are no failures; an exception that `autoretry_for` makes a retry of is one, as it is the
task that failed. A refused task fails with `TaskRefused`, or is tried again later.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from plugwarden.contract import fitting
from plugwarden.errors import CallNotPermitted, PlugwardenError
from plugwarden.integrations.answering import answering, text
from plugwarden.integrations.distributions import of_module, version_of
from plugwarden.integrations.objects import Terms, no_terms

if TYPE_CHECKING:
    from plugwarden.sidecar import Sidecar

__all__ = ["TaskRefused", "instrument"]

Describe = Callable[[Any], tuple[str, str] | None]
"""Task -> (plugin, version); None: it is the host's own."""


class TaskRefused(PlugwardenError):
    """A task did not run. Made of its text alone, so that it comes out of any result backend as it went in."""


def instrument(
    app: Any,
    sidecar: Sidecar,
    *,
    describe: Describe | None = None,
    terms: Terms = no_terms,
    retry_refused: bool = False,
) -> int:
    """Wrap all tasks registered so far; return how many. Call it when the tasks are imported and before the worker begins, as in
    a `celeryd_init` or `worker_init` signal. Calling it again wraps only new ones.

    The plugin is the distribution that the task's module is part of, or else that module's top package, unless `describe`
    says otherwise; the operation is the task's name. Celery's own tasks are left alone. With `retry_refused` a refused
    task is tried again (`Task.retry`, so `max_retries` holds) when the refusal says that it may succeed.
    """
    describe = describe or _describe
    wrapped = 0
    for task in list(app.tasks.values()):
        named = describe(task)
        # Below `autoretry_for`, which replaces `run` by a form that turns failures into retries.
        attribute = "_orig_run" if hasattr(task, "_orig_run") else "run"
        run = getattr(task, attribute)
        if named is None or hasattr(run, "__plugwarden__"):
            continue
        plugin, version = fitting("plugin", named[0]), fitting("version", named[1])
        operation = fitting("operation", task.name)
        observed = sidecar.wrap(
            run, plugin=plugin, version=version, operation=operation, **terms(plugin, version, operation)
        )
        answer = functools.partial(_refused, task if retry_refused else None)
        setattr(task, attribute, answering(observed, answer))
        wrapped += 1
    return wrapped


def _describe(task: Any) -> tuple[str, str] | None:
    module = str(task.__module__)
    top = module.partition(".")[0]
    if top == "celery":
        return None
    found = of_module(module)
    return (top, version_of(module)) if found is None else found


def _refused(task: Any, refusal: CallNotPermitted) -> Any:
    refused = TaskRefused(text(refusal))
    if task is None or task.request.called_directly:
        raise refused from refusal
    raise task.retry(exc=refused, countdown=refusal.retry_after_seconds or None)
