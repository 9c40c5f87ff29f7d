"""E-mail by SMTP: plain text, in threads, for the library waits. An end answers its beginning, so that readers show them as one."""

from __future__ import annotations

import asyncio
import hashlib
import smtplib
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any

from plugwarden_collector.rules.receiver import Mail, Receiver, Tls

from ..message import RESOLVED
from ..notice import Notice
from ..signs import unlinked
from ..text import joined, text_of
from .answer import Answer, Verdict
from .apart import apart
from .post import TIMEOUT_SECONDS
from .sender import Occasion

__all__ = ["Email"]

WHOLE_SECONDS = 30.0
"""Longest time of one delivery in all: a server may look a sender up before it greets, and reads a message before it answers."""
MAX_PUT_OFF = 1_000
"""Messages of which is known who has them already; of the oldest beyond that, all recipients are sent another."""
MAX_SUBJECT = 200
MAX_LINES = 100
"""Lines of one reply: servers name two or three dozen extensions."""


class Email:
    """What is sent by mail, and how."""

    def __init__(self) -> None:
        self._took: dict[str, frozenset[str]] = {}
        """Of what a mail server put off for some recipients: who has it already, so that it is offered to the others alone."""

    def form(self, receiver: Receiver, notice: Notice, occasion: Occasion) -> dict[str, Any]:
        """Return the parts of a message; an address is no secret, a password is not among them."""
        mail = _mail_of(receiver)
        texts = [text_of(item, occasion.public_url, unlinked) for item in notice.messages]
        more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
        worst = "page" if any(item.subject.severity == "page" for item in notice.messages) else "ticket"
        sign = "over" if notice.status == RESOLVED else worst
        return {
            "status": notice.status,
            "from": mail.sender,
            "to": list(mail.to),
            "subject": f"[plugwarden {sign}] {texts[0].title}{more}"[:MAX_SUBJECT],
            "date": format_datetime(occasion.at.replace(tzinfo=UTC)),
            # A group may end and begin anew, in the same thread; a subject by itself has one for each time.
            "thread": _identity(receiver, notice, mail, begun=receiver.group_by is None),
            "id": _identity(receiver, notice, mail, begun=True) if notice.first else None,
            "text": joined(texts) + "\n",
        }

    async def send(self, receiver: Receiver, form: Mapping[str, Any], attempt: str) -> Answer:
        """Hand it to the mail server, in a thread of its own: one that answers slowly holds up no other, nor the collector's end."""
        mail, session = _mail_of(receiver), _Session()
        what = _digest(receiver.name, *(str(form[key]) for key in ("thread", "status", "subject", "text")))
        took = self._took.pop(what, frozenset[str]())
        to = [item for item in mail.to if item not in took]
        message = message_of(form, attempt)
        try:
            async with asyncio.timeout(WHOLE_SECONDS):
                sent = await apart("mail", lambda: session.deliver(mail, message, to))
        except TimeoutError:
            sent = _Sent(Answer(Verdict.MISSED, f"the mail server took longer than {WHOLE_SECONDS:g} s"))
        finally:
            session.close()
        took |= sent.took
        if took and sent.answer.verdict is Verdict.REFUSED:  # by those that were left
            return Answer(Verdict.TAKEN, f"the mail server refused {len(to)} of {len(mail.to)} recipients")
        if took and sent.answer.verdict is Verdict.MISSED:
            self._took[what] = took
            while len(self._took) > MAX_PUT_OFF:
                del self._took[next(iter(self._took))]
        return sent.answer


def message_of(form: Mapping[str, Any], attempt: str) -> EmailMessage:
    """Return the message of its parts. Headers hold one line each: the policy refuses more."""
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"] = form["from"], ", ".join(form["to"])
    # The library reads encoded words in what it is given: a name could be one, and hold line ends and headers.
    message["Subject"], message["Date"] = form["subject"].replace("=?", "= ?"), form["date"]
    domain = form["thread"].partition("@")[2]
    message["Message-ID"] = form["id"] or f"<{attempt}@{domain}"
    if form["id"] != form["thread"]:
        message["In-Reply-To"] = message["References"] = form["thread"]
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody answers it that they are on holiday
    message["Plugwarden-Attempt"] = attempt
    message.set_content(form["text"], charset="utf-8")
    return message


@dataclass(frozen=True, slots=True)
class _Sent:
    """What came of a delivery."""

    answer: Answer
    took: frozenset[str] = frozenset()
    """Recipients that it was taken for, where it was put off for others."""


class _Session:
    """One conversation with a mail server, which can be cut off from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._line: socket.socket | None = None
        """The connection, by a handle of its own: the one below TLS belongs to that alone."""
        self._closed = False

    def note(self, line: socket.socket) -> None:
        """Remember the connection, as soon as there is one."""
        with self._lock:
            if self._closed:
                line.close()
                raise TimeoutError
            self._line = line.dup()

    def close(self) -> None:
        """Cut it off: whoever reads from it reads its end."""
        with self._lock:
            self._closed = True
            if self._line is not None:
                with suppress(OSError):
                    self._line.shutdown(socket.SHUT_RDWR)

    def _end(self) -> None:
        with self._lock:
            if self._line is not None:
                self._line.close()
                self._line = None

    def deliver(self, mail: Mail, message: EmailMessage, to: Sequence[str]) -> _Sent:
        """Return what a mail server made of a message. What it says is not told: it may name who logs in."""
        try:
            return self._deliver(mail, message, to)
        except smtplib.SMTPRecipientsRefused as refused:
            codes = sorted({code for code, _ in refused.recipients.values()})
            return _Sent(_refused(min(codes), f"every recipient ({', '.join(map(str, codes))})"))
        except smtplib.SMTPResponseException as problem:
            return _Sent(_refused(problem.smtp_code, type(problem).__name__.removeprefix("SMTP")))
        except smtplib.SMTPNotSupportedError as problem:
            return _Sent(Answer(Verdict.REFUSED, f"the mail server cannot do what the rules ask for: {problem}"))
        except _EndlessReplyError:
            return _Sent(Answer(Verdict.MISSED, f"the mail server's reply had more than {MAX_LINES} lines"))
        except Exception as problem:  # noqa: BLE001 - told to whoever asked, and the others want their alerts
            return _Sent(Answer(Verdict.MISSED, f"no answer of the mail server ({type(problem).__name__})"))
        finally:
            self._end()

    def _deliver(self, mail: Mail, message: EmailMessage, to: Sequence[str]) -> _Sent:
        context = ssl.create_default_context()
        if mail.tls is Tls.TLS:
            server: _Plain = _Encrypted(timeout=TIMEOUT_SECONDS, context=context)
        else:
            server = _Plain(timeout=TIMEOUT_SECONDS)
        server.session = self
        server._host = mail.host  # type: ignore[attr-defined] # the name that its certificate must have
        try:
            server.connect(mail.host, mail.port)
            if mail.tls is Tls.STARTTLS:
                server.starttls(context=context)
            if mail.username is not None and mail.password is not None:
                server.login(mail.username, mail.password)
            refused = server.send_message(message, mail.sender, list(to))
            with suppress(OSError):
                server.putcmd("quit")  # it has the message, whatever it answers to that
        finally:
            server.close()
        if not refused:
            return _Sent(Answer(Verdict.TAKEN))
        later = [name for name, (code, _) in refused.items() if 400 <= code < 500]
        if later:
            answer = Answer(Verdict.MISSED, f"the mail server put off {len(later)} of {len(mail.to)} recipients")
            return _Sent(answer, frozenset(to) - frozenset(later))
        return _Sent(Answer(Verdict.TAKEN, f"the mail server refused {len(refused)} of {len(mail.to)} recipients"))


class _Plain(smtplib.SMTP):
    """Lets its session know of the connection before a word is read from it."""

    session: _Session

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        line: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc] # the one place where it is made
        self.session.note(line)
        return line

    def getreply(self) -> tuple[int, bytes]:
        """Return a reply, of so many lines at most: the library would read one without an end for as long as it lasts."""
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("not connected")
        self.file: Any = _Lines(self.file or self.sock.makefile("rb"))
        try:
            return super().getreply()
        finally:
            if isinstance(self.file, _Lines):  # it is None once the library has closed it
                self.file = self.file.source


class _EndlessReplyError(Exception):
    """A reply has more lines than any server has to say."""


class _Lines:
    """The lines of one reply."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self._left = MAX_LINES

    def readline(self, limit: int) -> bytes:
        """Return the next one."""
        self._left -= 1
        if self._left < 0:
            raise _EndlessReplyError
        line: bytes = self.source.readline(limit)
        return line

    def close(self) -> None:
        """Let the connection's file go."""
        self.source.close()


class _Encrypted(smtplib.SMTP_SSL, _Plain):
    """The same below TLS, before its handshake."""


def _refused(code: int, what: str) -> Answer:
    later = 400 <= code < 500 or code < 0
    return Answer(Verdict.MISSED if later else Verdict.REFUSED, f"the mail server answered {code} to {what}")


def _identity(receiver: Receiver, notice: Notice, mail: Mail, begun: bool) -> str:
    """Return the identity of a group's thread, or with its beginning, of its first message: the same however often it is sent."""
    since = notice.begun.isoformat() if begun else ""
    return f"<{_digest(receiver.name, notice.group, since)[:32]}@{mail.sender.rpartition('@')[2].strip('[]')}>"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()


def _mail_of(receiver: Receiver) -> Mail:
    if receiver.mail is None:
        raise ValueError(f"{receiver.name} is no receiver by mail")
    return receiver.mail
