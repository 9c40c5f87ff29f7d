"""Hostile requests at the receiver: always an answer, in the right encoding, and never a thing stored half."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Iterator
from random import Random

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.collector.conftest import Running
from tests.collector.support.fuzz_inputs import GENERATORS, Input
from tests.collector.support.fuzz_receiver import Outcome, Receiver, fault, kept
from tests.collector.support.otlp_client import SIGNALS
from tests.share import repetitions

QUIET = settings(
    max_examples=repetitions(400),
    deadline=None,  # the machine is shared
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
RANDOM = st.randoms(use_true_random=False)


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[asyncio.Runner, Receiver]]:
    with asyncio.Runner() as runner:
        made = runner.run(Receiver.opened(tmp_path_factory.mktemp("fuzz")))
        made.stored()
        yield runner, made
        made.close()


@pytest.mark.parametrize("kind", GENERATORS)
def test_what_is_acknowledged_is_stored_and_what_is_refused_is_not(
    receiver: tuple[asyncio.Runner, Receiver], kind: str
) -> None:
    runner, made = receiver

    @QUIET
    @given(RANDOM)
    def check(random: Random) -> None:
        item = GENERATORS[kind][0](random)
        outcomes = runner.run(made.answers([item]))
        stored = made.stored()
        assert fault(item, outcomes[0]) is None
        assert stored == kept(outcomes)

    check()


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_crowd_of_requests_is_stored_to_the_row(receiver: tuple[asyncio.Runner, Receiver], kind: str) -> None:
    runner, made = receiver
    random = Random(kind)
    items = [GENERATORS[kind][0](random) for _ in range(repetitions(500))]
    outcomes = runner.run(made.answers(items))
    assert made.stored() == kept(outcomes)
    assert [found for found in map(fault, items, outcomes) if found] == []
    assert made.judged() is None


def test_a_server_answers_all_of_them_and_goes_on(shared: Running) -> None:
    host, _, port = shared.http.removeprefix("http://").rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)

    @QUIET
    @given(RANDOM, st.sampled_from([kind for kind in GENERATORS if kind != "headers"]))
    def check(random: Random, kind: str) -> None:
        item = GENERATORS[kind][0](random)
        outcome = over(connection, item)
        assert outcome.status in {200, 400, 413}
        assert outcome.headers is not None
        assert outcome.headers[b"content-type"].decode() == item.kind

    check()
    connection.close()
    assert shared.collector.writer.alive


def over(connection: http.client.HTTPConnection, item: Input) -> Outcome:
    """The same over a real connection, kept open."""
    headers = {name.decode(): value.decode() for name, value in item.headers}
    connection.request("POST", item.path, item.body, headers)
    answer = connection.getresponse()
    found = {name.lower().encode(): value.encode() for name, value in answer.getheaders()}
    return Outcome(answer.status, found, answer.read())


def test_grpc_answers_all_of_them_and_never_with_unknown(shared: Running) -> None:
    with grpc.insecure_channel(shared.grpc) as channel:
        exports = {
            signal: channel.unary_unary(f"/{service}/Export", None, response.FromString)
            for signal, (service, _, response) in SIGNALS.items()
        }

        @QUIET
        @given(RANDOM, st.sampled_from(["wire", "message", "deep", "packed", "numbers"]))
        def check(random: Random, kind: str) -> None:
            item = GENERATORS[kind][0](random)
            try:
                exports[item.path.rpartition("/")[2]](item.body, timeout=30)
            except grpc.RpcError as error:
                assert error.code() in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}  # noqa: PT017 - there may be none

        check()
