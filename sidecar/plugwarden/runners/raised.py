"""What a plugin raised in a worker process, made into an exception of the host."""

from __future__ import annotations

import builtins
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plugwarden.contract import Scope
from plugwarden.declaration import Declaration
from plugwarden.errors import PluginFailed, WorkerDied
from plugwarden.exception_names import Named
from plugwarden.runners.child.wire import UnsafeResult, loads_untrusted

__all__ = ["Raised", "raisable"]

MAX_ARGUMENT_BYTES = 1_000_000
MAX_FRAMES = 30
_MAX_TEXT, _MAX_NAME = 10_000, 200
_NEVER = frozenset({"MemoryError", "ExceptionGroup"})
"""The host's own memory is not at stake; and a group is made of exceptions, which are not sent."""
_PYTHONS_OWN: Mapping[tuple[str, str], type[Exception]] = {
    ("builtins", name): kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, Exception) and name == kind.__name__ and name not in _NEVER
}


def raisable(declaration: Declaration) -> dict[tuple[str, str], Any]:
    """The exceptions that are made anew here, by module and qualified name: Python's own, and those the host declared."""
    declared = [one.kind for one in declaration.returns if issubclass(one.kind, Exception)]
    exempt = (declaration.caller_errors, declaration.control_flow)
    declared += [kind for errors in exempt for kind in errors.loaded if issubclass(kind, Exception)]
    declared += [kind for kind in declaration.downstream_errors if not isinstance(kind, Named)]
    return {(kind.__module__, kind.__qualname__): kind for kind in declared} | dict(_PYTHONS_OWN)


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception as a worker describes it."""

    module: str
    qualname: str
    text: str
    arguments: bytes | None
    """Its `args` as a frame; None where they are not plain."""
    frames: tuple[tuple[str, int, str], ...]
    """(file, line, function), outermost first."""
    is_exception: bool
    """False: it was raised to end the process."""

    @classmethod
    def of(cls, told: Any) -> Raised:
        """Raises `UnsafeResult` where it is not what a worker of ours sends."""
        if type(told) is not tuple or list(map(type, told))[:3] != [str, str, str] or len(told) != 6:
            raise UnsafeResult("not a frame of ours")
        module, qualname, text, arguments, frames, is_exception = told
        if type(arguments) not in (bytes, type(None)) or type(frames) is not tuple or len(frames) > MAX_FRAMES:
            raise UnsafeResult("not a frame of ours")
        if any(type(frame) is not tuple or list(map(type, frame)) != [str, int, str] for frame in frames):
            raise UnsafeResult("not a frame of ours")
        shown = tuple((_told(file, 1000), line & 0x7FFFFFFF, _told(name, 1000)) for file, line, name in frames)
        return cls(
            _told(module, _MAX_NAME),
            _told(qualname, _MAX_NAME),
            text[:_MAX_TEXT],
            arguments,
            shown,
            is_exception is True,
        )

    def rebuilt(self, scope: Scope, known: Mapping[tuple[str, str], Any]) -> BaseException:
        """The plugin's own exception where its type is `known` and its arguments are plain; else one that tells of it."""
        stack = "".join(f'\n  File "{file}", line {line}, in {function}' for file, line, function in self.frames)
        error = self._as_known(known)
        if error is None:
            name = self.qualname if self.module == "builtins" else f"{self.module}.{self.qualname}"
            if self.is_exception:
                error = PluginFailed(scope, name, self.text, stack.lstrip("\n"))
            else:
                error = WorkerDied(scope, f"the plugin wanted to end its process with {name}: {self.text}")
        with contextlib.suppress(Exception):  # a type of the host's may want no attributes
            error.__plugwarden_frames__ = list(self.frames)  # type: ignore[attr-defined]  # they are not on this stack
            error.add_note(f"raised in a worker process:{stack}")
        return error

    def _as_known(self, known: Mapping[tuple[str, str], Any]) -> BaseException | None:
        kind = known.get((self.module, self.qualname))
        if kind is None or not self.is_exception or self.arguments is None:
            return None
        try:
            made = kind(*loads_untrusted(self.arguments))
        except Exception:  # noqa: BLE001 - its constructor may want anything
            return None
        return made if isinstance(made, Exception) else None


def _told(text: str, length: int) -> str:
    """A name or path as it can be shown: nothing in it ends a line or turns the text."""
    return "".join(letter if letter.isprintable() else "�" for letter in text[:length])
