"""Hostile text in everything that people are sent: no link, mention, image, HTML or Markdown comes of it, and our links stay links."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from plugwarden.contract import QuarantineState, Scope
from plugwarden_collector.announce.message import FIRING, RESOLVED, Ending, Message
from plugwarden_collector.announce.notice import Notice
from plugwarden_collector.announce.receivers.alertmanager import Alertmanager
from plugwarden_collector.announce.receivers.apprise import Apprise
from plugwarden_collector.announce.receivers.email import Email
from plugwarden_collector.announce.receivers.pagerduty import PagerDuty
from plugwarden_collector.announce.receivers.sender import Occasion, Sender
from plugwarden_collector.announce.receivers.slack import Slack
from plugwarden_collector.announce.receivers.webhook import Webhook
from plugwarden_collector.announce.runbook import runbook_of
from plugwarden_collector.announce.signs import as_markdown, unlinked, unmarked
from plugwarden_collector.announce.subject import Subject, subject_of_alert, subject_of_quarantine
from plugwarden_collector.decide.alert import Alert, AlertRecord, AlertState
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.rules.policy import Enforcement, Policy
from plugwarden_collector.rules.receiver import Mail, Receiver, ReceiverKind, Tls

from tests.collector.support.played_fleet import AT

ATTACKS = (
    "<!channel>", "<!here|x>", "<@U012AB3CD>", "<#C024BE7LR>", "<https://evil.example/a|your bank>", "@here", "@everyone",
    "x@everyone", "@channel", "@ann", "https://evil.example/a", "HTTP://EVIL.EXAMPLE", "www.evil.example", "evil.com",
    "evil.com.br", "evil.com.com",
    "evil.co.uk", "evil.de?x", "evil.zip", "EVIL.TOP",
    "evil.example/a", "mailto:a@evil.com", "boss@evil.com", "javascript://x", "[you](https://evil.example/a)", "[you][1]",
    "[1]: /a", "![x](https://evil.example/p.png)", "<img src=x onerror=alert(1)>", "<b>", "&lt;b&gt;", "```", "`x`", "*x*",
    "**x**", "_x_", "__x__", "~~x~~", "~x~", "||x||", "# x", "> x", "- x", "+ x", "1. x", "12) x", "---", "===", "    x",
    "\\*x\\*", "$x$", "<https://evil.example/a>",
)  # fmt: skip
LINKED = re.compile(
    r"[a-z][a-z0-9+.-]*://|www\.|\b(mailto|javascript):|\bevil\.(com|co\.uk|de|zip|top|example/)|(?<!\w)@\w|@(everyone|here|channel)|@evil\.",
    re.IGNORECASE,
)
"""What readers of plain text make links and mentions of."""
SLACK = re.compile(r"<[!@#]|<https?:", re.IGNORECASE)
OURS = "https://plugwarden.example.net"
OCCASION = Occasion(AT + timedelta(hours=1), {}, OURS)
MAIL = Mail("127.0.0.1", 0, "plugwarden@example.net", ("ann@example.net",), Tls.NONE)
HELD = Quarantine(
    "q-1", Scope("csv", "2"), QuarantineState.QUARANTINED, "why", "ann", Enforcement.ENFORCE, AT, AT, None
)  # fmt: skip


def attacked(attack: str) -> list[Message]:
    """An alert and a quarantine that hold an attack wherever telemetry, a pushed alert or a person can put it, and its end."""
    record = AlertRecord(
        Alert("a-1", AlertState.FIRING, None, AT), "x", "page", "works", attack, attack, attack, attack, AT, None,
        {"total": 4, "bad": 4}, more={"owner": attack},
    )  # fmt: skip
    evidence = {"errors": {attack: 3}, "traces": ["ab" * 16], "prevented": [attack]}
    held = Quarantine(
        "q-1", Scope(attack, "2"), QuarantineState.QUARANTINED, attack, attack, Enforcement.ENFORCE, AT, AT, None,
        evidence=evidence,
    )  # fmt: skip
    whole = Subject(
        "c-1", {"severity": "page", "alertname": attack}, attack, attack, AT, scope=attack, sure=attack, error=attack,
        done=attack, until=attack, todo=attack,
    )  # fmt: skip
    found = [subject_of_alert(record), cast(Subject, subject_of_quarantine(held)), whole]
    found = [replace(item, runbook=f"{OURS}/wiki") for item in found]
    over = [Message("x", RESOLVED, item, Ending(AT, "released", attack, attack)) for item in found]
    return [*(Message("x", FIRING, item) for item in found), *over]


def formed(sender: Sender, kind: ReceiverKind, message: Message) -> dict[str, Any]:
    notice = Notice("x", "{}:{}", {}, (message,), AT, True)
    return sender.form(Receiver("x", "", kind=kind, mail=MAIL), notice, OCCASION)


@pytest.fixture(scope="module")
def client() -> httpx2.AsyncClient:
    return httpx2.AsyncClient()


def texts(value: Any) -> Iterator[str]:
    """Every text in a form."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def without_ours(text: str) -> str:
    """Return text without the links that we wrote."""
    return re.sub(rf"{re.escape(OURS)}/[\w?=%.&~-]*", "", text)


def marks(text: str) -> list[str]:
    """Return what a reader of Markdown makes of a text beside paragraphs of text and the rules between messages."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    found = [part for token in tokens for part in (token, *(token.children or ()))]
    return [
        part.type
        for part in found
        if part.type not in ("paragraph_open", "paragraph_close", "inline", "text", "softbreak", "hr")
    ]


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_comes_of_hostile_text_in_any_message(attack: str, client: httpx2.AsyncClient) -> None:
    for message in attacked(attack):
        for text in (formed(Email(), ReceiverKind.EMAIL, message)[key] for key in ("subject", "text")):
            assert not LINKED.search(without_ours(text)), text
        event = formed(PagerDuty(client), ReceiverKind.PAGERDUTY, message)["event"]
        for text in texts(event):
            assert not LINKED.search(without_ours(text)), text
        hook = formed(Webhook(client), ReceiverKind.WEBHOOK, message)["alerts"]
        pushed = formed(Alertmanager(client), ReceiverKind.ALERTMANAGER, message)["alerts"]
        told = formed(Apprise(), ReceiverKind.APPRISE, message)
        shown = [
            told["title"],
            told["body"],
            *(text for item in (*hook, *pushed) for text in item["annotations"].values()),
        ]
        slack = formed(Slack(client), ReceiverKind.SLACK, message)["message"]
        for text in (*shown, slack["text"]):
            assert not LINKED.search(without_ours(text)), text
            assert not SLACK.search(text), text
            assert not marks(text), (text, marks(text))
        for block in slack["blocks"]:
            assert block["text"]["type"] == "plain_text"
            assert not LINKED.search(without_ours(block["text"]["text"])), block
            for part in block.get("fields", ()):
                assert set(re.findall(r"<([^|>]*)\|", part["text"])) <= {
                    f"{OURS}/wiki",
                    *re.findall(rf"{OURS}/[^|]*", part["text"]),
                }


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_comes_of_hostile_text_in_a_runbook(attack: str) -> None:
    record = AlertRecord(
        Alert("a-1", AlertState.FIRING, None, AT), "x", "page", "works", attack, attack, attack, attack, AT, None, {},
    )  # fmt: skip
    standing = Standing({"a-1": record}, {"q-1": Quarantine(
        "q-1", Scope(attack), QuarantineState.QUARANTINED, attack, attack, Enforcement.ENFORCE, AT, AT, None,
    )})  # fmt: skip
    for key in standing.alerts.keys() | standing.quarantines.keys():
        found = runbook_of(key, standing, Rules((), Policy()), AT, OURS)
        assert found is not None
        tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(found.markdown)
        parts = [part for token in tokens for part in (token, *(token.children or ()))]
        assert {part.type for part in parts} <= {
            "heading_open", "heading_close", "inline", "text", "text_special", "softbreak", "paragraph_open", "paragraph_close",
            "bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close", "code_block",
        }, found.markdown  # fmt: skip
        headings = sum(part.type == "heading_open" for part in parts)
        assert headings == len([line for line in found.markdown.splitlines() if line.startswith(("# ", "## "))])
        prose = "".join(part.content for part in parts if part.type in ("text", "text_special"))
        assert not LINKED.search(prose), prose


def test_what_we_write_ourselves_stays_a_link(client: httpx2.AsyncClient) -> None:
    message = attacked("https://evil.example/a")[1]
    page = f"{OURS}/quarantine"
    unruled = Message("x", FIRING, replace(message.subject, runbook=cast(Subject, subject_of_quarantine(HELD)).runbook))
    assert "Runbook: plugwarden runbook q-1" in formed(Email(), ReceiverKind.EMAIL, unruled)["text"]
    assert f"\n{page}\n" in formed(Email(), ReceiverKind.EMAIL, message)["text"]
    assert f"Trace: {OURS}/trace?trace_id={'ab' * 16}" in formed(Apprise(), ReceiverKind.APPRISE, message)["body"]
    assert formed(PagerDuty(client), ReceiverKind.PAGERDUTY, message)["event"]["links"][0]["href"] == page
    fields = json.dumps(formed(Slack(client), ReceiverKind.SLACK, message)["message"]["blocks"][1]["fields"])
    assert f"<{page}|" in fields
    assert f"<{OURS}/wiki|" in fields
    (alert,) = formed(Webhook(client), ReceiverKind.WEBHOOK, message)["alerts"]
    assert alert["annotations"]["runbook_url"] == f"{OURS}/wiki"
    assert alert["labels"]["plugin"] == "https://evil.example/a", "labels are data: silences and routes match them"


def test_a_link_that_slack_would_refuse_is_text_there(client: httpx2.AsyncClient) -> None:
    message = attacked("x")[0]
    long = replace(message, subject=replace(message.subject, path=f"plugin?plugin={'%F0' * 800}"))
    (_, section) = formed(Slack(client), ReceiverKind.SLACK, long)["message"]["blocks"]
    assert [part["text"].partition("|")[2] for part in section["fields"]] == ["Runbook>"]
    assert max(len(part["text"]) for part in section["fields"]) <= 2_000
    assert "%F0" in section["text"]["text"]


def test_what_the_rules_describe_keeps_its_links() -> None:
    record = AlertRecord(
        Alert("a-1", AlertState.FIRING, None, AT), "orders wait", "page", "", "", None, "x", "See https://wiki.example/orders", AT, None,
        {"kind": "sql"},
    )  # fmt: skip
    message = Message("x", FIRING, subject_of_alert(record))
    assert "More: See https://wiki.example/orders" in formed(Email(), ReceiverKind.EMAIL, message)["text"]


def test_what_people_copy_stays_as_it_is() -> None:
    for text in (
        "csv-export@1.4.0 is quarantined: 37 of 40 calls were bad (92%)", "requests.exceptions.ConnectTimeout (3 of 4)", "image_resize",
        "plugwarden release q-1 --reason …, or the page of quarantines", "2026-01-01 12:00:00 UTC; then it is on probation", "a < b & c",
    ):  # fmt: skip
        assert unlinked(text) == text
        assert unmarked(text) == text.replace("<", "‹")


@given(st.text(alphabet="ab1@<>!#*_`~|[]()&;:/.-+=\\$ wcomevryn", max_size=40))
@example("a" * 20_000)
@example("co." * 5_000)
def test_text_of_any_form_is_read_as_text_and_once(text: str) -> None:
    line = " ".join(text.split())
    assert not marks(unmarked(line))
    assert unmarked(unmarked(line)) == unmarked(line)
    assert not re.search(r"://|(?<!\w)@\w", unlinked(line))
    shown = MarkdownIt("commonmark").render(f"x {as_markdown(line)}")
    assert not re.search(r"<(?!/?p>)", shown), shown
