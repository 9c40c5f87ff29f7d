"""Directives from the collector: a held request in a thread of its own, and a file that survives restarts."""

from __future__ import annotations

import http.client
import json
import os
import random
import ssl
import threading
import urllib.parse
from collections.abc import Callable
from pathlib import Path

from plugwarden.contract import DirectiveSet, MalformedDirective

__all__ = ["DirectiveFile", "Subscription"]

WAIT_SECONDS = 20.0
"""How long the collector may hold a request before it answers that nothing changed."""
MAX_BYTES = 8 * 1024 * 1024
"""A larger answer is refused unread: the collector it comes from is not ours."""
_UNCHANGED_PAUSE_SECONDS = 0.1
"""A collector that does not hold requests must not be asked in a tight loop."""
_BACKOFF_FIRST_SECONDS, _BACKOFF_MAX_SECONDS = 0.25, 10.0
_random = random.Random()  # noqa: S311 - the module's own generator is the host's


class DirectiveFile:
    """The last directives seen, on disk, so that a restarted host starts with them even when the collector is gone."""

    def __init__(self, folder: Path | None) -> None:
        self.path = None if folder is None else folder / "directives.json"

    def load(self) -> DirectiveSet | None:
        """The stored set; None when there is none or it cannot be trusted."""
        if self.path is None:
            return None
        try:
            return DirectiveSet.from_dict(json.loads(self.path.read_text("utf-8")))
        except (OSError, ValueError, RecursionError):
            return None

    def save(self, directives: DirectiveSet) -> bool:
        """Replace the file in one step; False when the disk would not take it."""
        if self.path is None:
            return True
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft = self.path.with_suffix(f".{os.getpid()}.tmp")
            draft.write_text(json.dumps(directives.as_dict()), "utf-8")
            draft.replace(self.path)
        except OSError:
            return False
        return True


class Subscription:
    """Asks the collector for directives newer than the last, for as long as the process lives."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None,
        query: dict[str, str],
        current: Callable[[], DirectiveSet],
        apply: Callable[[DirectiveSet], None],
        trouble: Callable[[str], None],
    ) -> None:
        self._url = urllib.parse.urlsplit(url)
        self._headers = {"accept": "application/json"}
        if token:
            self._headers["authorization"] = f"Bearer {token}"
        self._query = query
        self._current = current
        self._apply = apply
        self._trouble = trouble
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection: http.client.HTTPConnection | None = None

    def start(self) -> None:
        """Start the thread; a second call does nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="plugwarden-directives", daemon=True)
            self._thread.start()

    def stop(self, timeout: float) -> None:
        """End the thread; a held request is cut short."""
        self._stopping.set()
        connection = self._connection
        try:
            connection.sock.shutdown(2)  # type: ignore[union-attr]  # wakes the thread out of its read
        except (OSError, AttributeError):
            pass  # it is closed already, or between two requests
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        backoff = _BACKOFF_FIRST_SECONDS
        while not self._stopping.is_set():
            try:
                answer = self._ask()
                if answer is not None:
                    self._apply(answer)
                else:
                    self._stopping.wait(_UNCHANGED_PAUSE_SECONDS)
                backoff = _BACKOFF_FIRST_SECONDS
                continue
            except MalformedDirective:
                self._trouble("malformed_directives")
            except Exception:  # noqa: BLE001 - whatever the network or the collector does, the host keeps its directives
                self._trouble("collector_unreachable")
            finally:
                self._close()
            self._stopping.wait(backoff * (0.5 + _random.random()))
            backoff = min(backoff * 2, _BACKOFF_MAX_SECONDS)

    def _ask(self) -> DirectiveSet | None:
        known = self._current()
        query = urllib.parse.urlencode(
            {**self._query, "after": known.revision, "epoch": known.epoch, "wait": WAIT_SECONDS}
        )
        # The read may be held for WAIT_SECONDS; past half as much again the collector is taken for gone.
        timeout = WAIT_SECONDS * 1.5
        if self._url.scheme == "https":
            context = ssl.create_default_context()
            self._connection = http.client.HTTPSConnection(self._url.netloc, timeout=timeout, context=context)
        else:
            self._connection = http.client.HTTPConnection(self._url.netloc, timeout=timeout)
        self._connection.request("GET", f"{self._url.path}/api/v1/directives?{query}", headers=self._headers)
        response = self._connection.getresponse()
        body = response.read(MAX_BYTES + 1)
        if response.status == 204:
            return None
        if response.status != 200:
            raise ConnectionError(f"the collector answered {response.status}")
        if len(body) > MAX_BYTES:
            raise MalformedDirective(f"an answer above {MAX_BYTES} bytes")
        try:
            answer = DirectiveSet.from_dict(json.loads(body))
        except RecursionError as error:
            raise MalformedDirective("nested too deeply") from error
        except json.JSONDecodeError as error:
            raise MalformedDirective("not JSON") from error
        if answer.epoch == known.epoch and answer.revision <= known.revision:
            return None
        return answer

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
