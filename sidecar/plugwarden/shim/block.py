"""A block of the host's own code as an invocation: the form behind `Sidecar.invocation`."""

from __future__ import annotations

from typing import Any

from plugwarden import settlement
from plugwarden.invocation import Invocation, context_access
from plugwarden.operation import Operation

from .form import Form
from .opened import close_invocation, open_invocation

__all__ = ["Block"]


class Block:
    """`with` it: raises `PluginQuarantined` or `CallNotPermitted` on entry when the gate refuses."""

    __slots__ = ("_access", "_form", "_invocation", "_token")

    def __init__(self, operation: Operation) -> None:
        self._form = Form(operation, operation.declaration)
        self._access = context_access()
        self._invocation: Invocation | None = None
        self._token: Any = None

    def __enter__(self) -> Invocation | None:
        invocation, context, refusal = open_invocation(self._form, self._access[0]())
        if refusal is not None:
            if invocation is not None:
                settlement.refuse(self._form.operation, invocation, refusal, answered=False)
            raise self._form.as_error(refusal)
        if invocation is not None and context is not None:
            self._invocation = invocation
            self._token = self._access[1](context)
        return invocation

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        invocation, self._invocation = self._invocation, None
        if invocation is None:
            return
        active_ns = self._form.operation.clock() - invocation.started_ns
        self._form.operation.detach(self._access[2], self._token)
        close_invocation(self._form, invocation, error, active_ns)
