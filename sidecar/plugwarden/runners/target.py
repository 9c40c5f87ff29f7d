"""How a worker process finds the function that it is to run: by module and name, or by the path of the host's script."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plugwarden.errors import ConfigurationError

__all__ = ["Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """A function's address."""

    module: str
    qualname: str
    main: tuple[str, str] | None
    """(`module` or `path`, which) where the function is the started script's own."""

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Target:
        """Raises `ConfigurationError` for what another process cannot find."""
        module, qualname = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
        if not module or not qualname or "<" in qualname:
            raise ConfigurationError(
                f'runner: {function!r} has no address that another process can find; under runner="process" '
                "wrap a function at the top of a module"
            )
        if inspect.ismethod(function) and not inspect.isclass(function.__self__):
            raise ConfigurationError(
                f'runner: {qualname} is bound to an object of this process; under runner="process" wrap a plain function'
            )
        if module == "__main__":
            main = sys.modules["__main__"]
            spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
            if spec is not None:
                return cls(module, qualname, ("module", spec.name))
            if file is None:
                raise ConfigurationError(f"runner: {qualname} is of an interactive session, which has no file to load")
            return cls(module, qualname, ("path", str(Path(file).resolve())))
        return cls(module, qualname, None)

    def check(self, function: Callable[..., Any]) -> None:
        """Whether the address leads here, as far as this process can tell; a decorator's wrapper may stand there."""
        found: Any = sys.modules.get(self.module) or importlib.import_module(self.module)
        for name in self.qualname.split("."):
            found = getattr(found, name, None)
        if found is None:
            return  # it is being defined at this moment, by a decorator
        if inspect.unwrap(found) is not inspect.unwrap(function):
            raise ConfigurationError(f"runner: {self.module}.{self.qualname} is another function than the one wrapped")
