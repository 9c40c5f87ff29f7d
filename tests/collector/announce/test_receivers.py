"""Each kind of receiver, on real sockets: what it is sent, what its answers mean, and that nothing secret or hostile is in it."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.announce.message import FIRING, RESOLVED, Ending, Message
from plugwarden_collector.announce.notice import Notice
from plugwarden_collector.announce.receivers import email as email_receiver
from plugwarden_collector.announce.receivers.alertmanager import LASTS, LATE, Alertmanager
from plugwarden_collector.announce.receivers.answer import Answer, Verdict
from plugwarden_collector.announce.receivers.apprise import Apprise
from plugwarden_collector.announce.receivers.email import Email, message_of
from plugwarden_collector.announce.receivers.pagerduty import PagerDuty
from plugwarden_collector.announce.receivers.post import http_client, verdict_of
from plugwarden_collector.announce.receivers.sender import Occasion
from plugwarden_collector.announce.receivers.senders import open_senders
from plugwarden_collector.announce.receivers.slack import Slack
from plugwarden_collector.announce.receivers.webhook import Webhook, timestamp
from plugwarden_collector.announce.signs import unlinked
from plugwarden_collector.announce.subject import Subject
from plugwarden_collector.rules.receiver import Mail, Receiver, ReceiverKind, Tls

from tests.collector.support.mail_server import DRIPS, HANGS, LATER, NEVER, MailServer, certificate_for
from tests.collector.support.moody_hook import FAILS, REFUSES, MoodyHook
from tests.collector.support.played_fleet import AT
from tests.collector.support.waiting import eventually

SECRET = "T0PS3CR3T"
SUBJECT = Subject(
    "q-1", {"alertname": "plugin quarantined", "severity": "page", "plugin": "csv"}, "csv@2 is quarantined", "more", AT,
    scope="csv@2", sure="37 of 40 calls were bad", error="TimeoutError", trace="ab" * 16, done="Calls are refused.",
    until="a person decides", todo="plugwarden release q-1 --reason", path="quarantine",
)  # fmt: skip
BEGUN = Message("x", FIRING, SUBJECT)
ENDED = Message("x", RESOLVED, SUBJECT, Ending(AT + timedelta(hours=1), "released", "ann", "enough"))
OCCASION = Occasion(AT + timedelta(hours=1), {}, "https://plugwarden.example.net/")
MAIL = Mail("127.0.0.1", 0, "plugwarden@example.net", ("ann@example.net",), Tls.NONE)


def notice(*messages: Message, first: bool = True) -> Notice:
    return Notice("x", "{}:{fingerprint=q-1}", {"plugin": "csv"}, messages, AT, first)


def receiver(kind: ReceiverKind, url: str = "", **more: Any) -> Receiver:
    return Receiver("x", url, kind=kind, **more)


def deliver(to: Receiver, *notices: Notice) -> tuple[list[Answer], list[dict[str, Any]]]:
    """Answers, and the forms that the log keeps."""

    async def run() -> tuple[list[Answer], list[dict[str, Any]]]:
        async with open_senders() as senders:
            sender = senders[to.kind]
            forms = [sender.form(to, item, OCCASION) for item in notices]
            return [await sender.send(to, form, f"n-{place}") for place, form in enumerate(forms)], forms

    return asyncio.run(run())


@pytest.fixture
def hook() -> Iterator[MoodyHook]:
    found = MoodyHook()
    yield found
    found.stop()


@pytest.fixture
def server() -> Iterator[MailServer]:
    found = MailServer()
    yield found
    found.stop()


def mailed(server: MailServer, **more: Any) -> Receiver:
    return receiver(ReceiverKind.EMAIL, mail=replace(MAIL, port=server.port, **more))


def test_a_webhook_gets_every_part_of_the_text_and_links(hook: MoodyHook) -> None:
    answers, _ = deliver(receiver(ReceiverKind.WEBHOOK, hook.url), notice(BEGUN), notice(ENDED))
    assert [answer.verdict for answer in answers] == [Verdict.TAKEN] * 2
    begun, ended = (item.body["alerts"][0] for item in hook.taken)
    assert begun["generatorURL"] == "https://plugwarden.example.net/quarantine"
    assert hook.taken[0].body["externalURL"] == "https://plugwarden.example.net/"
    assert {**begun["annotations"]}.items() >= {"error": "TimeoutError", "done": "Calls are refused."}.items()
    assert ended["annotations"]["description"].startswith("It was released by ann at ")
    assert "done" not in ended["annotations"]
    assert [item.attempt for item in hook.taken] == ["n-0", "n-1"]


def test_alertmanager_gets_alerts_that_end_by_themselves_and_when_they_end(hook: MoodyHook) -> None:
    away = "http://127.0.0.1:9"
    to = receiver(ReceiverKind.ALERTMANAGER, away, others=(hook.url.rstrip("/"),))
    late = replace(BEGUN, ended=Ending(AT))
    answers, _ = deliver(
        to,
        notice(BEGUN),
        notice(ENDED),
        notice(late),
        notice(replace(ENDED, ended=Ending(AT, told_at=AT + timedelta(hours=2)))),
    )
    assert [answer.verdict for answer in answers] == [Verdict.TAKEN] * 4, "one of two servers is enough"
    assert {item.path for item in hook.taken} == {"/api/v2/alerts"}
    assert {item.body[0]["annotations"]["told_by"] for item in hook.taken} == {"plugwarden"}, "it may come back to us"
    ends = [item.body[0]["endsAt"] for item in hook.taken]
    assert ends == [
        timestamp(OCCASION.at + LASTS), timestamp(AT + timedelta(hours=1)), timestamp(OCCASION.at + LATE),
        timestamp(AT + timedelta(hours=2) + LATE),
    ]  # fmt: skip


def test_slack_reads_no_sign_of_what_others_wrote(hook: MoodyHook) -> None:
    hostile = replace(SUBJECT, summary="<!channel> *x* & <http://evil/|here>", error="<@U1>")
    answers, _ = deliver(receiver(ReceiverKind.SLACK, hook.url), notice(replace(BEGUN, subject=hostile)))
    assert [answer.verdict for answer in answers] == [Verdict.TAKEN]
    body = hook.taken[0].body
    assert body["text"] == "‹!channel› ∗x∗ &amp; ‹http：//evil/|here›"
    assert {block["text"]["type"] for block in body["blocks"]} == {"plain_text"}
    assert "What you can do: plugwarden release q-1 --reason" in body["blocks"][1]["text"]["text"]


def test_pagerduty_gets_a_trigger_and_a_resolve_with_one_key(hook: MoodyHook) -> None:
    to = receiver(ReceiverKind.PAGERDUTY, hook.url, routing_key=SECRET)
    answers, forms = deliver(to, notice(BEGUN), notice(ENDED))
    assert [answer.verdict for answer in answers] == [Verdict.TAKEN] * 2
    assert [(item.body["event_action"], item.body["dedup_key"], item.body["routing_key"]) for item in hook.taken] == [
        ("trigger", "q-1", SECRET), ("resolve", "q-1", SECRET),
    ]  # fmt: skip
    assert hook.taken[0].body["payload"]["severity"] == "critical"
    assert SECRET not in json.dumps(forms), "the log of attempts holds no key"


@pytest.mark.parametrize(
    "kind",
    [kind for kind in ReceiverKind if kind not in (ReceiverKind.CLOUDEVENTS, ReceiverKind.EMAIL, ReceiverKind.APPRISE)],
)
def test_what_answers_over_http_mean(kind: ReceiverKind, hook: MoodyHook) -> None:
    to = receiver(kind, hook.url, routing_key="k")
    for mood, verdict in ((FAILS, Verdict.MISSED), (REFUSES, Verdict.REFUSED)):
        hook.moods = (mood,)
        answers, _ = deliver(to, notice(BEGUN))
        assert [answer.verdict for answer in answers] == [verdict]
    gone = replace(to, url="http://127.0.0.1:9/")
    answers, _ = deliver(gone, notice(BEGUN))
    assert [answer.verdict for answer in answers] == [Verdict.MISSED]


def test_a_receiver_says_how_long_to_leave_it_alone() -> None:
    assert verdict_of(429, "30") == Answer(Verdict.MISSED, "the receiver answered 429", 30.0)
    assert verdict_of(503, "Wed, 21 Oct 2026 07:28:00 GMT").wait_seconds == 0.0
    assert verdict_of(503, "inf").wait_seconds == 0.0
    assert verdict_of(202).verdict is Verdict.TAKEN
    assert verdict_of(400, "30") == Answer(Verdict.REFUSED, "the receiver answered 400")


class Endless:
    """A server that says something to whoever connects, and then the same for ever."""

    def __init__(self, first: bytes, again: bytes) -> None:
        self._first, self._again = first, again * 4_000
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.said_bytes = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self._listening.accept()
                with line, suppress(OSError):
                    line.sendall(self._first)
                    line.recv(65_536)
                    while True:
                        line.sendall(self._again)
                        self.said_bytes += len(self._again)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


def test_interim_answers_without_end_are_read_up_to_a_bound_and_a_piece_at_a_time() -> None:
    server = Endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n")
    (answer,), _ = deliver(receiver(ReceiverKind.WEBHOOK, f"http://127.0.0.1:{server.port}/"), notice(BEGUN))
    assert answer == Answer(Verdict.MISSED, "no end of the answer's headers within 64 KiB")
    server.close()


def test_a_reply_of_a_mail_server_without_end_is_read_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email_receiver, "WHOLE_SECONDS", 3600.0)
    server = Endless(b"220 mail.test\r\n", b"250-SIZE\r\n")
    to = receiver(ReceiverKind.EMAIL, mail=replace(MAIL, port=server.port))
    (answer,), _ = deliver(to, notice(BEGUN))
    assert answer == Answer(Verdict.MISSED, "the mail server's reply had more than 100 lines")
    server.close()


def test_an_end_by_mail_answers_its_beginning(server: MailServer) -> None:
    answers, _ = deliver(mailed(server), notice(BEGUN), notice(ENDED, first=False))
    assert [answer.verdict for answer in answers] == [Verdict.TAKEN] * 2
    begun, ended = server.taken
    assert begun["Subject"] == "[plugwarden page] csv@2 is quarantined"
    assert ended["Subject"] == "[plugwarden over] Over: csv@2 is quarantined"
    assert ended["In-Reply-To"] == ended["References"] == begun["Message-ID"]
    assert ended["Message-ID"] != begun["Message-ID"]
    assert begun["Auto-Submitted"] == "auto-generated"
    text = begun.get_content()
    for part in ("page: somebody should look now", "37 of 40", "TimeoutError", "Calls are refused", "a person decides",
                 "plugwarden release", "https://plugwarden.example.net/quarantine", "trace?trace_id=abab"):  # fmt: skip
        assert part in text
    assert "It was released by ann" in ended.get_content()


def test_a_group_by_mail_is_one_thread_and_no_two_messages_have_one_identity(server: MailServer) -> None:
    """Before, a group that began anew was sent with the identity of its first beginning, which mail servers take for a copy."""
    first, again = notice(BEGUN), replace(notice(BEGUN), begun=AT + timedelta(days=1))
    sent = [first, notice(BEGUN, first=False), again, again]
    deliver(replace(mailed(server), group_by=("plugin",)), *sent)
    identities = [item["Message-ID"] for item in server.taken]
    assert len(set(identities)) == 3
    assert identities[2] == identities[3], "one that was tried again is the same"
    assert len({item["References"] for item in server.taken}) == 1


@pytest.mark.parametrize(
    ("mood", "verdict"),
    [(LATER, Verdict.MISSED), (NEVER, Verdict.REFUSED), (HANGS, Verdict.MISSED), (DRIPS, Verdict.MISSED)],
)
def test_what_answers_of_a_mail_server_mean(
    mood: str, verdict: Verdict, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(email_receiver, "WHOLE_SECONDS", 0.8)
    server.mood = mood
    answers, _ = deliver(mailed(server), notice(BEGUN))
    assert [answer.verdict for answer in answers] == [verdict], answers
    assert server.taken == []


@pytest.mark.parametrize(
    "name",
    ["=?utf-8?q?a=0d=0aReply-To:_evil@example.net=0d=0aContent-Type:_text/html=0d=0a=0d=0a<h1>owned</h1>?=", "=?utf-7?q?+2AA-?=",
     "=?unicode_escape?q?\\ud800?=", "=?=?utf-8?q?x?=?q?y?="],
)  # fmt: skip
def test_a_name_is_a_name_in_a_subject_whatever_it_encodes(name: str, server: MailServer) -> None:
    """Before, it wrote headers and the body of the mail, or kept it from being sent for ever."""
    begun = replace(BEGUN, subject=replace(SUBJECT, summary=f"{name} is quarantined"))
    answers, _ = deliver(mailed(server), notice(begun))
    assert [answer.verdict for answer in answers] == [Verdict.TAKEN]
    (mail,) = server.taken
    assert "Reply-To" not in mail
    assert mail.get_content_type() == "text/plain"
    shown = unlinked(name).replace("=?", "= ?")
    assert mail["Subject"].startswith(f"[plugwarden page] {shown}"[:60])
    assert "37 of 40" in mail.get_content()


def test_mail_servers_that_never_end_keep_neither_others_nor_the_end_waiting(
    server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, four threads were for all servers: the good one was told nothing, and the process did not end."""
    monkeypatch.setattr(email_receiver, "WHOLE_SECONDS", 5.0)
    bad = MailServer()
    bad.mood = DRIPS

    async def run() -> list[Answer]:
        async with open_senders() as senders:
            sender = senders[ReceiverKind.EMAIL]
            form = sender.form(mailed(server), notice(BEGUN), OCCASION)
            slow = [asyncio.create_task(sender.send(mailed(bad), form, f"n-{place}")) for place in range(12)]
            await asyncio.sleep(0.2)
            good = await sender.send(mailed(server), form, "n-good")
            for task in slow:
                task.cancel()
            await asyncio.gather(*slow, return_exceptions=True)
            return [good]

    assert asyncio.run(run()) == [Answer(Verdict.TAKEN)]
    eventually(lambda: not any(item.name == "plugwarden-mail" for item in threading.enumerate()), timeout=10)
    bad.stop()


@pytest.mark.parametrize("farewell", ["250 well", "421 away", ""])
def test_what_was_taken_is_taken_whatever_is_answered_to_the_goodbye(farewell: str, server: MailServer) -> None:
    """Before, it was sent again and again."""
    server.farewell = farewell
    answers, _ = deliver(mailed(server), notice(BEGUN))
    assert (answers, len(server.taken)) == ([Answer(Verdict.TAKEN)], 1)


def test_who_is_put_off_is_sent_it_later_and_alone(server: MailServer) -> None:
    """Before, it counted as sent."""
    to = mailed(server, to=("ann@example.net", "bob@example.net"))

    async def run() -> list[Answer]:
        async with open_senders() as senders:
            sender = senders[ReceiverKind.EMAIL]
            form = sender.form(to, notice(BEGUN), OCCASION)
            answers = []
            for put_off in ({"bob"}, {"bob"}, set[str]()):
                server.put_off = put_off
                answers.append(await sender.send(to, form, "n"))
            return answers

    assert asyncio.run(run()) == [
        Answer(Verdict.MISSED, "the mail server put off 1 of 2 recipients"),
        Answer(Verdict.MISSED, "the mail server answered 450 to every recipient (450)"),
        Answer(Verdict.TAKEN),
    ]
    assert len(server.taken) == 2


def test_no_cookie_is_kept_of_a_receiver(hook: MoodyHook) -> None:
    async def run() -> int:
        async with http_client() as client:
            request = client.build_request("POST", hook.url)
            answer = httpx2.Response(200, headers={"set-cookie": "a=b; Path=/"}, request=request)
            client.cookies.extract_cookies(answer)
            return len(client.cookies)

    assert asyncio.run(run()) == 0


def test_recipients_that_are_refused_are_told(server: MailServer) -> None:
    server.refused = {"bob"}
    to = mailed(server, to=("ann@example.net", "bob@example.net"))
    answers, _ = deliver(to, notice(BEGUN))
    assert answers == [Answer(Verdict.TAKEN, "the mail server refused 1 of 2 recipients")]
    server.refused = {"ann", "bob"}
    answers, _ = deliver(to, notice(BEGUN))
    assert answers == [Answer(Verdict.REFUSED, "the mail server answered 550 to every recipient (550)")]


@pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not installed: it makes the server's certificate"
)
def test_mail_is_encrypted_for_a_server_that_is_known_and_for_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = certificate_for("localhost", tmp_path)
    server = MailServer(certificate=certificate)
    try:
        to = mailed(server, host="localhost", tls=Tls.STARTTLS, username="ann", password="right")
        answers, _ = deliver(to, notice(BEGUN))
        assert [answer.verdict for answer in answers] == [Verdict.MISSED], "nobody vouches for it"
        assert server.logins == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        answers, _ = deliver(to, notice(BEGUN))
        assert [answer.verdict for answer in answers] == [Verdict.TAKEN]
        assert server.logins == [("ann", "right")]
        wrong = replace(to, mail=replace(to.mail or MAIL, password=SECRET))
        answers, forms = deliver(wrong, notice(BEGUN))
        assert [answer.verdict for answer in answers] == [Verdict.REFUSED]
        assert SECRET not in f"{answers} {forms} {wrong}"
    finally:
        server.stop()


def test_no_starttls_where_it_is_asked_for_is_refused(server: MailServer) -> None:
    answers, _ = deliver(mailed(server, tls=Tls.STARTTLS), notice(BEGUN))
    assert [answer.verdict for answer in answers] == [Verdict.REFUSED]
    assert server.taken == []


def test_without_apprise_what_it_would_take_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    answers, _ = deliver(receiver(ReceiverKind.APPRISE, f"json://127.0.0.1/{SECRET}"), notice(BEGUN))
    assert answers == [Answer(Verdict.MISSED, "apprise is not installed; pip install apprise")]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of its own, while it is loaded
@pytest.mark.skipif(find_spec("apprise") is None, reason="apprise is not installed (pip install apprise)")
def test_apprise_takes_a_title_and_a_text(hook: MoodyHook, caplog: pytest.LogCaptureFixture) -> None:
    to = receiver(ReceiverKind.APPRISE, f"json://127.0.0.1:{hook.server_port}/{SECRET}")
    answers, forms = deliver(to, notice(BEGUN))
    assert [answer.verdict for answer in answers] == [Verdict.TAKEN]
    assert hook.taken[0].body["title"] == "csv@2 is quarantined"
    assert "plugwarden release q-1 --reason" in hook.taken[0].body["message"]
    hook.moods = (FAILS,)
    missed, _ = deliver(to, notice(BEGUN))
    unknown, _ = deliver(replace(to, url=f"nosuch://{SECRET}"), notice(BEGUN))
    assert [answer.verdict for answer in (*missed, *unknown)] == [Verdict.MISSED, Verdict.REFUSED]
    assert SECRET not in f"{forms} {missed} {unknown} {caplog.text}"


TEXTS = st.text(max_size=300)


@given(TEXTS, TEXTS, TEXTS, st.booleans())
def test_whatever_telemetry_says_every_form_holds_it_as_text(summary: str, label: str, reason: str, over: bool) -> None:
    labels = {"alertname": label, "severity": "page", "plugin": label}
    subject = Subject(
        "k", labels, summary, label, datetime(2026, 1, 1), scope=label, error=reason, trace=label, path="alerts"
    )
    message = Message(
        "x", RESOLVED if over else FIRING, subject, Ending(AT, "released", label, reason) if over else None
    )
    client: Any = None
    for kind, sender in (
        (ReceiverKind.WEBHOOK, Webhook(client)), (ReceiverKind.ALERTMANAGER, Alertmanager(client)),
        (ReceiverKind.SLACK, Slack(client)), (ReceiverKind.PAGERDUTY, PagerDuty(client)),
    ):  # fmt: skip
        json.dumps(sender.form(receiver(kind), notice(message), OCCASION))
    json.dumps(Apprise().form(receiver(ReceiverKind.APPRISE), notice(message), OCCASION))
    form = Email().form(receiver(ReceiverKind.EMAIL, mail=MAIL), notice(message), OCCASION)
    sent = message_of(json.loads(json.dumps(form)), "n-1").as_bytes()
    head = sent.partition(b"\r\n\r\n")[0].decode("ascii")
    names = {line.partition(":")[0] for line in head.split("\r\n") if not line.startswith((" ", "\t"))}
    assert names <= {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Plugwarden-Attempt", "Content-Type",
        "Content-Transfer-Encoding", "MIME-Version", "In-Reply-To", "References",
    }  # fmt: skip
