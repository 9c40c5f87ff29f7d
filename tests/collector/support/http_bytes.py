"""Bytes that are almost HTTP, on a real connection: what the parser and the protocol make of them."""

from __future__ import annotations

import re
import socket
from random import Random

__all__ = ["almost_http", "statuses"]

PATIENCE_SECONDS = 60.0
"""Longer than the collector waits for a head or a body."""
_HEAD = b"host: localhost\r\ncontent-type: application/x-protobuf\r\n"
_REQUESTS = (
    b"POST /v1/traces HTTP/1.1\r\n" + _HEAD + b"content-length: 2\r\n\r\n\x0a\x00",
    b"POST /v1/metrics HTTP/1.1\r\n"
    + _HEAD
    + b"transfer-encoding: chunked\r\n\r\n2\r\n\x0a\x00\r\n0\r\nx-t: a\r\n\r\n",
    b"POST /v1/logs HTTP/1.0\r\n"
    + _HEAD
    + b"connection: keep-alive\r\nexpect: 100-continue\r\ncontent-length: 0\r\n\r\n",
    b"OPTIONS /v1/logs HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
    b"GET http://localhost/v1/traces?x=%ff HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-key: x\r\nsec-websocket-version: 13\r\n\r\n",
    b"CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n",
    b"GET /%E0%A4%A HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
)
_PIECES = (
    b"\r\n", b"\n", b"\r", b"\0", b"\xff\xfe", b" ", b":", b"a" * 3_000, b"HTTP/9.9", b"ffffffffffffffff\r\n",
    b"content-length: -1\r\n", b"content-length: 99999999999999999999\r\n", b"transfer-encoding: chunked\r\n",
    b"transfer-encoding: gzip, chunked\r\n", b"expect: 100-continue\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"upgrade: h2c\r\nconnection: upgrade, http2-settings\r\n",
)  # fmt: skip


def almost_http(random: Random) -> list[bytes]:
    """One to several requests, damaged in up to five places, in the pieces that they are sent in."""
    data = bytearray(random.choice(_REQUESTS))
    for _ in range(random.randint(0, 5)):
        at = random.randrange(len(data) + 1)
        match random.randrange(5):
            case 0:
                data[at : at + 1] = bytes([random.randrange(256)])
            case 1:
                data[at:at] = random.choice(_PIECES)
            case 2:
                del data[at : at + random.randint(1, 8)]
            case 3:
                del data[at:]
            case _:
                data += random.choice(_REQUESTS)
    cut = random.randrange(len(data) + 1)
    return [part for part in (bytes(data[:cut]), bytes(data[cut:])) if part]


def statuses(address: str, parts: list[bytes]) -> list[int]:
    """What is answered until the collector hangs up; raises `TimeoutError` when it does not."""
    host, port = address.split(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as client:
        try:
            for part in parts:
                client.sendall(part)
            client.shutdown(socket.SHUT_WR)
            while data := client.recv(65536):
                answer += data
        except ConnectionError:
            pass
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3})", answer)]
