"""What a sidecar makes of a collector's answers: a lie told once makes it deaf to nobody, and nothing holds it for ever."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler

import pytest
from plugwarden.contract import Action, Directive, DirectiveSet, MalformedDirective, Scope
from plugwarden.contract.directive import MAX_REVISION
from plugwarden.gate import subscription
from plugwarden.gate.subscription import INSIST, MAX_NESTED, is_news, read_set

from tests.sidecar.support.listener import Listener, collector

ISOLATED = (Directive("q", Action.ISOLATE, Scope("geo")),)


def tell(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    handler.send_response(200)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def test_a_lie_of_a_high_revision_makes_a_sidecar_deaf_to_nobody() -> None:
    truth = json.dumps(DirectiveSet("e", 7, ISOLATED).as_dict()).encode()
    with collector(lambda handler: tell(handler, truth)) as url:
        deafened = Listener(url, DirectiveSet("e", MAX_REVISION, ()))
        assert deafened.until(lambda: deafened.known.revision == 7)
        assert deafened.known.directives == ISOLATED


def test_a_body_that_comes_after_its_headers_is_read_though_the_connection_is_not_kept() -> None:
    truth = json.dumps(DirectiveSet("e", 7, ISOLATED).as_dict()).encode()

    def slowly(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", str(len(truth)))
        handler.send_header("connection", "close")
        handler.end_headers()
        time.sleep(0.2)
        handler.wfile.write(truth)

    with collector(slowly) as url:
        listener = Listener(url)
        assert listener.until(lambda: listener.known.revision == 7)
        assert listener.troubles == []


def test_an_answer_that_was_overtaken_takes_nothing_back() -> None:
    known = DirectiveSet("e", 8, ())
    older = DirectiveSet("e", 7, ISOLATED)
    assert [is_news(older, known, insisted) for insisted in range(1, INSIST + 1)] == [False] * (INSIST - 1) + [True]
    assert not is_news(known, known, 0)
    assert is_news(DirectiveSet("e", 9), known, 0)
    assert is_news(DirectiveSet("another", 1), known, 0)


@pytest.mark.parametrize("revision", [10**18, MAX_REVISION + 1, -1, 1.5, True, "7", None])
def test_a_revision_that_cannot_be_is_refused(revision: object) -> None:
    with pytest.raises(MalformedDirective, match="revision"):
        DirectiveSet.from_dict({"epoch": "e", "revision": revision, "directives": []})


@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff\xfe", b"1" * 10_000, b'{"revision": ' + b"9" * 5_000 + b"}", b"[" * 60_000, b"[[],[]]" * MAX_NESTED, b"null", b"",
     b'{"revision": 1, "directives": [], "epoch": 3}', b"[" * 40_000,
     b'{"revision": 1, "epoch": "", "directives": [' + b"1," * 1_000_001 + b"1]}"],
    ids=range(11),
)  # fmt: skip
def test_bytes_that_are_no_set_are_malformed_and_nothing_else(body: bytes) -> None:
    with pytest.raises(MalformedDirective):
        read_set(body)


def test_an_answer_in_another_encoding_imports_nothing_into_the_host() -> None:
    good = json.dumps(DirectiveSet("e", 7, ISOLATED).as_dict())
    code = (
        "import sys; from plugwarden.gate.subscription import read_set, MalformedDirective\nbefore = set(sys.modules)\n"
    )
    for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-16"):
        code += f"try: read_set({good.encode(encoding)!r})\nexcept MalformedDirective: print('refused')\n"
    code += "print(set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:-1] == ["refused"] * 5 + ["set()"]


def test_a_list_of_versions_has_an_end() -> None:
    raw = {**ISOLATED[0].as_dict(), "newcomers": {"known_versions": ["1"] * 2_001, "share_ratio": 0.1}}
    found = DirectiveSet.from_dict({"revision": 1, "directives": [raw]})
    assert found.directives == ()
    assert "known_versions" in found.refused[0]


@pytest.mark.parametrize("what", ["headers", "body"])
def test_an_answer_that_comes_a_byte_at_a_time_is_given_up(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "WAIT_SECONDS", 0.4)
    over = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        start = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n" + (b"" if what == "headers" else b"\r\n")
        handler.wfile.write(start)
        try:
            for _ in range(200):
                handler.wfile.write(b"x")
                handler.wfile.flush()
                if over.wait(0.05):
                    break
        except OSError:
            pass  # it hung up

    with collector(drip) as url:
        listener = Listener(url)
        assert listener.until(lambda: "collector_unreachable" in listener.troubles, 5)
        over.set()
