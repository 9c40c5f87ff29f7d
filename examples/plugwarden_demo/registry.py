"""The downstream that three plugins share: a small HTTP service, in a process of its own, that can be made slow."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from urllib.parse import parse_qs, urlsplit

__all__ = ["main"]

IDLE_SECONDS = 60.0


class _Registry:
    def __init__(self) -> None:
        self.delay_seconds = 0.002
        self._seen: dict[str, int] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        try:
            while True:
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), IDLE_SECONDS)
                target = head.split(b" ", 2)[1].decode("latin-1")
                await asyncio.sleep(self.delay_seconds)
                body = json.dumps(self._answer(target)).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
                )
                writer.write(body)
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError, IndexError):
            pass  # the client went away, or never spoke HTTP
        finally:
            writer.close()

    def _answer(self, target: str) -> dict[str, object]:
        url = urlsplit(target)
        key = f"{url.path}?{sorted(parse_qs(url.query).items())}"[:500]
        if len(self._seen) > 10_000:
            self._seen.clear()
        self._seen[key] = self._seen.get(key, 0) + 1
        return {"seen": self._seen[key]}


async def _main(host: str, port: int) -> None:
    registry = _Registry()
    server = await asyncio.start_server(registry.serve, host, port)
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    print(json.dumps({"event": "ready", "port": server.sockets[0].getsockname()[1]}), flush=True)

    def command() -> None:
        line = sys.stdin.readline()
        if not line:
            stopping.set()
            loop.remove_reader(sys.stdin)
        else:
            registry.delay_seconds = float(line)

    if not port:  # on a port of its own choice it belongs to whoever reads which; its end is its owner's
        loop.add_reader(sys.stdin, command)
    await stopping.wait()
    server.close()


def main() -> None:
    """Serve until stdin closes (each line on it is the new delay in seconds), or on HOST PORT until SIGTERM."""
    host, port = (sys.argv[1], int(sys.argv[2])) if len(sys.argv) == 3 else ("127.0.0.1", 0)
    asyncio.run(_main(host, port))


if __name__ == "__main__":
    main()
