"""Does something right after a module was imported, once, and leaves the module as its own loader made it."""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec

__all__ = ["after_import"]

Action = Callable[[ModuleType], None]


def after_import(name: str, action: Action) -> None:
    """Call `action` with the module as soon as it is imported; at once when it is already. It must not raise."""
    module = sys.modules.get(name)
    if module is not None and not getattr(module.__spec__, "_initializing", False):
        action(module)
        return
    _finder.actions.setdefault(name, []).append(action)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


class _Finder:
    """Finds nothing by itself: asks the others, and has their loader tell when it is done."""

    def __init__(self) -> None:
        self.actions: dict[str, list[Action]] = {}
        self._asking = threading.local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self.actions or getattr(self._asking, "name", None) == fullname:
            return None
        self._asking.name = fullname
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._asking.name = None
        if spec is None or spec.loader is None or not hasattr(spec.loader, "exec_module"):
            return spec
        spec.loader = _Telling(spec, spec.loader)  # type: ignore[assignment]  # `importlib.abc` would load `tempfile` and more
        return spec


class _Telling:
    """Another's loader; puts itself out of sight before the module's own code runs."""

    def __init__(self, spec: ModuleSpec, loader: Loader) -> None:
        self._spec, self._loader = spec, loader

    def __getattr__(self, name: str) -> Any:
        """All else that the other can do. `python -m` asks for the code and runs it itself, so that is no import."""
        if name in {"_spec", "_loader"}:
            raise AttributeError(name)  # of a copy that is being made
        found = getattr(self._loader, name)
        if name == "get_code":
            self._spec.loader = self._loader
        return found

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        for action in _finder.actions.pop(module.__name__, ()):
            action(module)


_finder = _Finder()
