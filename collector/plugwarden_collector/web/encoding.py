"""Content encodings undone within a limit, so that a bomb costs no more than an honest request of that size."""

from __future__ import annotations

import zlib

from plugwarden_collector.errors import MalformedTelemetryError, PayloadTooLargeError

__all__ = ["ENCODINGS", "MAX_BODY_BYTES", "inflate", "sniff"]

MAX_BODY_BYTES = 20 * 1024 * 1024
"""Bytes of a body, before and after decompression. OTLP recommends 20 MiB for HTTP; gRPC's own default is 4 MiB."""
ENCODINGS = ("gzip", "deflate", "identity")
"""What a client may use; OTLP asks for the first and the last, Python's exporters offer all three."""

_CHUNK_BYTES = 64 * 1024
_MAX_MEMBERS = 1000
"""A gzip file is a series of members (RFC 1952, 2.2). Empty ones cost 20 bytes each and a decoder each."""
_GZIP_MAGIC = b"\x1f\x8b"


def inflate(body: bytes, encoding: str, limit: int = MAX_BODY_BYTES) -> bytes:
    """Undo one of `ENCODINGS`; raises `MalformedTelemetryError` or `PayloadTooLargeError`."""
    if encoding == "identity":
        return body
    view = memoryview(body)
    decoder = _decoder(body, encoding)
    parts: list[bytes] = []
    size = position = 0
    members = 1
    while position < len(view):
        if decoder.eof:
            members += 1
            if encoding == "deflate" or members > _MAX_MEMBERS:
                raise MalformedTelemetryError(f"bytes follow the end of the {encoding} data")
            decoder = _decoder(body, encoding)
        chunk = view[position : position + _CHUNK_BYTES]
        try:
            part = decoder.decompress(chunk, limit - size + 1)
        except zlib.error as error:
            raise MalformedTelemetryError(f"not {encoding}: {error}") from error
        size += len(part)
        if size > limit:
            raise PayloadTooLargeError(f"larger than {limit} bytes when decompressed")
        parts.append(part)
        position += len(chunk) - len(decoder.unused_data)
    if not decoder.eof:
        raise MalformedTelemetryError(f"the {encoding} data end too early")
    return b"".join(parts)


def sniff(message: bytes) -> str:
    """The encoding of a gRPC message, from its first two bytes.

    Both magic numbers are no way to begin an export request: gzip's would be a tag of a wire type that protobuf does
    not have, zlib's a field 15 where only field 1 exists.
    """
    if message[:2] == _GZIP_MAGIC:
        return "gzip"
    return "deflate" if _is_zlib(message) else "identity"


def _is_zlib(data: bytes) -> bool:
    # RFC 1950, 2.2: method 8 with a 32 KiB window, and the two bytes are a multiple of 31.
    return len(data) >= 2 and data[0] == 0x78 and (data[0] << 8 | data[1]) % 31 == 0


def _decoder(body: bytes, encoding: str) -> zlib._Decompress:
    if encoding == "gzip":
        return zlib.decompressobj(zlib.MAX_WBITS | 16)
    # HTTP's `deflate` is zlib's format (RFC 9110, 8.4.1.2), and some clients send the bare stream.
    return zlib.decompressobj(zlib.MAX_WBITS if _is_zlib(body) else -zlib.MAX_WBITS)
