"""The HTTP API from Python: what the command and the dashboards use."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

import httpx2
import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd  # half of the time that a command takes to start; only `frame` needs it

__all__ = ["ApiError", "CollectorClient", "Unreachable"]

ARROW = "application/vnd.apache.arrow.stream"
STREAM_TIMEOUT_SECONDS = 120.0
"""Without a byte: the first one of a backup comes after a checkpoint."""


class ApiError(Exception):
    """The collector refused; the message says why and what to do."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(f"{title}: {detail}" if detail else title)
        self.status = status
        self.detail = detail


class Unreachable(ApiError):
    """There is no collector at the address."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(0, f"no collector answers at {url}", why)


class CollectorClient:
    """One collector. Thread-safe; close it, or use it as a context manager."""

    def __init__(self, url: str = "http://127.0.0.1:8420", *, token: str | None = None, timeout: float = 20.0) -> None:
        self.url = url.rstrip("/")
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._http = httpx2.Client(base_url=self.url, headers=headers, timeout=timeout, trust_env=False)

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON answer of a GET below /api/v1; parameters that are None are left out."""
        return self._ask("GET", f"/api/v1/{path}", params={k: v for k, v in parameters.items() if v is not None}).json()

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON answer of a POST below /api/v1."""
        return self._ask("POST", f"/api/v1/{path}", json={k: v for k, v in body.items() if v is not None}).json()

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None, *, limit: int = 10_000) -> pa.Table:
        """The rows of a read-only statement."""
        body = {"sql": sql, "params": dict(parameters or {}), "limit": limit}
        answer = self._ask("POST", "/api/v1/query", json=body, headers={"accept": ARROW})
        with pa.ipc.open_stream(io.BytesIO(answer.content)) as stream:
            table = stream.read_all()
        return table.replace_schema_metadata({"truncated": answer.headers.get("x-truncated", "false")})

    def frame(self, sql: str, parameters: Mapping[str, Any] | None = None, *, limit: int = 10_000) -> pd.DataFrame:
        """The same as a pandas frame."""
        frame: pd.DataFrame = self.query(sql, parameters, limit=limit).to_pandas()
        return frame

    def download(self, path: str, sink: BinaryIO, progress: Callable[[int, int], None]) -> Mapping[str, str]:
        """Write the answer of a GET below /api/v1 to a file, as it comes; answers its headers.

        Raises `ApiError` also when it ends early. `progress` is told the bytes so far and in all.
        """
        try:
            with self._http.stream("GET", f"/api/v1/{path}", timeout=STREAM_TIMEOUT_SECONDS) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    _refused(answer)
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
        except httpx2.TimeoutException as error:
            raise Unreachable(self.url, "it did not answer in time") from error
        except httpx2.HTTPError as error:
            raise Unreachable(self.url, str(error) or type(error).__name__) from error
        if answer.status_code >= 400:
            _refused(answer)
        return answer


def _refused(answer: httpx2.Response) -> NoReturn:
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    title = str(problem.get("title", f"HTTP {answer.status_code}"))
    raise ApiError(answer.status_code, title, str(problem.get("detail", "")))
