"""A mail server over real sockets that takes, refuses, hangs, answers a byte at a time and is gone, and keeps what it took."""

from __future__ import annotations

import base64
import contextlib
import email
import email.policy
import socketserver
import ssl
import subprocess
import threading
import time
from email.message import EmailMessage
from pathlib import Path

TAKES, LATER, NEVER, HANGS, DRIPS = "takes", "later", "never", "hangs", "drips"
HANG_SECONDS = 20.0


class MailServer(socketserver.ThreadingTCPServer):
    """A server of one mood at a time."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, port: int = 0, certificate: Path | None = None) -> None:
        self.mood = TAKES
        self.taken: list[EmailMessage] = []
        self.logins: list[tuple[str, str]] = []
        self.refused: set[str] = set()
        """Recipients that it answers 550."""
        self.put_off: set[str] = set()
        """Recipients that it answers 450, as one does that knows no sender yet."""
        self.farewell = "221 bye"
        """What it answers to QUIT."""
        self.context = None
        if certificate is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate)
        super().__init__(("127.0.0.1", port), _Session)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing: that the other side has gone is what it is for."""

    def stop(self) -> None:
        """Be gone."""
        self.shutdown()
        self.server_close()


class _Session(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        if self.server.mood == HANGS:
            time.sleep(HANG_SECONDS)
            return
        self._say("220 mail.test")
        while line := self.rfile.readline().decode("utf-8").strip():
            word = line.upper()
            if word.startswith("EHLO"):
                extensions = ["mail.test", "SMTPUTF8", "8BITMIME", "AUTH PLAIN"]
                extensions += (
                    ["STARTTLS"] if self.server.context and not isinstance(self.request, ssl.SSLSocket) else []
                )
                for item in extensions[:-1]:
                    self._say(f"250-{item}")
                self._say(f"250 {extensions[-1]}")
            elif word == "STARTTLS" and self.server.context:
                self._say("220 go on")
                self.request = self.server.context.wrap_socket(self.request, server_side=True)
                self.connection = self.request
                self.setup()
            elif word.startswith("AUTH PLAIN"):
                _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
                self.server.logins.append((user, password))
                self._say("235 welcome" if password == "right" else "535 who are you")
            elif word.startswith("RCPT"):
                refused, later = self.server.refused, self.server.put_off
                answers = [(refused, "550 nobody"), (later, "450 not yet"), ({""}, "250 well")]
                self._say(next(answer for names, answer in answers if any(name in line for name in names)))
            elif word == "DATA":
                self._say("354 go on")
                self._data()
            elif word == "QUIT":
                self._say(self.server.farewell)
                return
            else:
                self._say("250 well")

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        self.connection.close()  # encrypted, it is another than the server closes

    def _data(self) -> None:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        if self.server.mood == TAKES:
            message = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            self.server.taken.append(message)
        self._say({TAKES: "250 taken", LATER: "451 later", NEVER: "554 never"}.get(self.server.mood, "250 taken"))

    def _say(self, text: str) -> None:
        data = f"{text}\r\n".encode()
        if self.server.mood != DRIPS:
            self.wfile.write(data)
            return
        with contextlib.suppress(OSError):
            for byte in data:
                self.wfile.write(bytes([byte]))
                time.sleep(0.2)


def certificate_for(host: str, folder: Path) -> Path:
    """Return a file with a certificate of a host's own, and its key."""
    file, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={host}", "-addext",
               f"subjectAltName=DNS:{host}", "-keyout", str(key), "-out", str(file)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text(file.read_text() + key.read_text())
    return both
