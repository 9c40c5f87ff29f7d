"""What is done to code objects of the wrappers, so that a host that looks at callers and callables sees through them.

Three things that Python offers no other way to: our frames are skipped where frames are counted, a plain function is
taken for the coroutine or generator function that it stands for, and arguments are checked without a call.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["binder", "flagged", "unseen"]

F = TypeVar("F", bound=Callable[..., Any])

_SKIPPED = ":importlib._bootstrap"
"""`warnings` and `logging` leave out frames of files whose name has these two words in it when they count `stacklevel`:
they mean the import system's, and it is the only way to be left out that Python 3.11 has."""
_KINDS = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_NOTHING = (lambda: None).__code__


def unseen(function: F) -> F:
    """`function` and those inside of it, skipped by `stacklevel`: a plugin's warning names its caller, not us."""
    function.__code__ = _renamed(function.__code__)
    return function


def _renamed(code: types.CodeType) -> types.CodeType:
    constants = tuple(_renamed(item) if isinstance(item, types.CodeType) else item for item in code.co_consts)
    return code.replace(co_filename=code.co_filename + _SKIPPED, co_consts=constants)


@functools.lru_cache(maxsize=64)
def flagged(code: types.CodeType, like: int) -> types.CodeType:
    """`code`, that of a plain function, with the kind of a coroutine or generator function's flags `like`.

    What a function makes when called is decided by its instructions (since 3.11); who asks what it is reads the flags.
    """
    return code.replace(co_flags=code.co_flags | (like & _KINDS))


def binder(function: types.FunctionType) -> Callable[..., None]:
    """Takes the arguments that `function` takes and does nothing; raises the `TypeError` that calling it would."""
    code = function.__code__
    named = code.co_argcount + code.co_kwonlyargcount
    named += bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    empty = code.replace(
        co_code=_NOTHING.co_code,
        co_consts=_NOTHING.co_consts,
        co_names=(),
        co_varnames=code.co_varnames[:named],
        co_nlocals=named,
        co_freevars=(),
        co_cellvars=(),
        co_flags=code.co_flags & ~_KINDS & ~inspect.CO_NESTED,
        co_stacksize=_NOTHING.co_stacksize,
        co_exceptiontable=b"",
        co_linetable=_NOTHING.co_linetable,
    )
    bound = types.FunctionType(empty, {}, function.__name__, function.__defaults__)
    bound.__kwdefaults__ = function.__kwdefaults__
    bound.__qualname__ = function.__qualname__
    return bound
