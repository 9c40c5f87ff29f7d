"""The answer to a query as it arrives: batches, and at the end how it went."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pyarrow as pa

__all__ = ["ApiError", "RowStream", "Unreachable"]

TRAILER = b"plugwarden"


class ApiError(Exception):
    """The collector refused; the message says why and what to do."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(f"{title}: {detail}" if detail else title)
        self.status = status
        self.detail = detail

    @property
    def unanswered(self) -> bool:
        """Whether the collector is there and cannot answer: it knows no such route, is in trouble, or takes too long."""
        return self.status in {404, 405} or self.status >= 500


class Unreachable(ApiError):
    """There is no collector at the address, or it did not answer in time."""

    def __init__(self, url: str, why: str, *, slow: bool = False) -> None:
        super().__init__(0, f"no collector answers at {url}", why)
        self.slow = slow
        """Whether the question reached it: an act may be done all the same."""

    @property
    def unanswered(self) -> bool:
        """Whether the collector is there and cannot answer."""
        return self.slow


class RowStream:
    """Iterate once over the batches; raises `ApiError` where the query failed or the stream was cut off."""

    def __init__(self, answer: httpx2.Response) -> None:
        try:
            self._reader = pa.ipc.open_stream(io.BufferedReader(_Body(answer)))
        except pa.ArrowException as error:
            raise _cut_off() from error
        self.schema: pa.Schema = self._reader.schema
        """Names and types of the columns."""
        self.truncated = False
        """Whether rows were left out: known at the end."""
        self.cause: str | None = None
        """`rows` or `bytes`: which limit it was."""
        self.elapsed_ms: float | None = None
        """How long the query took: known at the end."""

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """The batches, none of them empty."""
        while True:
            try:
                batch, metadata = self._reader.read_next_batch_with_custom_metadata()
            except (StopIteration, pa.ArrowException, OSError) as error:
                raise _cut_off() from error
            if metadata is not None and TRAILER in metadata:
                self._end(json.loads(metadata[TRAILER]))
                return
            if len(batch):
                yield batch

    def _end(self, said: dict[str, Any]) -> None:
        self.elapsed_ms = said.get("elapsed_ms")
        self.cause = said.get("truncated")
        self.truncated = self.cause is not None
        if "error" in said:
            status = int(said.get("status", 400))
            title = "the query took too long" if status == 504 else "the query failed under way"
            raise ApiError(status, title, str(said["error"]))


class _Body(io.RawIOBase):
    """The body of an answer as a file."""

    def __init__(self, answer: httpx2.Response) -> None:
        self._pieces = answer.iter_bytes()
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            try:
                self._left = memoryview(next(self._pieces, b""))
            except httpx2.HTTPError as error:
                raise OSError(str(error)) from error
            if not self._left:
                return 0
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


def _cut_off() -> ApiError:
    return ApiError(0, "the answer was cut off", "the collector ended, or the query took too long")
