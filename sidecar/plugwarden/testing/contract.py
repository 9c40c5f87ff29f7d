"""A manifest's contract: whether a plugin is what its `plugin.toml` says.

contract_of("plugin.toml").check(csv_export, examples=[call("export", ["a"]).answers(b"a")])
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plugwarden.declared_errors import Errors, Status
from plugwarden.declared_plugin import DeclaredPlugin
from plugwarden.errors import ConfigurationError
from plugwarden.exception_names import check_name
from plugwarden.grants import Grants
from plugwarden.manifest import Manifest
from plugwarden.shim import kind_of

from .example import NO_ANSWER, Example
from .record import recording
from .signature import refuses

__all__ = ["Contract", "ContractBroken", "Finding", "contract_of"]

_EXEMPT = ("caller_errors", "control_flow")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing in which manifest and plugin differ."""

    field: str
    """Field of the manifest, as `operations.export.timeout`."""
    problem: str

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"


class ContractBroken(AssertionError):
    """A plugin is not what its manifest says."""

    def __init__(self, manifest: Manifest, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        lines = "".join(f"\n  {finding}" for finding in self.findings)
        super().__init__(f"{manifest.id} {manifest.version} is not what its manifest says:{lines}")


def contract_of(manifest: Manifest | Path | str) -> Contract:
    """The contract of a manifest. Raises `ConfigurationError` naming the file and the field where it cannot be read."""
    return Contract(manifest if isinstance(manifest, Manifest) else Manifest.load(manifest))


class Contract:
    """What a manifest promises."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    def check(
        self,
        plugin: Any,
        *,
        like: Any = None,
        examples: Iterable[Example] = (),
        grants: Grants | None = None,
        without_deadline: Iterable[str] = (),
    ) -> None:
        """Raises `ContractBroken` with all findings; the terms are those of `findings`."""
        found = self.findings(plugin, like=like, examples=examples, grants=grants, without_deadline=without_deadline)
        if found:
            raise ContractBroken(self.manifest, found)

    def findings(
        self,
        plugin: Any,
        *,
        like: Any = None,
        examples: Iterable[Example] = (),
        grants: Grants | None = None,
        without_deadline: Iterable[str] = (),
    ) -> list[Finding]:
        """Where `plugin` (a module, an object, or a mapping of names to callables) is not what is declared. Nothing is sent anywhere.

        `like`: a host's interface, in the same forms: whatever may be called on it may be called on the plugin. `examples` are
        called under the declared gate and runner, each with a breaker of its own. `grants`: what the host grants; none: what is
        asked for. `without_deadline`: operations that need no `timeout`.
        """
        found = list(self._errors())
        functions: dict[str, Callable[..., Any]] = {}
        for name in self.manifest.operations:
            function = _member(plugin, name)
            if function is None:
                found.append(Finding(f"operations.{name}", "the plugin has nothing of this name"))
            elif not callable(function):
                found.append(Finding(f"operations.{name}", f"{function!r:.100} cannot be called"))
            else:
                functions[name] = function
                found += self._terms(name, function, _member(like, name), name not in set(without_deadline))
        examples = tuple(examples)
        for example in examples:
            if example.operation not in self.manifest.operations:
                found.append(Finding(f"operations.{example.operation}", f"{example}: is not declared"))
        try:
            self._declared_with(grants, functions)
        except ConfigurationError as error:
            field, _, problem = str(error).partition(": ")
            return [*found, Finding(field, problem)]
        for example in examples:
            if example.operation in functions:
                found += self._called(example, functions[example.operation], grants)
        return found

    def _errors(self) -> Iterable[Finding]:
        """Names of exceptions that lead nowhere. This imports their modules, which a host never does."""
        manifest = self.manifest
        named = {f"downstreams.{name}": Errors.of(name, list(kinds)) for name, kinds in manifest.downstreams.items()}
        for operation, terms in manifest.operations.items():
            for key in _EXEMPT:
                named[f"operations.{operation}.{key}"] = Errors.of(key, terms.get(key, ()))
        for field, errors in named.items():
            statuses = [test.type for test in errors.tests if isinstance(test, Status)]
            for name in (*errors.names, *statuses):
                problem = _unknown(field, name.removeprefix("builtins."))
                if problem is not None:
                    yield Finding(field, problem)

    def _terms(self, name: str, function: Callable[..., Any], like: Any, needs_deadline: bool) -> Iterable[Finding]:
        terms, field = self.manifest.operations[name], f"operations.{name}"
        timeout, objective = terms.get("timeout"), terms.get("objective")
        if timeout is None and needs_deadline:
            yield Finding(f"{field}.timeout", "is missing: nothing bounds how long a call takes")
        promised = None if objective is None else objective.latency_seconds
        if timeout is not None and promised is not None and promised > timeout:
            yield Finding(
                f"{field}.objective", f"a call may take {promised:g} s, and is over at its timeout of {timeout:g} s"
            )
        if like is not None:
            if kind_of(like) != kind_of(function):
                yield Finding(field, f"is a {kind_of(function)}, and the host calls a {kind_of(like)}")
            problem = refuses(function, like)
            if problem is not None:
                yield Finding(field, problem)

    def _declared_with(self, grants: Grants | None, functions: Mapping[str, Callable[..., Any]]) -> None:
        with recording() as recorder:
            declared = DeclaredPlugin(recorder.sidecar, self.manifest, grants or self.manifest.asked)
            for name, function in functions.items():
                declared.wrap(function, name, previous=None)

    def _called(self, example: Example, function: Callable[..., Any], grants: Grants | None) -> Iterable[Finding]:
        try:
            inspect.signature(function).bind(*example.args, **example.kwargs)
        except TypeError as error:
            yield Finding(f"operations.{example.operation}", f"{example}: {error}")
            return
        except ValueError:
            pass  # it has no signature to ask
        with recording() as recorder:
            declared = DeclaredPlugin(recorder.sidecar, self.manifest, grants or self.manifest.asked)
            wrapped = declared.wrap(function, example.operation, previous=None)
            answer: Any = NO_ANSWER
            try:
                answer = _completed(wrapped(*example.args, **example.kwargs))
            except Exception:  # noqa: BLE001, S110 - how it ended is what was recorded
                pass
            difference = example.difference(recorder.of(example.operation)[-1], answer)
        if difference is not None:
            yield Finding(f"operations.{example.operation}", difference)


def _completed(result: Any) -> Any:
    """What a call comes to: a coroutine's result, the items of a generator."""
    if inspect.iscoroutine(result):
        return asyncio.run(_awaited(result))
    if inspect.isasyncgen(result):
        return asyncio.run(_collected(result))
    return list(result) if inspect.isgenerator(result) else result


async def _awaited(work: Any) -> Any:
    return await work


async def _collected(items: Any) -> list[Any]:
    return [item async for item in items]


def _member(plugin: Any, name: str) -> Any:
    return plugin.get(name) if isinstance(plugin, Mapping) else getattr(plugin, name, None)


def _unknown(field: str, path: str) -> str | None:
    """What is wrong with an exception's name, its module imported."""
    module = path.rpartition(".")[0]
    if module:
        try:
            importlib.import_module(module)
        except Exception as error:  # noqa: BLE001 - a module may raise anything
            return f"{path}: {module} cannot be imported: {type(error).__name__}: {error}"
    try:
        check_name(field, path)
    except ConfigurationError as error:
        return str(error).removeprefix(f"{field}: ")
    return None
