"""Tables of receivers: each kind has its keys, secrets may stand elsewhere, and no problem shows one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from plugwarden_collector.audit.rules_content import LEFT_OUT, content_of
from plugwarden_collector.errors import RulesError
from plugwarden_collector.matcher import read_matchers
from plugwarden_collector.rules import receiver_keys
from plugwarden_collector.rules.file import parse_rules
from plugwarden_collector.rules.receiver import Mail, Receiver, ReceiverKind, Tls

SECRET = "T0PS3CR3T"
GOOD = '[[slo]]\nname = "availability"\nobjective = 0.99\n'
MAIL = 'kind = "email"\nsmarthost = "mail.example.net"\nfrom = "p@example.net"\nto = "ann@example.net"\n'


def read(text: str) -> Receiver:
    (found,) = parse_rules(f'{GOOD}[[receiver]]\nname = "x"\n{text}', "rules.toml").receivers
    return found


def problems(text: str) -> list[str]:
    with pytest.raises(RulesError) as raised:
        read(text)
    return [line.partition("receiver[0].")[2] for line in raised.value.lines]


def test_each_kind_is_read() -> None:
    assert read('url = "http://a/"').group_by is None
    manager = read('kind = "alertmanager"\nurls = ["http://a:9093", "http://b:9093"]')
    assert (manager.url, manager.others, manager.group_by) == ("http://a:9093", ("http://b:9093",), ())
    assert (manager.repeat, manager.group_wait) == (timedelta(minutes=5), timedelta(0))
    assert read('kind = "slack"\nurl = "https://hooks.slack.com/x"').kind is ReceiverKind.SLACK
    duty = read(f'kind = "pagerduty"\nrouting_key = "{SECRET}"')
    assert (duty.url, duty.routing_key) == ("https://events.pagerduty.com/v2/enqueue", SECRET)
    assert read(MAIL).mail == Mail("mail.example.net", 587, "p@example.net", ("ann@example.net",), Tls.STARTTLS)
    relay = read(MAIL.replace('net"\nfrom', 'net:2525"\ntls = "none"\nfrom'))
    assert relay.mail is not None
    assert (relay.mail.port, relay.mail.tls) == (2525, Tls.NONE)


def test_groups_have_alertmanagers_times_unless_others_are_said() -> None:
    found = read('url = "http://a/"\ngroup_by = ["plugin"]')
    assert (found.group_wait, found.group_interval, found.repeat) == (
        timedelta(seconds=30), timedelta(minutes=5), timedelta(hours=4),
    )  # fmt: skip
    found = read('url = "http://a/"\ngroup_by = []\ngroup_wait = "0s"\ngroup_interval = "1m"\nrepeat_interval = "12h"')
    assert (found.group_by, found.group_wait, found.group_interval, found.repeat) == (
        (), timedelta(0), timedelta(minutes=1), timedelta(hours=12),
    )  # fmt: skip


@pytest.mark.parametrize("ending", ["file", "env"])
def test_a_secret_may_stand_in_a_file_or_a_variable(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {}
    for key, value in (("url", f"http://a/{SECRET}"), ("routing_key", SECRET), ("password", SECRET)):
        file = tmp_path / key
        file.write_text(f"{value}\n")
        monkeypatch.setenv(key.upper(), value)
        names[key] = f'{key}_{ending} = "{file if ending == "file" else key.upper()}"\n'
    assert read(names["url"]).url == f"http://a/{SECRET}"
    assert read('kind = "pagerduty"\n' + names["routing_key"]).routing_key == SECRET
    mail = read(MAIL + 'username = "ann"\n' + names["password"])
    assert mail.mail is not None
    assert mail.mail.password == SECRET
    assert SECRET not in repr(mail) + repr(read(names["url"])) + repr(
        read('kind = "pagerduty"\n' + names["routing_key"])
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "url: must be a text that starts with http"),
        ('url = "http://a/"\nurl_file = "x"', "url: url and url_file say the same thing"),
        ('url_file = "/nowhere/at/all"', "url_file: '/nowhere/at/all' cannot be read: No such file"),
        ("url_file = 5", "url_file: must be the name of a file"),
        ('url_env = "PLUGWARDEN_TEST_NOT_SET"', "url_env: the variable 'PLUGWARDEN_TEST_NOT_SET' is not set"),
        ('url = "http://a/"\ngroup_wait = "5s"', "group_wait: nothing waits without group_by"),
        ('url = "http://a/"\ngroup_by = "plugin"', "group_by: 'plugin' must be a list of labels"),
        ('url = "http://a/"\nrepeat_interval = "1s"', "repeat_interval: '1s' must be from 60s to 31d"),
        ('url = "http://a/"\nrouting_key = "x"', "routing_key: unknown"),
        ('kind = "alertmanager"\nurls = []', "urls: must be a list of addresses"),
        ('kind = "alertmanager"\nurls = ["http://a", "ftp://b"]', "urls: must be a text that starts with http"),
        ('kind = "alertmanager"\nurl = "http://a"\ngroup_by = ["plugin"]', "group_by: unknown"),
        ('kind = "pagerduty"', "routing_key: must be the integration key"),
        (f'kind = "pagerduty"\nrouting_key = "{SECRET} "', "routing_key: must be the integration key"),
        (MAIL.replace("p@", "Ann <p@"), "from: 'Ann <p@example.net' must be one address"),
        (MAIL.replace("ann@", "ann@x, b@"), "to: "),
        (MAIL.replace("mail.example.net", "mail.example.net:0"), "smarthost: "),
        (MAIL + 'tls = "ssl"', "tls: 'ssl' must be starttls, tls or none"),
        (MAIL + 'username = "ann"', "username: a username and a password"),
        (MAIL + f'tls = "none"\nusername = "ann"\npassword = "{SECRET}"', "tls: a password would be sent in the open"),
        (MAIL + 'url = "http://a/"', "url: unknown"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_what_to_write_and_without_secrets(text: str, said: str) -> None:
    found = problems(text)
    assert any(line.startswith(said) for line in found), found
    assert SECRET not in str(found)


def test_apprise_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f'kind = "apprise"\nurl = "tgram://{SECRET}/1"'
    monkeypatch.setattr(receiver_keys, "find_spec", lambda name: None)
    assert problems(text)[0].startswith("url: apprise is not installed here; install plugwarden-collector[apprise]")
    monkeypatch.setattr(receiver_keys, "find_spec", lambda name: name)
    assert read(text).url == f"tgram://{SECRET}/1"
    (said,) = problems(f'kind = "apprise"\nurl = "{SECRET}"')
    assert said.startswith("url: must be an address of Apprise")
    assert SECRET not in said


def test_a_file_without_a_secret_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    for content in (b"", b"x" * 9000, b"\xff\xfe"):
        file.write_bytes(content)
        assert problems(f'url_file = "{file}"')[0].startswith("url_file: ")


def test_the_access_log_keeps_no_secret_of_the_rules(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(
        f'url = "https://ann:{SECRET}@a/{SECRET}"\nrouting_key = "{SECRET}"\npassword = "{SECRET}"\n'
        f'url = "tgram://{SECRET}/{SECRET}"\n'
        f'urls = ["http://a/{SECRET}", "http://b/?x={SECRET}"]\n'
    )
    assert SECRET not in content_of(file)["content"]


@pytest.mark.parametrize(
    "written",
    [
        f'password = """\n{SECRET}"""', f"routing_key = '''\n{SECRET}'''", f'url = "json://user:pa\'ss-{SECRET}@host/x"',
        f'url = "https://a/x y/{SECRET}"', f'"pass\\u0077ord" = "{SECRET}"', f'url = "\\u0068ttps://a/{SECRET}"',
        f'password = "{SECRET[:-1]}\\u{ord(SECRET[-1]):04x}"', f'urls = ["https://a/{SECRET}",\n"https://b/\\u0041/{SECRET}"]',
    ],
)  # fmt: skip
def test_nor_however_the_secret_is_written(tmp_path: Path, written: str) -> None:
    """Before, it went into a chained log where nothing can be taken back, wherever a line alone did not show it."""
    file = tmp_path / "rules.toml"
    file.write_text(f'[[receiver]]\nname = "r"\n{written}\n')
    for data in (file.read_bytes(), file.read_text("utf-8").encode("utf-16")):
        file.write_bytes(data)
        found = content_of(file)
        assert SECRET[:-1] not in found["content"]
        assert found["sha256"]


def test_the_access_log_keeps_all_else_of_the_rules(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(
        f'# why\n[[slo]]\nname = "a"\n[[receiver]]\nurl = "https://hooks.example.net/{SECRET}"\nname = "r"\n'
        '[[receiver]]\nurl = "http://a:9093"\n'
    )
    content = content_of(file)["content"]
    assert content != LEFT_OUT
    assert [word in content for word in ("# why", "hooks.example.net/…", "http://a:9093")] == [True] * 3


def test_matchers_are_those_of_silences() -> None:
    found = read("""url = "http://a/"\nmatchers = ['owner="media"', 'plugin=~"image-.*|csv"']""").matchers
    assert found == read_matchers(["owner=media", "plugin=~image-.*|csv"])
    assert str(*read("""url = "http://a/"\nmatchers = ['owner!=media']""").matchers) == 'owner!="media"'
    assert read('url = "http://a/"\nmatchers = { owner = "media" }').matchers == found[:1]
    assert not read_matchers(["owner=~.+"])[0].is_true_of([""]), "what has no owner is nobody's"


@pytest.mark.parametrize(
    ("matchers", "said"),
    [
        ("{}", "matchers: 0 matchers; write 1 to 10"),
        ('"media"', "matchers: 'media' must be a list of matchers"),
        ("{ owner = 3 }", "matchers: {'owner': 3} must be a list of matchers"),
        ("['owner']", "matchers: 'owner' is no matcher; write NAME="),
        ("['owner=~(']", "matchers: '(' is no pattern of RE2"),
        ('{ severity = "page" }', "matchers: severity is said by a key of its own; leave it out"),
    ],
)
def test_matchers_that_are_wrong_are_named(matchers: str, said: str) -> None:
    (problem,) = problems(f'url = "http://a/"\nmatchers = {matchers}')
    assert problem.startswith(said)


def test_who_is_told_later_says_after_how_long() -> None:
    assert read('url = "http://a/"\nescalate_after = "15m"').escalate_after == timedelta(minutes=15)
    (wrong,) = problems('url = "http://a/"\nescalate_after = "0s"')
    assert wrong.startswith("escalate_after: '0s' must be from 1s to 31d")
    assert problems('kind = "alertmanager"\nurl = "http://a/"\nescalate_after = "15m"')[0].startswith(
        "escalate_after: unknown"
    )


def test_a_severity_of_which_somebody_might_be_told_nothing_is_warned_of() -> None:
    media = '[[receiver]]\nname = "media"\nurl = "http://a/"\nmatchers = { owner = "media" }\n'
    rest = '[[receiver]]\nname = "rest"\nurl = "http://b/"\nseverities = ["page"]\n'
    assert [text.split(",")[0] for text in parse_rules(GOOD + media, "rules.toml").warnings] == [
        "receiver: each one that is told of a page has matchers or escalate_after",
        "receiver: each one that is told of a ticket has matchers or escalate_after",
    ]  # fmt: skip
    late = media.replace('matchers = { owner = "media" }', 'escalate_after = "15m"')
    assert len(parse_rules(GOOD + late, "rules.toml").warnings) == 2
    (warning,) = parse_rules(GOOD + media + rest, "rules.toml").warnings
    assert "of a ticket" in warning
    assert parse_rules(GOOD + rest, "rules.toml").warnings == ()
