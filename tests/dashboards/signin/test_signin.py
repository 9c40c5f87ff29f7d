"""Signing in, on dashboards that run: what a stranger gets, what a person keeps, and what a browser is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from playwright.sync_api import Page, expect
from plugwarden_dashboards import act, data, visitor
from plugwarden_dashboards.signin import Ended, Session
from plugwarden_dashboards.signin.form import back
from plugwarden_dashboards.signin.sessions import IDLE_SECONDS, OLD_SECONDS
from streamlit.testing.v1 import AppTest

from tests.collector.conftest import Running, running
from tests.dashboards.browser import READY, browsing
from tests.dashboards.served import Served, served

ALICE = "the-token-of-alice-0123456789"
SENDER = "the-token-of-a-sender-0123456789"
DEEP = "/quarantine?range=1h"


@dataclass(frozen=True)
class House:
    """Collector, dashboards that everybody has to sign in to, and their clock."""

    collector: Running
    dashboards: Served
    clock: Path

    def address(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.dashboards.port}{path}"

    def send(self, token: str, goes: str = "/", address: str = "198.51.100.1", **headers: str) -> httpx2.Response:
        """What the form sends, as a browser sends it that came through a proxy from an address."""
        sent = {"origin": self.address(""), "x-forwarded-for": address} | headers
        return httpx2.post(
            self.address("/sign-in"),
            data={"token": token, "next": goes},
            headers={name: value for name, value in sent.items() if value},
            trust_env=False,
        )


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("signin")
    tokens, clock = folder / "tokens", folder / "clock"
    tokens.write_text(f"alice read,operate {ALICE}\nsender ingest {SENDER}\n")
    tokens.chmod(0o600)
    clock.write_text("0")
    environ = [("SHIFT", str(clock))]
    with (
        running(folder / "data", PLUGWARDEN_TOKENS_FILE=str(tokens)) as collector,
        served(
            collector.url, "--host-name", "pw.example", environ=environ, module="tests.dashboards.signin.shifted"
        ) as up,
    ):
        yield House(collector, up, clock)


def test_who_asks_for_a_page_without_a_sign_in_is_led_to_it_and_back(house: House) -> None:
    page = house.dashboards.get(DEEP, accept="text/html")
    address = f"/sign-in?next={quote(DEEP, safe='')}"
    assert f'content="0;url={address}"' in page.text
    assert page.headers["cache-control"] == "no-store"
    form = house.dashboards.get(address, accept="text/html")
    assert f'value="{DEEP}"' in form.text
    assert form.headers["referrer-policy"] == "same-origin"  # else its Origin is null
    assert "form-action 'self'" in form.headers["content-security-policy"]
    assert "'unsafe-eval'" not in form.headers["content-security-policy"]
    found = house.send(ALICE, DEEP)
    assert (found.status_code, found.headers["location"]) == (303, DEEP)


def test_the_cookie_holds_no_token_and_no_script_or_page_elsewhere_gets_it(house: House) -> None:
    cookie = house.send(ALICE).headers["set-cookie"]
    name, _, rest = cookie.partition("=")
    identity, *attributes = rest.split("; ")
    assert (name, attributes) == ("plugwarden", ["Path=/", "HttpOnly", "SameSite=Strict"])
    assert len(identity) == 43
    assert ALICE not in cookie
    behind_tls = house.send(ALICE, host="pw.example", origin="https://pw.example").headers["set-cookie"]
    assert behind_tls.startswith("__Host-plugwarden=")
    assert behind_tls.endswith("; Path=/; HttpOnly; SameSite=Strict; Secure")


@pytest.mark.parametrize(
    ("token", "status", "said"),
    [
        ("somebody-elses-0123456789", 401, "does not know this token"),
        ("", 401, "does not know this token"),
        ("ünknown\r\nx: y", 401, "does not know this token"),
        (SENDER, 403, "lacks the scope read"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_of_the_collector(house: House, token: str, status: int, said: str) -> None:
    answer = house.send(token, address=f"198.51.100.{status + len(token) % 50}")
    assert answer.status_code == status
    assert said in answer.text
    assert "set-cookie" not in answer.headers
    assert not token or token not in answer.text
    assert house.collector.url not in answer.text


def test_other_dashboards_say_that_they_were_started_again_and_that_the_collector_is_gone(house: House) -> None:
    cookie = house.send(ALICE).headers["set-cookie"].partition(";")[0]
    assert house.dashboards.get("/sign-in", cookie=cookie).status_code == 303
    with served("http://127.0.0.1:9", "--host-name", "pw.example") as lonely:
        nobody = House(house.collector, lonely, house.clock)
        answers = [nobody.send(ALICE) for _ in range(7)]  # costs no attempt
        before = lonely.get("/sign-in", cookie=cookie)
        page = lonely.read("audit", cookie=cookie, host="pw.example", origin="https://pw.example")
    assert {answer.status_code for answer in answers} == {503}
    assert "The collector does not answer" in answers[-1].text
    assert "127.0.0.1:9" not in answers[-1].text
    assert before.status_code == 200
    assert "the dashboards were started again" in before.text
    assert "the dashboards were started again" in page


def test_who_guesses_waits_and_others_do_not(house: House) -> None:
    guesses = [house.send(f"a-guess-of-a-token-{number}", address="203.0.113.9") for number in range(6)]
    assert [answer.status_code for answer in guesses] == [401] * 5 + [429]
    assert "Too many attempts. Try again in" in guesses[-1].text
    assert 0 < int(guesses[-1].headers["retry-after"]) <= 20
    assert house.send(ALICE, address="203.0.113.9").status_code == 429
    assert house.send(ALICE, address="203.0.113.10").status_code == 303


@pytest.mark.parametrize("origin", ["http://evil.example", "null", ""])
def test_a_form_of_another_page_signs_nobody_in(house: House, origin: str) -> None:
    answer = house.send(ALICE, origin=origin)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_only_the_form_itself_is_read_and_not_without_end(house: House) -> None:
    address, headers = house.address("/sign-in"), {"origin": house.address("")}
    long = httpx2.post(address, data={"token": "x" * 9000}, headers=headers, trust_env=False)
    other = httpx2.post(address, json={"token": ALICE}, headers=headers, trust_env=False)
    assert (long.status_code, other.status_code) == (400, 400)


@pytest.mark.parametrize(
    "address",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "evil",
        "",
        "/a\r\nb",
        "/sign-in?next=/",
        "/" + "a" * 2000,
    ],
)
def test_one_comes_back_to_pages_of_ours_alone(address: str) -> None:
    assert back(address) == "/"
    assert back("/plugin?plugin=a%2Fb&range=1h") == "/plugin?plugin=a%2Fb&range=1h"


def test_the_actor_is_the_person_whom_the_token_names(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUGWARDEN_COLLECTOR_URL", house.collector.url)
    monkeypatch.setenv(visitor.LOGIN, "required")
    identity = visitor.SESSIONS.begin(ALICE, visitor.name_of_token(ALICE), visitor.now())
    monkeypatch.setattr(visitor, "_identity", lambda: identity)
    found = data.post("quarantine", {"plugin": "geo", "reason": "it leaks", "force": True, "actor": act.ACTOR})
    entry = next(item for item in data.ask("audit") if found["id"] in str(item))
    assert (entry["actor"], entry["says"]) == ("alice", "dashboards")
    assert isinstance(visitor.session(), Session)


def test_who_loses_their_token_is_signed_out_in_words(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def script() -> None:
        import streamlit
        from plugwarden_dashboards import data, visitor
        from plugwarden_dashboards.signin import Ended

        found = visitor.session()
        streamlit.text(found.value if isinstance(found, Ended) else data.fetch("status").problem)

    monkeypatch.setenv("PLUGWARDEN_COLLECTOR_URL", house.collector.url)
    monkeypatch.setenv(visitor.LOGIN, "required")
    identity = visitor.SESSIONS.begin("a-token-that-was-taken-back", "bob", visitor.now())
    monkeypatch.setattr(visitor, "_identity", lambda: identity)
    page = AppTest.from_function(script, default_timeout=30).run()
    assert [item.value for item in page.text] == [Ended.REFUSED.value]


def enter(page: Page, token: str) -> None:
    """Fill the form in, and send it."""
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def shown(page: Page) -> None:
    """Wait until a page is drawn for who is signed in."""
    expect(page.get_by_text("signed in as alice")).to_be_visible()
    page.wait_for_selector(READY)
    assert page.locator("[data-testid=stException]").count() == 0


def follow_a_link_from_elsewhere(house: House, page: Page) -> None:
    """Go to a page from one of another site, as from a message: the browser keeps the cookie back at first."""
    page.goto(house.address("/sign-in", "localhost"))
    page.evaluate(f"location.href = {house.address(DEEP)!r}")
    page.wait_for_url(house.address(DEEP))
    shown(page)


@pytest.mark.browser
def test_a_person_stays_signed_in_until_they_sign_out_or_it_ends(house: House, tmp_path: Path) -> None:
    with browsing() as browser:
        context = browser.new_context()
        page = context.new_page()
        page.goto(house.address(DEEP))
        enter(page, "not-the-token-of-alice")
        expect(page.get_by_role("alert")).to_contain_text("does not know this token")
        page.screenshot(path=str(tmp_path / "wrong.png"))
        enter(page, ALICE)
        page.wait_for_url(house.address(DEEP))  # where one wanted to go
        shown(page)
        page.screenshot(path=str(tmp_path / "in.png"))
        assert "plugwarden" not in page.evaluate("document.cookie")
        page.reload()
        shown(page)
        other = context.new_page()
        other.goto(house.address("/audit"))
        shown(other)
        follow_a_link_from_elsewhere(house, context.new_page())

        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_text("You signed out.")).to_be_visible()
        expect(other.get_by_text("You signed out.")).to_be_visible()
        assert other.get_by_text("Decision log").count() == 0
        other.screenshot(path=str(tmp_path / "out.png"))
        other.get_by_role("link", name="Sign in").click()
        expect(other.get_by_role("alert")).to_contain_text("You signed out.")
        enter(other, ALICE)
        other.wait_for_url("**/audit*")
        shown(other)

        for seconds, why in ((IDLE_SECONDS, "you did nothing here"), (OLD_SECONDS + IDLE_SECONDS, "a sign-in lasts")):
            house.clock.write_text(str(seconds))
            expect(other.get_by_text(why)).to_be_visible()
            other.reload()
            expect(other.get_by_role("alert")).to_contain_text(why)
            enter(other, ALICE)
            shown(other)
