"""What is wrapped is copied, pickled and sent to other processes as it was before."""

from __future__ import annotations

import concurrent.futures
import copy
import multiprocessing
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from plugwarden import Sidecar

from tests.sidecar.support import callables_host as host


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_wrapped_function_runs_in_a_process_pool(method: str) -> None:
    context = multiprocessing.get_context(method)
    with warnings.catch_warnings(), concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        warnings.simplefilter("ignore", DeprecationWarning)
        assert pool.submit(host.run, (1.0, 2.0), exact=True).result(60) == [1.0, 2.0, 2, True]


def test_a_function_is_pickled_and_copied_by_reference_as_any_function_is() -> None:
    for wrapped in (host.run, host.asked, host.counted, host.streamed, host.decorated):
        assert pickle.loads(pickle.dumps(wrapped)) is wrapped
        assert copy.deepcopy(wrapped) is wrapped
        assert copy.copy(wrapped) is wrapped


def observed_calls(operation: str) -> int:
    return next(known.calls for known in host.sidecar.operations if known.scope.operation == operation)


ACROSS: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))]
across = pytest.mark.parametrize("copied", ACROSS, ids=["copy", "deepcopy", "pickle"])


@across
def test_a_copy_of_an_object_is_one_of_its_own_and_observed_too(copied: Callable[[Any], Any]) -> None:
    other = copied(host.scorer)
    assert other is not host.scorer
    assert other.__wrapped__ is not host.scorer.__wrapped__
    assert type(other.__wrapped__) is host.Scorer
    assert isinstance(other, host.Scorer)
    other.weight = 5
    before = observed_calls("score")
    assert (other(10), host.scorer(10)) == (50, 20)
    assert observed_calls("score") == before + 2
    del host.scorer.seen[:]
    assert (other.seen is host.scorer.seen) is (copied is copy.copy)  # a shallow copy shares what is in it
    assert copied(host.half)((1.0, 2.0)) == [1.0, 2.0, 7, False]
    assert copied(host.half) is not host.half


@across
def test_a_pickle_holds_the_state_that_the_object_has_now(copied: Callable[[Any], Any]) -> None:
    host.scorer.weight = 9
    try:
        data = copied(host.scorer)
    finally:
        host.scorer.weight = 2
    assert data.weight == 9


def test_a_deep_copy_of_what_refers_to_itself_refers_to_itself(sidecar: Sidecar) -> None:
    wrapped: Any = sidecar.wrap(host.Scorer(1), plugin="p", version="1", operation="x")
    wrapped.parts.append(wrapped)
    other = copy.deepcopy({"one": wrapped, "again": wrapped})
    assert other["one"] is other["again"] is other["one"].parts[0]
    assert other["one"] is not wrapped


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_is_whatever_the_objects_own_copy_answers(sidecar: Sidecar, copied: Callable[[Any], Any]) -> None:
    class Own:
        answer: Any = None

        def __call__(self) -> None: ...

        def __copy__(self) -> Any:
            return self.answer

        def __deepcopy__(self, memo: Any) -> Any:
            return self.answer

    original = Own()
    wrapped: Any = sidecar.wrap(original, plugin="p", version="1", operation="x")
    for answer in (None, [1], 7):
        original.answer = answer
        assert copied(wrapped) == answer
    original.answer = original
    assert copied(wrapped) is wrapped

    class Refuses(Own):
        def __copy__(self) -> Any:
            raise TypeError("mine")

        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("mine")

    with pytest.raises(TypeError, match="mine"):
        copied(sidecar.wrap(Refuses(), plugin="p", version="1", operation="x"))
