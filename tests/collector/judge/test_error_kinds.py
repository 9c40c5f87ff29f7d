"""What an error's name says of where it comes from."""

from __future__ import annotations

import pytest
from plugwarden_collector.judge.causes.error_kinds import ErrorKind, alike, kind_of, leading_kind, waited_out


@pytest.mark.parametrize(
    "name",
    [
        "ConnectionError", "ConnectionRefusedError", "requests.exceptions.ConnectTimeout", "TimeoutError", "socket.gaierror",
        "BrokenPipeError", "ssl.SSLCertVerificationError", "UNAVAILABLE", "DEADLINE_EXCEEDED", "503", "HTTP_502",
        "HTTPError503: 503", "ECONNREFUSED", "java.net.UnknownHostException", "TooManyRequests", "redis.exceptions.RedisError",
        "java.io.EOFException", "MemoryError", "psycopg.OperationalError", "timeout",
    ],
)  # fmt: skip
def test_what_points_at_the_world_outside(name: str) -> None:
    assert kind_of(name) is ErrorKind.OUTWARD


@pytest.mark.parametrize(
    "name",
    [
        "KeyError", "builtins.ValueError", "TypeError", "AttributeError", "ZeroDivisionError", "AssertionError", "panic",
        "java.lang.NullPointerException", "System.NullReferenceException", "java.lang.ArrayIndexOutOfBoundsException",
        "RangeError", "UnicodeDecodeError", "json.decoder.JSONDecodeValueError",
    ],
)  # fmt: skip
def test_what_points_at_the_plugins_own_code(name: str) -> None:
    assert kind_of(name) is ErrorKind.INWARD


@pytest.mark.parametrize(
    "name", ["", "GeoError", "Failed", "error", "CustomException", "OSError", "java.io.IOException"]
)
def test_what_tells_nothing(name: str) -> None:
    assert kind_of(name) is ErrorKind.UNTOLD


def test_the_leading_kind_has_most_of_the_calls() -> None:
    assert leading_kind({"KeyError": 10, "TimeoutError": 90}) is ErrorKind.OUTWARD
    assert leading_kind({"KeyError": 50, "TimeoutError": 50}) is ErrorKind.UNTOLD
    assert leading_kind({}) is ErrorKind.UNTOLD


def test_errors_are_alike_by_name_or_by_pointing_outward() -> None:
    assert alike({"GeoError": 5}, {"GeoError": 900})
    assert alike({"ConnectionError": 5}, {"TimeoutError": 900})
    assert not alike({"KeyError": 5}, {"TypeError": 5})
    assert not alike({"KeyError": 5}, {"ConnectionError": 5})
    assert alike({}, {"ConnectionError": 5})


@pytest.mark.parametrize(
    ("errors", "passed"),
    [
        ({"timeout": 6, "KeyError": 5}, True),
        ({"overdue": 3, "socket.timeout": 3, "ConnectionError": 5}, True),
        ({"DEADLINE_EXCEEDED": 1}, True),
        ({"asyncio.exceptions.TimeoutError": 1}, True),
        ({"timeout": 5, "KeyError": 5}, False),
        ({"ConnectionError": 9}, False),
        ({"timeouts.KeyError": 9}, False),
        ({}, False),
    ],
)
def test_deadlines_passed_where_most_errors_say_so(errors: dict[str, int], *, passed: bool) -> None:
    assert waited_out(errors) is passed
