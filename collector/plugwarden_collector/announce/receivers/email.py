"""E-mail by SMTP: plain text, in a thread, for the library waits. An end answers its beginning, so that readers show them as one."""

from __future__ import annotations

import asyncio
import hashlib
import smtplib
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any

from plugwarden_collector.rules.receiver import Mail, Receiver, Tls

from ..message import RESOLVED
from ..notice import Notice
from ..text import joined, text_of
from .answer import Answer, Verdict
from .post import TIMEOUT_SECONDS
from .sender import Occasion

__all__ = ["Email"]

WHOLE_SECONDS = 30.0
"""Longest time of one delivery in all: a server may look a sender up before it greets, and reads a message before it answers."""
THREADS = 4
"""Deliveries at once, to all mail servers together."""
MAX_SUBJECT = 200


class Email:
    """What is sent by mail, and how."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "plugwarden-mail")

    def close(self) -> None:
        """Let the threads go; a delivery that is under way ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def form(self, receiver: Receiver, notice: Notice, occasion: Occasion) -> dict[str, Any]:
        """Return the parts of a message; an address is no secret, a password is not among them."""
        mail = _mail_of(receiver)
        texts = [text_of(item, occasion.public_url) for item in notice.messages]
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
        """Hand it to the mail server."""
        mail, session = _mail_of(receiver), _Session()
        work = asyncio.get_running_loop().run_in_executor(
            self._threads, session.deliver, mail, message_of(form, attempt)
        )
        try:
            async with asyncio.timeout(WHOLE_SECONDS):
                return await work
        except TimeoutError:
            return Answer(Verdict.MISSED, f"the mail server took longer than {WHOLE_SECONDS:g} s")
        finally:
            session.close()


def message_of(form: Mapping[str, Any], attempt: str) -> EmailMessage:
    """Return the message of its parts. Headers hold one line each: the policy refuses more."""
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"] = form["from"], ", ".join(form["to"])
    message["Subject"], message["Date"] = form["subject"], form["date"]
    domain = form["thread"].partition("@")[2]
    message["Message-ID"] = form["id"] or f"<{attempt}@{domain}"
    if form["id"] != form["thread"]:
        message["In-Reply-To"] = message["References"] = form["thread"]
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody answers it that they are on holiday
    message["Plugwarden-Attempt"] = attempt
    message.set_content(form["text"], charset="utf-8")
    return message


class _Session:
    """One conversation with a mail server, which can be cut off from another thread."""

    def __init__(self) -> None:
        self._server: smtplib.SMTP | None = None
        self._closed = False

    def close(self) -> None:
        """Cut it off: whoever reads from it reads its end."""
        self._closed = True
        socket = None if self._server is None else self._server.sock
        if socket is not None:
            with suppress(OSError):
                socket.shutdown(2)

    def deliver(self, mail: Mail, message: EmailMessage) -> Answer:
        """Return what a mail server made of a message. What it says is not told: it may name who logs in."""
        try:
            return self._deliver(mail, message)
        except smtplib.SMTPRecipientsRefused as refused:
            codes = sorted({code for code, _ in refused.recipients.values()})
            return _refused(min(codes), f"every recipient ({', '.join(map(str, codes))})")
        except smtplib.SMTPResponseException as problem:
            return _refused(problem.smtp_code, type(problem).__name__.removeprefix("SMTP"))
        except smtplib.SMTPNotSupportedError as problem:
            return Answer(Verdict.REFUSED, f"the mail server cannot do what the rules ask for: {problem}")
        except Exception as problem:  # noqa: BLE001 - told to whoever asked, and the others want their alerts
            return Answer(Verdict.MISSED, f"no answer of the mail server ({type(problem).__name__})")

    def _deliver(self, mail: Mail, message: EmailMessage) -> Answer:
        context = ssl.create_default_context()
        if mail.tls is Tls.TLS:
            server: smtplib.SMTP = smtplib.SMTP_SSL(timeout=TIMEOUT_SECONDS, context=context)
        else:
            server = smtplib.SMTP(timeout=TIMEOUT_SECONDS)
        self._server = server
        server._host = mail.host  # type: ignore[attr-defined] # the name that its certificate must have
        with server:
            server.connect(mail.host, mail.port)
            if self._closed:
                raise TimeoutError
            if mail.tls is Tls.STARTTLS:
                server.starttls(context=context)
            if mail.username is not None and mail.password is not None:
                server.login(mail.username, mail.password)
            refused = server.send_message(message, mail.sender, list(mail.to))
        if refused:
            return Answer(Verdict.TAKEN, f"the mail server refused {len(refused)} of {len(mail.to)} recipients")
        return Answer(Verdict.TAKEN)


def _refused(code: int, what: str) -> Answer:
    later = 400 <= code < 500 or code < 0
    return Answer(Verdict.MISSED if later else Verdict.REFUSED, f"the mail server answered {code} to {what}")


def _identity(receiver: Receiver, notice: Notice, mail: Mail, begun: bool) -> str:
    """Return the identity of a group's thread, or with its beginning, of its first message: the same however often it is sent."""
    since = notice.begun.isoformat() if begun else ""
    digest = hashlib.sha256(f"{receiver.name}\n{notice.group}\n{since}".encode("utf-8", "replace")).hexdigest()
    return f"<{digest[:32]}@{mail.sender.rpartition('@')[2].strip('[]')}>"


def _mail_of(receiver: Receiver) -> Mail:
    if receiver.mail is None:
        raise ValueError(f"{receiver.name} is no receiver by mail")
    return receiver.mail
