"""What a plugin is called: the same in each process, its own, counted once; and one that cannot be had keeps no other out."""

from __future__ import annotations

import asyncio
import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy
import pydantic
import pytest
from plugwarden import CallNotPermitted, ConfigurationError, Sidecar
from plugwarden.integrations import entry_points, stevedore
from plugwarden.integrations import pluggy as pluggy_integration
from plugwarden.integrations.distributions import of_module, version_of
from plugwarden.integrations.objects import wrap_methods

from tests.sidecar.support.counted_outcomes import outcomes

spec, impl = pluggy.HookspecMarker("t"), pluggy.HookimplMarker("t")


def names(sidecar: Sidecar) -> set[tuple[str, str, str]]:
    return {(one.scope.plugin, one.scope.version, one.scope.operation) for one in sidecar.operations}


# -- distributions ------------------------------------------------------------------------------------------------------


def test_a_module_has_the_version_of_the_distribution_it_is_part_of_whatever_that_is_called() -> None:
    assert of_module("_pytest.terminal") == ("pytest", importlib.metadata.version("pytest"))
    assert version_of("pluggy._manager") == importlib.metadata.version("pluggy")
    assert of_module("no_such_module_at_all") is of_module("") is None
    assert version_of("__main__") == "0"


# -- pluggy -------------------------------------------------------------------------------------------------------------


class Spec:
    @spec
    def many(self) -> list[str]: ...


class Nameless:
    def __init__(self, says: str = "nameless") -> None:
        self.says = says

    @impl
    def many(self) -> str:
        return self.says


def manager(*plugins: Any) -> pluggy.PluginManager:
    made = pluggy.PluginManager("t")
    made.add_hookspecs(Spec)
    for plugin in plugins:
        made.register(plugin)
    return made


def test_a_plugin_registered_without_a_name_is_called_by_its_module_and_class(sidecar: Sidecar) -> None:
    hosts = manager(Nameless("one"), Nameless("two"))
    assert pluggy_integration.instrument(hosts, sidecar) == 2
    own = f"{__name__}.Nameless"
    assert names(sidecar) == {(own, "0", "many"), (f"{own}#2", "0", "many")}
    assert sorted(hosts.hook.many()) == ["one", "two"]


def test_naming_one_plugin_more_looks_at_it_alone_however_many_are_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    monkeypatch.setattr(pluggy_integration, "version_of", lambda module: looked.append(module) or "1")
    hosts = manager(Nameless(), Nameless())
    for number in range(20):
        hosts.register(Nameless(), f"named-{number}")
    named = pluggy_integration.HookNames(hosts)
    assert len(looked) == 2  # those without a name, which are numbered
    assert named.name(hosts.get_plugin("named-7"), "named-7") == ("named-7", "1", "")
    assert len(looked) == 3


def test_the_name_of_a_plugin_outlives_its_process(tmp_path: Path) -> None:
    (tmp_path / "host.py").write_text("""
import pluggy
from plugwarden import Sidecar
from plugwarden.integrations.pluggy import instrument
impl = pluggy.HookimplMarker("t")
class Own:
    @impl
    def many(self): ...
plugins = pluggy.PluginManager("t")
plugins.register(Own())
with_sidecar = Sidecar(service="t", endpoint="http://127.0.0.1:9")
instrument(plugins, with_sidecar)
print(*(one.scope.plugin for one in with_sidecar.operations))
import os
os._exit(0)
""")

    def told() -> str:
        done = subprocess.run(
            [sys.executable, tmp_path / "host.py"], capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout.strip()

    assert told() == told() == "__main__.Own"


def test_what_is_built_into_a_host_has_the_hosts_version(sidecar: Sidecar) -> None:
    import _pytest.recwarn

    hosts = pluggy.PluginManager("pytest")
    hosts.register(_pytest.recwarn, "recwarn")
    hosts.register(_pytest.recwarn.WarningsRecorder)
    pluggy_integration.instrument(hosts, sidecar, options=lambda *scope: {"timeout": 1.0})
    version = importlib.metadata.version("pytest")
    named = pluggy_integration.HookNames(hosts)
    assert named.name(_pytest.recwarn, "recwarn") == ("recwarn", version, "")
    kind = _pytest.recwarn.WarningsRecorder
    assert named.name(kind, "WarningsRecorder") == ("WarningsRecorder", version, "")  # as pluggy calls it


def test_a_name_that_cannot_be_one_is_mended_and_the_host_starts(sidecar: Sidecar) -> None:
    hosts = manager()
    hosts.register(Nameless("long"), "x" * 300)
    assert pluggy_integration.instrument(hosts, sidecar) == 1
    hosts.register(Nameless("odd"), "odd")
    describe: Any = lambda plugin, registered: ("a\nb", None)  # noqa: E731
    assert pluggy_integration.instrument(hosts, sidecar, describe=describe) == 1
    assert names(sidecar) == {("x" * 200, "0", "many"), ("a\ufffdb", "None", "many")}
    assert sorted(hosts.hook.many()) == ["long", "odd"]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes distributions with entry points in a folder on the path."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name: str, version: str | None, group: str, *points: str, module: str = "") -> None:
        folder = tmp_path / f"{name}-{version or 0}.dist-info"
        folder.mkdir()
        told = f"Version: {version}\n" if version else ""
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\n{told}")
        (folder / "entry_points.txt").write_text(f"[{group}]\n" + "\n".join(points) + "\n")
        if module:
            (tmp_path / f"{name}_mod.py").write_text(module)

    yield install
    for module in [known for known in sys.modules if known.endswith("_mod")]:
        del sys.modules[module]


def test_two_pluggy_plugins_of_one_distribution_have_gates_of_their_own(installed: Any, sidecar: Sidecar) -> None:
    module = """
import pluggy
impl = pluggy.HookimplMarker("t")
class One:
    @impl
    def many(self): raise ValueError("one")
class Two:
    @impl
    def many(self): return "two"
one, two = One(), Two()
"""
    installed("pair", "1.2", "t.plugins", "one = pair_mod:one", "two = pair_mod:two", module=module)
    hosts = manager()
    assert hosts.load_setuptools_entrypoints("t.plugins") == 2
    pluggy_integration.instrument(hosts, sidecar)
    assert names(sidecar) == {("pair", "1.2", "one.many"), ("pair", "1.2", "two.many")}


# -- entry points ---------------------------------------------------------------------------------------------------------


def test_a_failing_entry_point_does_not_take_its_distributions_others_down(installed: Any, sidecar: Sidecar) -> None:
    module = "def csv(x): raise ValueError('csv')\ndef xml(x): return 'xml'\n"
    installed("pack", "1.0", "t.load", "csv = pack_mod:csv", "xml = pack_mod:xml", module=module)
    loaded = {one.name: one for one in entry_points.load("t.load", sidecar)}
    for _ in range(40):
        with pytest.raises((ValueError, CallNotPermitted)):
            loaded["csv"].object(1)
    assert loaded["xml"].object(1) == "xml"
    assert names(sidecar) == {
        ("pack", "1.0", operation) for operation in ("csv.load", "xml.load", "csv.call", "xml.call")
    }


def test_one_entry_point_that_cannot_be_loaded_keeps_no_other_out(installed: Any, sidecar: Sidecar) -> None:
    installed("aexits", "1", "t.load", "exits = aexits_mod:x", module="import sys\nsys.exit('pip install more')\n")
    installed(
        "bskips",
        "1",
        "t.load",
        "skips = bskips_mod:x",
        module="import pytest\npytest.skip('not here', allow_module_level=True)\n",
    )
    installed("cbare", None, "t.load", "bare = cbare_mod:x", module="def x(): return 'bare'\n")
    installed("dgood", "2", "t.load", "good = dgood_mod:x", module="def x(): return 'good'\n")
    loaded = {one.name: one for one in entry_points.load("t.load", sidecar)}
    assert isinstance(loaded["exits"].error, SystemExit)
    assert loaded["exits"].object is None
    assert isinstance(loaded["skips"].error, pytest.skip.Exception)
    assert (loaded["bare"].version, loaded["bare"].object()) == ("0", "bare")
    assert loaded["good"].object() == "good"


def test_the_hosts_own_end_is_not_taken_for_a_plugins(installed: Any, sidecar: Sidecar) -> None:
    installed("stops", "1", "t.load", "stops = stops_mod:x", module="raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        list(entry_points.load("t.load", sidecar))


# -- methods --------------------------------------------------------------------------------------------------------------


class Base:
    def work(self) -> str:
        return f"base of {type(self).__name__}"

    async def wait(self) -> str:
        return "waited"

    def items(self) -> Iterator[int]:
        yield 1

    @classmethod
    def made(cls) -> str:
        return cls.__name__

    @staticmethod
    def plain() -> str:
        return "plain"


METHODS = ("work", "wait", "items", "made", "plain")


def family() -> tuple[type[Any], type[Any], type[Any]]:
    """A class, one that calls it by way of `super()`, and one that only inherits."""
    parent = type("Parent", (Base,), {name: vars(Base)[name] for name in METHODS})

    class Child(parent):  # type: ignore[misc, valid-type]
        def work(self) -> str:
            return "child, " + str(super().work())

        async def wait(self) -> str:
            return "child " + str(await super().wait())

        def items(self) -> Iterator[int]:
            yield from super().items()
            yield 2

        @classmethod
        def made(cls) -> str:
            return "child " + str(super().made())

    return parent, Child, type("Heir", (parent,), {})


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)], ids=["base first", "base last"])
def test_a_call_counts_once_though_super_is_observed_too_and_as_its_own_class(
    sidecar: Sidecar, order: tuple[int, ...]
) -> None:
    kinds = family()
    for number in order:
        wrap_methods(sidecar, kinds[number], METHODS, plugin="p", version="1", prefix=f"{kinds[number].__name__}.")
    expected = {
        "Parent": ("base of Parent", "waited", [1], "Parent", "plain"),
        "Child": ("child, base of Child", "child waited", [1, 2], "child Child", "plain"),
        "Heir": ("base of Heir", "waited", [1], "Heir", "plain"),
    }
    for kind in kinds:
        one = kind()
        found = (one.work(), asyncio.run(one.wait()), list(one.items()), kind.made(), one.plain())
        assert found == expected[kind.__name__]
    for kind in kinds:
        for name in METHODS:
            assert outcomes(sidecar, f"{kind.__name__}.{name}") == {("success", ""): 1}, (kind, name)


def test_an_object_that_is_observed_is_counted_once_though_its_class_is_too(sidecar: Sidecar) -> None:
    parent, child, _ = family()
    one = child()
    wrap_methods(sidecar, one, ["work"], plugin="object", version="1", prefix="object.")
    wrap_methods(sidecar, parent, ["work"], plugin="parent", version="1", prefix="parent.")
    assert one.work() == "child, base of Child"
    assert child().work() == "child, base of Child"
    assert outcomes(sidecar, "object.work") == {("success", ""): 1}
    assert outcomes(sidecar, "parent.work") == {("success", ""): 1}


class Slotted:
    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 3

    def work(self) -> int:
        return self.number


@dataclass(frozen=True)
class Frozen:
    number: int = 3

    def work(self) -> int:
        return self.number


class Model(pydantic.BaseModel):
    number: int = 3

    def work(self) -> int:
        return self.number


class Open(pydantic.BaseModel, extra="allow"):
    number: int = 3

    def work(self) -> int:
        return self.number


@pytest.mark.parametrize("kind", [Slotted, Frozen, Model, Open])
def test_an_object_that_takes_no_attributes_is_observed_all_the_same(sidecar: Sidecar, kind: type[Any]) -> None:
    one = kind()
    assert wrap_methods(sidecar, one, ["work"], plugin="p", version="1") == 1
    assert wrap_methods(sidecar, one, ["work"], plugin="p", version="1") == 0
    assert one.work() == 3
    assert outcomes(sidecar, "work") == {("success", ""): 1}
    if isinstance(one, pydantic.BaseModel):
        assert one.model_dump() == {"number": 3}
        assert one == kind()


def test_what_cannot_be_observed_is_named_when_all_others_are(sidecar: Sidecar) -> None:
    from stevedore.extension import Extension, ExtensionManager

    point = importlib.metadata.EntryPoint("x", f"{__name__}:Frozen", "g")
    extensions: Any = [Extension(name, point, type(made), made) for name, made in (("c", b""), ("d", Frozen()))]
    with pytest.raises(ConfigurationError, match=r"c: methods: .* cannot be exchanged"):
        stevedore.instrument(ExtensionManager.make_test_instance(extensions[:1]), sidecar, methods=["hex"])
    with pytest.raises(ConfigurationError, match="c: methods: c has no method work"):
        stevedore.instrument(ExtensionManager.make_test_instance(extensions), sidecar, methods=["work"])
    assert extensions[1].obj.work() == 3
    assert outcomes(sidecar, "work") == {("success", ""): 1}
