"""Classes: what is observed is the making of an instance. The class stays the object that it is."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from plugwarden.errors import ConfigurationError

from .codes import unseen
from .form import Form
from .function import observe_function

__all__ = ["observe_class"]


@unseen
def observe_class(form: Form, kind: type) -> type:
    """Have the making of instances of this class, not of its subclasses, observed; return the class.

    Raises `ConfigurationError` where the class cannot be changed, or where terms are given that cannot hold.
    """
    operation = form.operation
    if form.fallback is not None:
        raise ConfigurationError(
            f"fallback: nothing can be answered in the place of an instance; wrap a function that makes a {kind.__name__}"
        )
    makes = kind.__new__ is not object.__new__ and kind.__init__ is object.__init__  # type: ignore[misc, comparison-overlap]  # as it is, not as declared
    name = "__new__" if makes else "__init__"
    original: Callable[..., Any] = getattr(kind, name)
    if getattr(original, "__plugwarden__", None) is operation:
        return kind
    observed = observe_function(form, _takes_nothing if original is object.__init__ else original)

    def construct(first: Any, /, *args: Any, **kwargs: Any) -> Any:
        made_here = first is kind if makes else type(first) is kind
        return observed(first, *args, **kwargs) if made_here else original(first, *args, **kwargs)

    functools.update_wrapper(construct, original)
    construct.__plugwarden__ = operation  # type: ignore[attr-defined]
    if original is object.__init__:
        this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
        construct.__signature__ = inspect.Signature([this])  # type: ignore[attr-defined]
    try:
        setattr(kind, name, staticmethod(construct) if makes else construct)
    except (AttributeError, TypeError) as error:
        raise ConfigurationError(
            f"function: the class {kind.__name__} cannot be changed ({error}); wrap a function that makes one"
        ) from error
    return kind


@unseen
def _takes_nothing(self: Any, *args: Any, **kwargs: Any) -> None:
    if args or kwargs:
        raise TypeError(f"{type(self).__name__}() takes no arguments")
