"""plugwarden.shim.native, made of c/*.c where there is a C compiler."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

PASSED: object
ANSWERED: object

class Doorway:
    def __init__(
        self,
        *,
        operation: object,
        function: Callable[..., Any],
        variable: ContextVar[Any],
        clock: Callable[[], int],
        steady: bool,
        finish: Callable[..., Any],
        fail: Callable[..., bool],
        invocation: type,
        context: type,
        span_key: str,
        invocation_key: str,
        attempt_key: str,
    ) -> None: ...
    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any], /) -> Any: ...
    def know(self, kind: type, /) -> None: ...

class Forwarding:
    __wrapped__: Any
