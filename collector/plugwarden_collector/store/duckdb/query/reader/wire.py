"""What the collector and a reader process say to each other: a header in JSON, bytes, and sometimes a descriptor."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["MAX_PAYLOAD_BYTES", "Channel", "Message"]

MAX_HEADER_BYTES = 8 * 1024 * 1024
"""Bytes of a header: a statement of 100,000 characters with 2 MiB of values, escaped."""
MAX_PAYLOAD_BYTES = 80 * 1024 * 1024
"""Bytes of a payload. Pieces of an answer are cut at a tenth of this (pieces.py); more is one row that nobody could pass on."""
_PREFIX = struct.Struct("<IQ")


@dataclass(frozen=True, slots=True)
class Message:
    """One message."""

    header: dict[str, Any]
    """What it is about; `kind` says which."""
    payload: bytes
    descriptor: int | None
    """The receiver closes it."""


class Channel:
    """One end of a socket pair. Any thread may send; one receives."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._sending = threading.Lock()

    def send(self, header: Mapping[str, Any], payload: bytes = b"", descriptor: int | None = None) -> None:
        """Send all of it; raises `OSError` when nobody is there, or nobody takes it in time."""
        head = json.dumps(header).encode()
        begin = _PREFIX.pack(len(head), len(payload)) + head
        with self._sending:
            sent = socket.send_fds(self._socket, [begin], [] if descriptor is None else [descriptor])
            self._socket.sendall(begin[sent:])
            if payload:
                self._socket.sendall(payload)

    def receive(self, timeout: float | None = None) -> Message | None:
        """The next message, or None when the other end has gone; raises `TimeoutError`, and `ValueError` for nonsense."""
        self._socket.settimeout(timeout)
        begin, descriptors, _, _ = socket.recv_fds(self._socket, _PREFIX.size, 1)
        descriptor = descriptors[0] if descriptors else None
        try:
            rest = self._exactly(_PREFIX.size - len(begin)) if begin else None
            if rest is None:
                return None
            head_bytes, payload_bytes = _PREFIX.unpack(begin + rest)
            if head_bytes > MAX_HEADER_BYTES or payload_bytes > MAX_PAYLOAD_BYTES:
                raise ValueError(f"a message of {head_bytes} and {payload_bytes} bytes")
            head, payload = self._exactly(head_bytes), self._exactly(payload_bytes)
            if head is None or payload is None:
                return None
            header = json.loads(head)
            if not isinstance(header, dict):
                raise ValueError("a header that is no object")
            taken, descriptor = descriptor, None
            return Message(header, payload, taken)
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def close(self) -> None:
        """Let go of this end."""
        self._socket.close()

    def _exactly(self, size: int) -> bytes | None:
        whole = bytearray(size)
        view, got = memoryview(whole), 0
        while got < size:
            count = self._socket.recv_into(view[got:])
            if not count:
                return None
            got += count
        return bytes(whole)
