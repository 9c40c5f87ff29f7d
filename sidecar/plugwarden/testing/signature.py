"""Whether whatever may be called on one function may be called on another."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from inspect import Parameter
from typing import Any

__all__ = ["refuses"]

_BY_PLACE = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


def refuses(function: Callable[..., Any], like: Callable[..., Any]) -> str | None:
    """Why some call that `like` takes is none for `function`; None: it takes them all. What has no signature is not judged."""
    try:
        ours, theirs = _parameters(function), _parameters(like)
    except (TypeError, ValueError):
        return None
    by_place = [one for one in ours if one.kind in _BY_PLACE]
    by_name = {one.name: one for one in ours if one.kind in _BY_NAME}
    more_places = any(one.kind is Parameter.VAR_POSITIONAL for one in ours)
    more_names = any(one.kind is Parameter.VAR_KEYWORD for one in ours)
    given: set[str] = set()
    for place, wanted in enumerate(one for one in theirs if one.kind in _BY_PLACE):
        taken = by_place[place] if place < len(by_place) else None
        if taken is None and not more_places:
            return f"does not take the host's argument {wanted.name}"
        if wanted.kind is Parameter.POSITIONAL_OR_KEYWORD and wanted.name not in by_name and not more_names:
            return f"does not take the host's argument {wanted.name} by its name"
        if taken is not None:
            given.add(taken.name)
            if _is_required(taken) and not _is_required(wanted):
                return f"needs {taken.name}, which the host may leave out ({wanted.name})"
    for wanted in theirs:
        if wanted.kind is Parameter.KEYWORD_ONLY:
            named = by_name.get(wanted.name)
            if named is None and not more_names:
                return f"does not take the host's argument {wanted.name}"
            given.add(wanted.name)
            if named is not None and _is_required(named) and not _is_required(wanted):
                return f"needs {wanted.name}, which the host may leave out"
        elif wanted.kind is Parameter.VAR_POSITIONAL and not more_places:
            return f"does not take any number of arguments, as the host's *{wanted.name} does"
        elif wanted.kind is Parameter.VAR_KEYWORD and not more_names:
            return f"does not take any named argument, as the host's **{wanted.name} does"
    for one in ours:
        if one.kind in (*_BY_PLACE, Parameter.KEYWORD_ONLY) and _is_required(one) and one.name not in given:
            return f"needs {one.name}, which the host does not give"
    return None


def _parameters(function: Callable[..., Any]) -> list[Parameter]:
    """Return the parameters of a function; of a method of a class, without the object."""
    found = list(inspect.signature(function).parameters.values())
    qualname = getattr(function, "__qualname__", "")
    in_a_class = "." in qualname.rpartition("<locals>.")[2]
    if inspect.isfunction(function) and in_a_class and found[:1] and found[0].name == "self":
        return found[1:]
    return found


def _is_required(parameter: Parameter) -> bool:
    return parameter.default is Parameter.empty
