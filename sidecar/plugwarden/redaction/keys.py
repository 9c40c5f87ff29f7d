"""Values whose key says what they are: `password=…`, `"api_key": "…"`, `--token …`, `Cookie: …`, `<secret>…`, `phone: …`."""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Iterator

from .places import Place, compiled, words

__all__ = ["STEMS", "Kind", "find_keyed", "hides_value", "kind_of"]


class Kind(enum.Enum):
    """What stands under a key."""

    SECRET = enum.auto()
    HEADER = enum.auto()
    """A header's value may have spaces: all of the line."""
    TOKEN = enum.auto()
    """`token` is a word of parsers as well: only what may be random."""
    CODE = enum.auto()
    """A few digits."""
    NUMBER = enum.auto()
    """About a person, with digits in it."""
    NAME = enum.auto()
    """About a person."""


STEMS = (
    "pass", "pwd", "secret", "token", "key", "cred", "cookie", "auth", "sess", "sid", "sig", "otp", "pin", "cvv", "cvc", "srf", "jwt",
    "mnemonic", "phrase", "recovery", "ssn", "social", "birth", "dob", "phone", "mobile", "msisdn", "fax", "iban", "card", "account", "tax",
    "national", "personn", "name",
)  # fmt: skip
"""In every key that says something one of these stands, in small letters."""
_MAX_KEY = 64
_PARTS = r"[A-Z]?+[a-z]{1,200}+|(?:[A-Z](?![a-z])){1,200}+|[0-9]{1,200}+"
_HARMLESS_ENDS = words(
    "count counts type types url uri endpoint name names path policy length size limit limits expiry expires expired expiration ttl "
    "index hint enabled required provider version arn status usage budget file files dir domain field fields label kind class method "
    "algorithm error errors scope scopes present valid validity age at generator manager handler store manage schema format prefix suffix"
)
"""What ends so tells of a secret and is none: `token_type`, `secret_name`, `password_policy`."""
_SECRET_ENDS = (
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "secrets",
    "credential",
    "credentials",
    "passwords",
)
_KEYS = (
    r"(?:api|access|private|signing|encryption|decryption|master|account|shared|secret|license|session|storage|hmac|ssh|deploy)"
    r"keys?+(?!id)"
)
_NUMBERS = words(
    "ssn socialsecurity socialsecuritynumber dob birthdate dateofbirth birthday phone phonenumber phoneno mobile mobilephone "
    "mobilenumber telephone tel msisdn fax iban passport passportnumber passportno cardnumber creditcard creditcardnumber debitcard cardno "
    "accountnumber accountno bankaccount taxid taxnumber taxpayerid nationalid nationalidnumber nationalnumber personnummer personnumber"
)
_NAMES = words("firstname lastname surname givenname familyname maidenname middlename")
_HEADERS = words("authorization authorisation proxyauthorization cookie setcookie cookies")
_TOKENS = words("auth pass jwt sid sig signature bearer token")
_CODES = words("pin otp totp cvv cvv2 cvc cvc2 csc pincode otpcode passkey")


@functools.lru_cache(maxsize=4096)
def kind_of(key: str) -> Kind | None:
    """What a key says of its value; None where that is nothing. A key is at most a few hundred characters."""
    parts = [part.lower() for part in compiled(_PARTS).findall(key[-200:])]
    if not parts:
        return None
    joined = "".join(parts)
    last = parts[-1]
    tail = ["".join(parts[-count:]) for count in (1, 2, 3, 4)]
    if any(one in _HEADERS for one in tail):
        return Kind.HEADER
    if any(one in _NUMBERS for one in tail):
        return Kind.NUMBER
    if any(one in _NAMES for one in tail):
        return Kind.NAME
    if last in _HARMLESS_ENDS or last in ("tokens", "tokenizer"):
        return None
    if last in _CODES:
        return Kind.CODE
    if any(part.endswith(_SECRET_ENDS) for part in parts) or "password" in joined:
        return Kind.SECRET
    if any(one in joined for one in ("sessionid", "sessid", "seedphrase", "recoverycode", "mnemonic", "connectsid")):
        return Kind.SECRET
    if compiled(_KEYS).search(joined) or any(
        part in ("csrf", "xsrf") or part.startswith(("csrf", "xsrf")) for part in parts
    ):
        return Kind.SECRET
    if joined.endswith("token") and len(parts) > 1:
        return Kind.SECRET if parts[-2] in _OF_A_TOKEN else Kind.TOKEN
    if last in _TOKENS or last.endswith("token"):
        return Kind.TOKEN
    return None


_OF_A_TOKEN = words("access refresh auth api id bearer session security client oauth bot user device x")


def hides_value(key: str, value: object) -> bool:
    """Whether an attribute's value says too much by its key alone; texts are to be redacted besides."""
    kind = kind_of(key)
    if kind is None or value is None or isinstance(value, bool):
        return False
    if isinstance(value, str):
        return bool(value) and not value.startswith(_MASKED) and _says_something(kind, value, structured=True)
    if isinstance(value, int | float):
        return kind in (Kind.SECRET, Kind.CODE, Kind.NUMBER, Kind.HEADER)
    return True


# -- in texts ---------------------------------------------------------------------------------------------------------

_KEY_REST = r"[A-Za-z0-9_.\-]{1,64}+(?:\[\])?+"
_KEY_LEFT = r"[A-Za-z0-9_.\-]{0,48}+"
_WORDS = (
    r"(?:[ ](?>security|number|num|no|nr|id|key|code|phrase|secret|provided|given|used|value|of|birth)\b\.?+){0,3}+"
)
_SEPARATOR = (
    r"(?>"
    r"\\{0,3}+[\"'`]?+(?:\]|%22|%5D)?+[ \t]{0,8}+(?>=>|:=|==?+|:|%3[aAdD])[ \t]{0,8}+(?:\r?+\n[ \t]{0,16}+)?+(?:[|>]-?+\s{1,16}+)?+"
    r"|[\"']?+\s{1,4}+value\s{0,4}+=\s{0,4}+"
    r"|[\"'][ \t]{0,2}+\r?+\n\r?+\n"
    r"|>"
    r"|[ ](?:is|was)[ ]"
    r"|[ ](?=[\"'`])"
    r")"
)
_BLANK = r"[ \t]{1,4}+"
_IN_LIST = r"\\?+[\"']\s{0,2}+,\s{0,4}+"
_VALUE = (
    r"(?>[bruBRU]{1,2}+(?=[\"']))?+(?>"
    r"\\{1,3}+\"(?P<escaped>(?:[^\"\\]|\\(?!\"))[^\"\\]{0,4096}+)"
    r"|\"(?P<double>(?:[^\"\\]|\\.){1,4096}+)"
    r"|'(?P<single>(?:[^'\\]|\\.){1,4096}+)"
    r"|`(?P<tick>[^`]{1,4096}+)"
    r"|%22(?P<quoted>(?:(?!%22)[^\s&\"'<>]){1,1024}+)"
    r"|[\[(](?P<list>[^\])]{1,1024}+)"
    r"|(?P<plain>[^\s;&<>\"'`,]{1,4096}+)"
    r")"
)
_LINE = r"(?P<line>[^\r\n\"'<>\\]{1,4096}+)"
_MASKED = ("[redacted", "***", "[filtered", "<redacted", "xxxx", "****", "[REDACTED", "%s", "${", "{{")
_NOTHING = words(
    "none null nil true false undefined required missing invalid expired empty unset yes no ok not is was must cannot default optional "
    "incorrect wrong changed unknown redacted hidden masked str int bool string number optional[str] any"
)


def find_keyed(text: str, low: str) -> Iterator[Place]:
    """Places of values whose key says what they are. A value is looked at once for each stem, also where it says nothing."""
    for stem in STEMS:
        at = low.find(stem)
        while at >= 0:
            rest = compiled(_KEY_REST).match(text, at)
            if rest is None:  # a letter of another script has this small form: the sign of Kelvin is a k
                at = low.find(stem, at + 1)
                continue
            found = _value_after(text, at, rest.end())
            done = rest.end()
            if found is not None:
                first, done, masked = found
                if masked:
                    yield first, done
            at = low.find(stem, done)


def _value_after(text: str, at: int, end: int) -> tuple[int, int, bool] | None:
    """The value of the key around a stem, and whether it is to be masked; None where there is none."""
    before = compiled(_KEY_LEFT).match(text[max(0, at - 48) : at][::-1])
    start = at - (before.end() if before is not None else 0)
    kind = kind_of(text[start:end])
    more = compiled(_WORDS).match(text, end)
    stop = more.end() if more is not None else end
    if kind is None or stop > end:
        kind = kind or kind_of(text[start:stop]) or kind_of(_with_word_before(text, start, stop))
        if kind is None:
            return None
    separator = _separator(text, stop, kind, flagged=text.startswith("-", start))
    if separator is None:
        return None
    place = separator.end()
    line = compiled(_LINE).match(text, place) if kind is Kind.HEADER else None
    if line is not None and len(line.group()) > 2:  # else it is what stands before a quote: b'…'
        said = not line.group().startswith(_MASKED) and _says_something(kind, line.group())
        return *line.span("line"), said
    value = compiled(_VALUE).match(text, place)
    if value is None or value.lastgroup is None:
        return None
    first, last = value.span(value.lastgroup)
    if value.lastgroup == "plain":
        while last > first + 1 and text[last - 1] in ")]}.":
            last -= 1
    inner = text[first:last]
    spoken = separator.group() in (" is ", " was ", " ")
    said = (
        not inner.startswith(_MASKED)
        and any(map(str.isalnum, inner))
        and _says_something(kind, inner, spoken=spoken, quoted=value.lastgroup != "plain")
    )
    return first, last, said


def _separator(text: str, at: int, kind: Kind, *, flagged: bool) -> re.Match[str] | None:
    """What stands between a key and its value; after an option or a header's name a blank or a comma may."""
    found = compiled(_SEPARATOR).match(text, at)
    if found is None and (flagged or kind is Kind.HEADER):
        found = compiled(_IN_LIST).match(text, at)
    if found is None and flagged:
        found = compiled(_BLANK).match(text, at)
    return found


def _with_word_before(text: str, start: int, end: int) -> str:
    """A key of several words: `api key`, `date of birth`."""
    before = text[max(0, start - 24) : start].split(" ")[-4:]
    return "_".join((*before, text[start:end])).replace(" ", "_") if start and text[start - 1] == " " else ""


def _says_something(
    kind: Kind, value: str, *, structured: bool = False, spoken: bool = False, quoted: bool = False
) -> bool:
    """Whether a value may be meant, and is no word about it: `password: required`, `token: 17`, `phone: missing`."""
    if kind is not Kind.SECRET and kind is not Kind.HEADER and _MASKED[0] in value:
        return False  # something was masked in it, and what is left would be measured anew
    digits = sum("0" <= c <= "9" for c in value)
    if value.lower().strip(".!'\"[]") in _NOTHING:
        return False
    if kind is Kind.NUMBER:
        return digits >= 4
    if kind is Kind.CODE:
        return digits >= 3 and len(value) <= 64 and (digits >= 4 or len(value) == digits)
    if kind is Kind.NAME:
        return not spoken
    if kind is Kind.TOKEN:
        return (len(value) >= 6 and not value.isdigit() and (digits > 0 or len(value) >= 20)) or (
            structured and len(value) >= 6
        )
    if spoken and not quoted:
        return digits > 0 and len(value) >= 6
    return structured or kind is not Kind.HEADER or len(value) >= 4
