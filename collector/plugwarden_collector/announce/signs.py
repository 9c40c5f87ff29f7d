"""Text from elsewhere in messages and runbooks: whoever shows it makes nothing of it but text. Pure.

Telemetry, pushed alerts and the reasons of people may hold anything. Each form of a message has one function here, and all of its text goes
through it but the links that we write ourselves: `unlinked` where a reader knows links and mentions alone, `unmarked` where it may know
Markdown, HTML or Slack's mrkdwn too, `as_markdown` where it surely knows Markdown. A sign that would be obeyed becomes its wide form, which
looks alike and is obeyed by nobody; backslashes would be read by people wherever Markdown is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

__all__ = ["Form", "as_markdown", "in_address", "unlinked", "unmarked"]

Form = Callable[[str], str]
"""Makes text from elsewhere inert for one kind of reader."""

_ENDING = re.compile(
    "(?:[a-z]{2}|app|biz|bond|cfd|click|cloud|club|com|dev|edu|fun|gov|info|icu|life|link|live|mov|net|online|org|page|pro|sbs|shop|site|space"
    "|store|tech|top|vip|website|world|xyz|zip)"
    r"(?!\w)",
    re.IGNORECASE,
)
"""Ends of names that mail readers and chats make links of without a scheme before it: countries, and what is much used. Error types, which
are dotted too, end otherwise; a file that ends as a country does, as `app.py`, is no link either."""
_NAME = re.compile(r"(?<![\w-])[\w-]+(?:\.[\w-]+)+")
"""A name with dots."""
_ADDRESS = re.compile(
    r"(?<=[A-Za-z0-9]):(?=//)"  # of any scheme
    r"|(?<=mailto):|(?<=javascript):|(?<=data):|(?<=tel):|(?<=sms):"  # of schemes that need no slashes
    r"|(?<=\bwww)\."
    r"|(?<=\w)\.(?=[A-Za-z]{2,24}(?::\d{1,5})?/)",  # a host before a path
    re.IGNORECASE,
)
"""Where an address is one."""
_MENTION = re.compile(
    r"(?<![^\W_])@(?=\w)"
    r"|@(?=(?:everyone|here|channel|all|group|team|room)\b)"
    r"|(?<=\w)@(?=[\w-]+(?:\.[\w-]+)*[.．][A-Za-z]{2,})",  # an address of mail; `csv@1.4.0` is none
    re.IGNORECASE,
)
_SLACK = re.compile(r"<(?=[!@#]|[A-Za-z][\w+.-]*[:：])")
"""Where Slack begins a mention or a link (Slack, Formatting text for app surfaces)."""
_MARKED = re.compile(
    r"[<>`*~\[\]#$]|(?<![^\W_])_|_(?![^\W_])|\|(?=\|)|(?<=\|)\||&(?=#?\w{1,32};)"
    r"|^[-+=](?=[-+=]*(?:\s|$))|(?<=^\d)[.)]|(?<=^\d\d)[.)]|(?<=^\d\d\d)[.)]"
)
"""Signs of Markdown (CommonMark and what chats add to it), of HTML and of mrkdwn, where they are obeyed."""
_UNQUOTED = re.compile(r"~|(?<![^\W_])_|_(?![^\W_])")
"""Those of the signs that an address may hold as they are."""
_WIDE = str.maketrans(
    {chr(sign): chr(sign + 0xFEE0) for sign in range(0x21, 0x7F)} | {"<": "‹", ">": "›", "`": "'", "*": "∗", "~": "∼"}
)
"""Each sign of ASCII -> its wide form, or one that looks more like it."""
_SIGNS = re.compile(r"([\\`*_\[\]<>&#|~$!])")
"""Signs by which Markdown begins something within a line."""
_BEGINS = re.compile(r"(\d*)([.)]|[-+=:]+)")
"""Words by which it begins something at the start of one."""


def unlinked(text: str) -> str:
    """Return text in which nobody finds a link or a mention: for mail, PagerDuty and what Slack calls plain text."""
    text = _NAME.sub(_undotted, text)
    for signs in (_ADDRESS, _MENTION, _SLACK):
        text = signs.sub(_widened, text)
    return text


def unmarked(text: str) -> str:
    """Return text in which neither Markdown, HTML nor mrkdwn finds anything but text: where nobody knows what reads it."""
    return _MARKED.sub(_widened, unlinked(text).lstrip())


def as_markdown(text: str) -> str:
    """Return Markdown that shows a text, and no more."""
    words = _SIGNS.sub(r"\\\1", unlinked(text)).split(" ")
    return " ".join(f"{found[1]}\\{found[2]}" if (found := _BEGINS.fullmatch(word)) else word for word in words)


def in_address(name: str) -> str:
    """Return a name as a part of an address that we write, in which no form finds signs either."""
    return _UNQUOTED.sub(lambda found: f"%{ord(found[0]):02X}", quote(name, safe=""))


def _undotted(found: re.Match[str]) -> str:
    """Return a name that is a link with all of its dots wide, for what is left before one could be another link."""
    name = found[0]
    return name.replace(".", "．") if _ENDING.match(name, name.rindex(".") + 1) else name


def _widened(found: re.Match[str]) -> str:
    return found[0].translate(_WIDE)
