"""`GET /api/v1/backup`: the store as a file, streamed to whoever may administer it. Nothing is written on this side."""

import asyncio
import json
import logging

from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from plugwarden_collector.api.described import Routes, sends
from plugwarden_collector.api.parts import Parts, peer
from plugwarden_collector.clock import Clock
from plugwarden_collector.errors import StoreError
from plugwarden_collector.store import Database, Writer
from plugwarden_collector.store.backup import Backup, open_backup

__all__ = ["MANIFEST_HEADER", "backup_routes"]

MANIFEST_HEADER = "x-plugwarden-manifest"
STALLED_SECONDS = 60.0
"""A client that takes nothing for this long is given up: it holds off checkpoints."""
_log = logging.getLogger(__name__)
_SENDS = sends("application/vnd.duckdb")
_SENDS[200]["headers"] = {
    MANIFEST_HEADER: {"description": "What the file must hold, as JSON", "required": True, "schema": {"type": "string"}}
}


def backup_routes(parts: Parts) -> Routes:
    """Return /api/v1/backup."""
    router = Routes()

    @router.get(
        "/api/v1/backup", tags=["store"], dependencies=[parts.needs("admin")], response_class=Response, responses=_SENDS
    )
    async def backup(request: Request) -> Response:
        """The database file as of now. `x-plugwarden-manifest` says what it must hold, as JSON."""
        parts.access.backup(request.state.principal.name, peer(request))
        return _BackupResponse(parts.database, parts.writer, parts.clock)

    return router


class _BackupResponse(Response):
    """Holds the backup open for exactly as long as it is sent: whatever ends the sending ends the hold."""

    def __init__(self, database: Database, writer: Writer, clock: Clock) -> None:
        super().__init__(media_type="application/vnd.duckdb")
        self._database = database
        self._writer = writer
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        async with open_backup(self._database, self._writer, self._clock) as backup:
            self.headers["content-length"] = str(backup.manifest.nbytes)
            self.headers[MANIFEST_HEADER] = json.dumps(backup.manifest.as_dict())
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            try:
                await _send(backup, request, send)
            except (StoreError, TimeoutError, OSError) as error:
                # The client sees a body shorter than announced, and keeps nothing of it.
                _log.error("a backup was given up: %s", str(error) or "the client takes nothing")


async def _send(backup: Backup, request: Request, send: Send) -> None:
    async for piece in backup.pieces():
        if await request.is_disconnected():
            _log.warning("a backup was given up: the client is gone")
            return
        async with asyncio.timeout(STALLED_SECONDS):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
