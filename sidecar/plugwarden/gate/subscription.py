"""Directives from the collector: a held request in a thread of its own, and a file that survives restarts."""

from __future__ import annotations

import encodings.idna  # noqa: F401 - the resolver's; else it is imported by the first connection, on our thread
import functools
import http.client
import json
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path

from plugwarden.admittance import OWN_TOKEN, Admittance
from plugwarden.chance import chance
from plugwarden.contract import DirectiveSet, MalformedDirective
from plugwarden.contract.directive import MAX_DIRECTIVES, MAX_SET_BYTES
from plugwarden.files import read_private, replace_private, settle_in
from plugwarden.lifetime.fork import at_work
from plugwarden.timed_response import TimedResponse

__all__ = ["DirectiveFile", "Subscription", "is_news", "read_set"]

WAIT_SECONDS = 20.0
"""How long the collector may hold a request before it answers that nothing changed."""
_UNCHANGED_PAUSE_SECONDS = 0.1
"""A collector that does not hold requests must not be asked in a tight loop."""
_BACKOFF_FIRST_SECONDS, _BACKOFF_MAX_SECONDS = 0.25, 10.0
MAX_NESTED = 5 * MAX_DIRECTIVES
"""Objects and lists in a set: four a directive and some around them. `json` holds the interpreter while it reads."""
MAX_VALUES = 1_000_000
"""Values in a set: a hundred a directive, most of them versions. Reading so many takes 40 ms."""
INSIST = 3
"""So many answers in a row with a lower revision than the one known are taken for what is in force: a lie of a higher one, told once,
would else make the sidecar deaf to whoever tells the truth. Fewer may be an answer that was overtaken."""
_OURS = frozenset({"directives.", "spool"})


class DirectiveFile:
    """The last directives seen, on disk, so that a restarted host starts with them even when the collector is gone."""

    def __init__(self, folder: Path | None) -> None:
        self.path = None if folder is None else folder / "directives.json"

    def load(self) -> DirectiveSet | None:
        """The stored set; None when there is none or it cannot be trusted."""
        if self.path is None:
            return None
        try:
            return read_set(read_private(self.path, 2 * MAX_SET_BYTES))  # as we write it, it is longer than as it came
        except (OSError, MalformedDirective):
            return None

    def save(self, directives: DirectiveSet) -> bool:
        """Replace the file in one step; False when the disk would not take it."""
        if self.path is None:
            return True
        try:
            settle_in(self.path.parent, _OURS)
            replace_private(self.path, json.dumps(directives.as_dict()))
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
        self._admittance = Admittance("directives", url, f"{OWN_TOKEN} to a token with the scope `directives`")
        self._insisted = 0
        """Answers in a row that told a lower revision."""

    @property
    def started(self) -> bool:
        """Whether it asks."""
        return self._thread is not None

    def start(self) -> None:
        """Start the thread; a second call does nothing, unless there was no room for one."""
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="plugwarden-directives", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                self._trouble("no_thread")
                return
            self._thread = thread

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
                self._admittance.note(True)
                if answer is not None:
                    with at_work():
                        self._apply(answer)
                else:
                    self._stopping.wait(_UNCHANGED_PAUSE_SECONDS)
                backoff = _BACKOFF_FIRST_SECONDS
                continue
            except _Denied:
                self._trouble("denied")
                self._admittance.note(False)
            except Exception as error:  # noqa: BLE001 - whatever the network or the collector does, the host keeps its directives
                if not self._stopping.is_set():  # `stop` cuts an answer short, which is nobody's trouble
                    malformed = isinstance(error, MalformedDirective)
                    self._trouble("malformed_directives" if malformed else "collector_unreachable")
            finally:
                self._close()
            self._stopping.wait(backoff * (0.5 + chance()))
            backoff = min(backoff * 2, _BACKOFF_MAX_SECONDS)

    def _ask(self) -> DirectiveSet | None:
        known = self._current()
        query = urllib.parse.urlencode(
            {**self._query, "after": known.revision, "epoch": known.epoch, "wait": WAIT_SECONDS}
        )
        # The answer may be held for WAIT_SECONDS; past half as much again, to its last byte, the collector is taken for gone.
        timeout = WAIT_SECONDS * 1.5
        deadline = time.monotonic() + timeout
        if self._url.scheme == "https":
            context = ssl.create_default_context()
            self._connection = http.client.HTTPSConnection(self._url.netloc, timeout=timeout, context=context)
        else:
            self._connection = http.client.HTTPConnection(self._url.netloc, timeout=timeout)
        self._connection.response_class = functools.partial(TimedResponse, deadline=deadline)  # type: ignore[assignment]
        self._connection.request("GET", f"{self._url.path}/api/v1/directives?{query}", headers=self._headers)
        response = self._connection.getresponse()
        body = response.read(MAX_SET_BYTES + 1)
        if response.status == 204:
            return None
        if response.status in {401, 403}:
            raise _Denied
        if response.status != 200:
            raise ConnectionError(f"the collector answered {response.status}")
        if len(body) > MAX_SET_BYTES:
            raise MalformedDirective(f"an answer above {MAX_SET_BYTES} bytes")
        answer = read_set(body)
        self._insisted = self._insisted + 1 if is_older(answer, known) else 0
        return answer if is_news(answer, known, self._insisted) else None

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _Denied(Exception):
    """The collector does not let us in."""


def is_older(answer: DirectiveSet, known: DirectiveSet) -> bool:
    """Whether an answer tells of a time before what is known."""
    return answer.epoch == known.epoch and answer.revision < known.revision


def is_news(answer: DirectiveSet, known: DirectiveSet, insisted: int) -> bool:
    """Whether an answer takes the place of what is known, the `insisted`-th in a row that is older where it is."""
    if is_older(answer, known):
        return insisted >= INSIST
    return answer.epoch != known.epoch or answer.revision > known.revision


def read_set(body: bytes) -> DirectiveSet:
    """A directive set as JSON; raises `MalformedDirective`, whatever the bytes are."""
    if len(body) > 2 * MAX_SET_BYTES:
        raise MalformedDirective(f"more than {2 * MAX_SET_BYTES} bytes")
    if body.count(b"{") + body.count(b"[") > MAX_NESTED or body.count(b",") > MAX_VALUES:
        raise MalformedDirective("more values than its directives can have")
    try:
        # Decoded here: `json` would guess other encodings from the first bytes, and import their codecs into the host.
        return DirectiveSet.from_dict(json.loads(body.decode("utf-8")))
    except RecursionError as error:
        raise MalformedDirective("nested too deeply") from error
    except MalformedDirective:
        raise
    except ValueError as error:  # also letters that are none, and numbers of thousands of digits
        raise MalformedDirective("not JSON") from error
