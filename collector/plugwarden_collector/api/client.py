"""The HTTP API from Python: what the command, the dashboards and notebooks use (docs/notebooks/capacity.ipynb)."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import httpx2

from plugwarden_collector.web.paths import path_of

from .plans import Plans
from .refusals import ApiError, Unreachable

if TYPE_CHECKING:
    # More than half of the time that a command takes to start; only rows need them.
    import pandas as pd
    import pyarrow as pa

    from .row_stream import RowStream

__all__ = ["ApiError", "CollectorClient", "Path", "Unreachable"]

Path = str | tuple[str, ...]
"""A path that we wrote ourselves, or its segments, of which any may be a name from elsewhere: `("plugins", name, "series")`."""
ARROW = "application/vnd.apache.arrow.stream"
SLACK_SECONDS = 15.0
"""Beyond a query's own limit: it may have to wait for its turn."""
STREAM_TIMEOUT_SECONDS = 120.0
"""Without a byte: the first one of a backup comes after a checkpoint."""


class CollectorClient:
    """One collector. Thread-safe; close it, or use it as a context manager."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8420",
        *,
        token: str | None = None,
        timeout: float = 20.0,
        via: str | None = None,
    ) -> None:
        """`via` is for those who ask on behalf of somebody else: the collector then takes nobody for a local operator."""
        self.url = url.rstrip("/")
        self._timeout = timeout
        headers = {"authorization": f"Bearer {token}"} if token else {}
        if via is not None:
            headers["via"] = via
        # Plain HTTP asks for no certificates, and the machine's take 40 ms to read.
        verify = self.url.lower().startswith("https:") or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._http = httpx2.Client(base_url=self.url, headers=headers, timeout=timeout, trust_env=False, verify=verify)

    def get(self, path: Path, **parameters: Any) -> Any:
        """The JSON answer of a GET below /api/v1; parameters that are None are left out."""
        return self._ask("GET", _below(path), params={k: v for k, v in parameters.items() if v is not None}).json()

    def post(self, path: Path, body: Mapping[str, Any]) -> Any:
        """The JSON answer of a POST below /api/v1."""
        return self._ask("POST", _below(path), json={k: v for k, v in body.items() if v is not None}).json()

    def query(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        limit: int = 10_000,
        timeout_seconds: float = 15.0,
    ) -> pa.Table:
        """The rows of a read-only statement; the schema's metadata say under `truncated` whether there were more."""
        import pyarrow as pa

        with self.stream(sql, parameters, limit=limit, timeout_seconds=timeout_seconds) as rows:
            table = pa.Table.from_batches(list(rows), rows.schema)
        return table.replace_schema_metadata({"truncated": str(rows.truncated).lower()})

    def frame(self, sql: str, parameters: Mapping[str, Any] | None = None, *, limit: int = 10_000) -> pd.DataFrame:
        """The same as a pandas frame."""
        frame: pd.DataFrame = self.query(sql, parameters, limit=limit).to_pandas()
        return frame

    @contextmanager
    def stream(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        limit: int = 100_000_000,
        timeout_seconds: float = 300.0,
    ) -> Iterator[RowStream]:
        """The same batch by batch, in little memory. Leaving the block early ends the query."""
        from .row_stream import RowStream

        body = {"sql": sql, "params": dict(parameters or {}), "limit": limit, "timeout_seconds": timeout_seconds}
        patience = httpx2.Timeout(self._timeout, read=max(self._timeout, timeout_seconds + SLACK_SECONDS))
        try:
            with self._http.stream(
                "POST", "/api/v1/query", json=body, headers={"accept": ARROW}, timeout=patience
            ) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    raise _refusal(answer)
                yield RowStream(answer)
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error

    @property
    def plans(self) -> Plans:
        """Questions of planners of capacity, answered as pandas frames or Arrow tables."""
        return Plans(self.get)

    def download(self, path: Path, sink: BinaryIO, progress: Callable[[int, int], None]) -> Mapping[str, str]:
        """Write the answer of a GET below /api/v1 to a file, as it comes; return its headers.

        Raises `ApiError` also when it ends early. `progress` is told the bytes so far and in all.
        """
        try:
            with self._http.stream("GET", _below(path), timeout=STREAM_TIMEOUT_SECONDS) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    raise _refusal(answer)
                wanted, got = int(answer.headers.get("content-length", 0)), 0
                for piece in answer.iter_bytes():
                    sink.write(piece)
                    got += len(piece)
                    progress(got, wanted)
        except httpx2.HTTPError as error:
            raise Unreachable(self.url, f"the answer ended early: {error or type(error).__name__}") from error
        if got != wanted:
            raise Unreachable(self.url, f"the answer ended after {got} of {wanted} bytes")
        return answer.headers

    def ready(self) -> bool:
        """Whether the collector says that it is ready."""
        try:
            return self._http.get("/readyz").status_code == 200
        except httpx2.HTTPError:
            return False

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def __enter__(self) -> CollectorClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            answer = self._http.request(method, path, **options)
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error
        if answer.status_code >= 400:
            raise _refusal(answer)
        return answer

    def _unreachable(self, error: httpx2.HTTPError) -> Unreachable:
        late = isinstance(error, httpx2.TimeoutException)
        why = "it did not answer in time" if late else str(error) or type(error).__name__
        return Unreachable(self.url, why, slow=isinstance(error, httpx2.ReadTimeout))


def _below(path: Path) -> str:
    return f"/api/v1/{path if isinstance(path, str) else path_of(*path)}"


def _refusal(answer: httpx2.Response) -> ApiError:
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    title = str(problem.get("title", f"HTTP {answer.status_code}"))
    detail = str(problem.get("detail", ""))
    return ApiError(answer.status_code, title, detail, retry_after=answer.headers.get("retry-after"))
