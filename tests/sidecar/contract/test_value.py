"""Values are frozen dataclasses to whoever looks, and nothing is compiled for them."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from typing import Any

import pytest
from plugwarden import BreakerPolicy, ConfigurationError, Settings
from plugwarden.contract import Directive, DirectiveSet, Scope
from plugwarden.contract.value import value


@value
class Point:
    """A value of the test's."""

    x: float
    y: float = 0.0
    tags: list[str] = dataclasses.field(default_factory=list)
    note: str = dataclasses.field(default="", repr=False, compare=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Same:
    """The same as Python makes it."""

    x: float
    y: float = 0.0
    tags: list[str] = dataclasses.field(default_factory=list)
    note: str = dataclasses.field(default="", repr=False, compare=False)


@pytest.mark.parametrize(
    ("args", "named"),
    [((1.0,), {}), ((1.0, 2.0), {"note": "n"}), ((), {"x": 1.0}), ((1.0, 2.0, ["a"], "n"), {})],
)
def test_a_value_is_made_shown_and_taken_apart_as_a_dataclass_is(args: Any, named: Any) -> None:
    made, wanted = Point(*args, **named), Same(*args, **named)
    assert dataclasses.astuple(made) == dataclasses.astuple(wanted)
    assert repr(made) == repr(wanted).replace("Same", "Point")
    assert dataclasses.astuple(dataclasses.replace(made, x=9.0)) == dataclasses.astuple(
        dataclasses.replace(wanted, x=9.0)
    )
    assert [one.name for one in dataclasses.fields(made)] == [one.name for one in dataclasses.fields(wanted)]
    for copied in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert copied == made
        assert copied.note == made.note


@pytest.mark.parametrize(
    ("args", "named"), [((), {}), ((1.0,), {"x": 1.0}), ((1.0,), {"z": 1.0}), ((1.0, 2.0, [], "n", 5), {})]
)
def test_arguments_that_do_not_fit_are_type_errors(args: Any, named: Any) -> None:
    for kind in (Point, Same):
        with pytest.raises(TypeError):
            kind(*args, **named)


def test_two_are_equal_by_what_is_compared_and_cannot_be_changed() -> None:
    assert Point(1.0, note="a") == Point(1.0, note="b") != Point(2.0)
    assert Point(1.0) != Same(1.0)  # of another class
    assert hash(Scope("p", "1")) == hash(Scope("p", "1"))
    assert len({Scope("p"), Scope("p"), Scope("q")}) == 2
    made: Any = Point(1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.x = 2.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        del made.x
    with pytest.raises((AttributeError, TypeError)):
        made.other = 1
    assert Point(1.0).tags is not Point(1.0).tags


def test_a_values_signature_names_its_fields() -> None:
    assert list(inspect.signature(BreakerPolicy).parameters)[:2] == ["window_seconds", "window_calls"]
    assert inspect.signature(Point).parameters["y"].default == 0.0
    assert str(inspect.signature(Point).parameters["x"]) == str(inspect.signature(Same).parameters["x"])


def test_what_a_value_checks_itself_is_checked_and_a_secret_is_not_shown() -> None:
    with pytest.raises(ConfigurationError, match="failure_rate"):
        BreakerPolicy(failure_rate=2.0)
    assert "hunter2" not in repr(Settings.load(environ={}, token="hunter2"))
    assert DirectiveSet("e", 1, (), ("refused",), 1) == DirectiveSet("e", 1)
    assert Directive.__doc__


def test_a_host_may_extend_a_policy() -> None:
    @dataclasses.dataclass(frozen=True)
    class Strict(BreakerPolicy):
        failure_rate: float = 0.1

    assert (Strict().failure_rate, Strict().open_seconds) == (0.1, BreakerPolicy().open_seconds)


def test_dataclasses_is_not_asked_for_a_value_before_somebody_asks_for_its_fields() -> None:
    @value
    class Lone:
        """One that nobody looked at yet."""

        x: int
        y: list[int] = dataclasses.field(default_factory=list)

    made = Lone(1)
    assert (made.x, made.y, repr(made), made == Lone(1)) == (1, [], repr(Lone(1)), True)
    untouched = [type(vars(Lone)[name]) for name in ("__dataclass_fields__", "__dataclass_params__")]
    assert dict not in untouched
    assert dataclasses.is_dataclass(Lone)
    assert dataclasses.fields(made)[0].name == "x"
    assert dataclasses.fields(Lone)[1].default_factory is list
    assert type(vars(Lone)["__dataclass_fields__"]) is dict
    lone: Any = Lone
    assert (Lone.__module__, Lone.__doc__, lone.__match_args__) == (
        __name__,
        "One that nobody looked at yet.",
        ("x", "y"),
    )
