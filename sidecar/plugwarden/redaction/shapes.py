"""Secrets and personal data that are known by their shape. A row a kind: what must occur for it to be looked for, and the pattern.

Every pattern takes a bounded number of steps at each place: repeats are bounded and possessive, choices are atomic, and where a
repeat comes first the character before it may not be one of it, so that no run is looked at twice
(tests/sidecar/redaction/test_redaction.py reads the patterns and counts).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from .numbers import CHECKS
from .places import Place, compiled

__all__ = ["SHAPES", "Shape", "find_authorities", "find_key_blocks", "find_numbers", "find_shapes"]


class Shape(NamedTuple):
    """One kind. A tuple, because a dataclass takes a millisecond to be made, of every process."""

    name: str
    anchors: tuple[str, ...]
    """In small letters: one of them is in every text that has this; none given: the text is always looked at."""
    pattern: str
    """What is found; its group 1 is masked, or all of it where it has none."""
    check: str | None = None
    """A check of CHECKS, or of those below."""
    is_number: bool = False
    """It is looked for where there are six digits close together (gate.py)."""


_PATH = r"""[^\s"'<>\\]{8,1024}+"""
SHAPES: tuple[Shape, ...] = (
    # -- secrets
    Shape("jwt", ("eyj",), r"(?<![A-Za-z0-9_\-])eyJ[A-Za-z0-9_\-]{8,8192}+(?:\.[A-Za-z0-9_\-]{0,8192}+){1,4}+"),
    Shape("aws key id", ("akia", "asia", "abia", "acca"), r"(?<![A-Z0-9])A(?>KI|SI|BI|CC)A[A-Z0-9]{16}(?![A-Z0-9])"),
    Shape(
        "authorization scheme",
        ("bearer", "basic", "negotiate", "ntlm", "ssws", "apikey"),
        r"(?i:(?<![A-Za-z0-9_])(?>bearer|basic|negotiate|ntlm|ssws|apikey)(?:[ \t]|%20|\+){1,4}+([A-Za-z0-9._~+/=:\-]{6,8192}+))",
        "credentials",
    ),
    Shape("digest authorization", ("response=",), r"(?i:\bresponse=\"?+([0-9a-f]{32,128}+))"),
    Shape(
        "webhook",
        (
            "hooks.slack.com/",
            "/api/webhooks/",
            "webhook.office.com/",
            "outlook.office.com/webhook",
            "hooks.zapier.com/",
            "maker.ifttt.com/",
            "logic.azure.com/",
        ),
        r"(?i:(?>hooks\.slack\.com/|/api/webhooks/|webhook\.office\.com/|outlook\.office\.com/webhook/|hooks\.zapier\.com/"
        rf"|maker\.ifttt\.com/|logic\.azure\.com[:/])({_PATH}))",
    ),
    Shape("telegram bot", (":aa",), r"(?<![0-9])[0-9]{8,10}+:AA[A-Za-z0-9_\-]{30,64}+"),
    Shape(
        "discord bot",
        ("m", "n", "o"),
        r"(?<![A-Za-z0-9_.\-])[MNO][A-Za-z0-9_\-]{22,28}+\.[A-Za-z0-9_\-]{6}\.[A-Za-z0-9_\-]{27,48}+",
        "mixed",
    ),
    Shape("mailchimp", ("-us",), r"(?<![0-9A-Za-z])[0-9a-f]{32}-us[0-9]{1,2}+(?![0-9A-Za-z])"),
    Shape("azure client secret", ("q~",), r"(?<![A-Za-z0-9_~.\-])[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.\-]{31,64}+"),
    Shape("terraform cloud", (".atlasv1.",), r"(?<![A-Za-z0-9])[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=\-]{40,128}+"),
    Shape("vault, old form", ("s.",), r"(?<![A-Za-z0-9_.])s\.[A-Za-z0-9]{24}(?![A-Za-z0-9_.])", "mixed"),
    Shape("1password secret key", ("a3-",), r"(?<![A-Za-z0-9\-])A3-[A-Z0-9]{6}(?:-[A-Z0-9]{5,11}+){4,6}+"),
    Shape("google refresh token", ("1//0",), r"(?<![A-Za-z0-9/])1//0[A-Za-z0-9_\-]{20,512}+"),
    Shape("firebase", (":apa91b",), r"(?<![A-Za-z0-9_\-])[A-Za-z0-9_\-]{8,64}+:APA91b[A-Za-z0-9_\-]{40,512}+"),
    Shape(
        "launchdarkly",
        ("sdk-", "api-", "mob-"),
        r"(?<![A-Za-z0-9\-])(?>sdk|api|mob)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    ),
    Shape(
        "password hash",
        ("$",),
        r"(?<![A-Za-z0-9$])\$(?>2[abxy]|argon2(?>id|i|d)|apr1|scrypt|pbkdf2[a-z0-9\-]{0,16}+|[1567y])\$[^\s\"',:;<>]{8,512}+",
    ),
    Shape("django hash", ("pbkdf2_sha",), r"pbkdf2_sha[0-9]{1,4}+\$[^\s\"',:;<>]{16,512}+"),
    Shape("seed of an authenticator", ("otpauth://",), r"(?i:otpauth://[^\s\"'<>]{1,1024}+)"),
    Shape(
        "query value",
        ("?", "&"),
        r"(?i:[?&;](?>x-amz-signature|x-amz-credential|x-goog-signature|x-goog-credential|signature|sig|key|code|pass|pw|auth|otp|jwt|sid"
        r"|session|ticket|samlresponse|assertion)(?:=|%3D)([^&\s\"'<>#;\\]{6,4096}+))",
        "query",
    ),
    Shape(
        "curl credentials",
        ("-u ", "--user "),
        r"(?<![A-Za-z0-9\-])-(?>u|-user)[ \t]{1,4}+[\"']?+[^\s:\"']{1,128}+:([^\s\"']{1,256}+)",
    ),
    Shape("netrc", ("login ",), r"(?i:\blogin\s{1,4}+[^\s]{1,128}+\s{1,4}+password\s{1,4}+([^\s]{1,256}+))"),
    Shape(
        "statement that sets a password",
        ("identified ",),
        r"(?i:identified\s{1,4}+(?:with\s{1,4}+[\w'\"]{1,64}+\s{1,4}+)?+(?>by|as)\s{1,4}+"
        r"(?:password\s{1,4}+)?+(['\"][^'\"]{1,256}+))",
    ),
    Shape(
        "oracle connection",
        (":thin:", ":oci:", "sqlplus "),
        r"(?i:(?>:thin:|:oci:|sqlplus\s{1,4}+)[A-Za-z0-9_$#]{1,64}+/([^\s@\"']{1,128}+)@)",
    ),
    Shape("sshpass", ("sshpass",), r"(?i:sshpass\s{1,4}+-p\s{0,4}+[\"']?+([^\s\"']{1,256}+))"),
    # -- personal data
    Shape(
        "e-mail address",
        ("@", "%40"),
        r"""(?<![^\s()<>\[\]{}|,;:"'=/\\?&%!#$*^`~])[^\s()<>\[\]{}|,;:"'=/\\?&%@]{1,64}+(?>@|%40)(?!v?+[0-9]{1,9}+\.[0-9])"""
        r"""(?:[^\W_](?:[\w\-]{0,62}+)\.){1,8}+[^\W\d_]{2,24}+(?![\w(\-])""",
        "address",
    ),
    Shape(
        "phone number",
        ("+",),
        r"(?<![A-Za-z0-9.+\-_=])\+[1-9](?:[ .\-/]?+\(?+[0-9]\)?+){7,14}+(?![A-Za-z0-9])",
        "phone",
        True,
    ),
    Shape(
        "phone number, 00",
        (" 00", "(00", ":00", "00"),
        r"(?<![A-Za-z0-9.+\-_:])00[1-9][0-9]{0,2}+[ \-/]\(?+[0-9]{1,5}+\)?+(?:[ \-/][0-9]{2,8}+){1,4}+(?![A-Za-z0-9:.\-])",
        None,
        True,
    ),
    Shape(
        "phone number, North America",
        ("-",),
        r"(?<![A-Za-z0-9.+\-_])(?:\(?+[2-9][0-9]{2}\)?+[ \-])[2-9][0-9]{2}-[0-9]{4}(?![A-Za-z0-9\-])",
        None,
        True,
    ),
    Shape(
        "card number",
        (),
        r"(?<![A-Za-z0-9.+_\-])[3-6][0-9]{3}(?:[ \-]?+[0-9]){9,15}+(?![A-Za-z0-9_]|[.\-][0-9])",
        "card",
        True,
    ),
    Shape("iban", (), r"(?<![A-Za-z0-9_\-])[A-Z]{2}[0-9]{2}(?:[ ]?+[A-Z0-9]){11,30}+(?![A-Za-z0-9_])", "iban", True),
    Shape(
        "social security number, US",
        ("-",),
        r"(?<![A-Za-z0-9.+\-_])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![A-Za-z0-9\-])",
        "ssn",
        True,
    ),
    Shape(
        "national insurance number, UK",
        (),
        r"(?<![A-Za-z0-9_\-])[ABCEGHJ-PRSTW-Z][ABCEGHJ-NPRSTW-Z] ?+[0-9]{2} ?+[0-9]{2} ?+[0-9]{2} ?+[A-D](?![A-Za-z0-9_\-])",
        None,
        True,
    ),
    Shape(
        "nir, France",
        (" ",),
        r"(?<![A-Za-z0-9.\-_])[12] [0-9]{2} (?>0[1-9]|1[0-2]|20) (?>[0-9]{2}|2[AB]) [0-9]{3} [0-9]{3} [0-9]{2}(?![A-Za-z0-9])",
        "nir",
        True,
    ),
    Shape("dni and nie, Spain", (), r"(?<![A-Za-z0-9.\-_])[0-9XYZ][0-9]{7}-?+[A-Z](?![A-Za-z0-9_\-.])", "dni", True),
    Shape(
        "codice fiscale, Italy",
        (),
        r"(?<![A-Za-z0-9_])[A-Z]{6}[0-9]{2}[A-EHLMPRST][0-9]{2}[A-Z][0-9]{3}[A-Z](?![A-Za-z0-9_])",
        "fiscal",
        True,
    ),
    Shape(
        "cpf, Brazil", (".",), r"(?<![0-9A-Za-z.])[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}(?![0-9A-Za-z\-])", "cpf", True
    ),
    Shape(
        "aadhaar, India",
        (" ",),
        r"(?<![0-9] )(?<![A-Za-z0-9.\-_])[2-9][0-9]{3} [0-9]{4} [0-9]{4}(?! ?+[A-Za-z0-9])",
        "verhoeff",
        True,
    ),
    Shape("pan, India", (), r"(?<![A-Za-z0-9_])[A-Z]{3}[ABCFGHLJPTK][A-Z][0-9]{4}[A-Z](?![A-Za-z0-9_])", None, True),
    Shape(
        "personnummer, Sweden",
        ("-", "+"),
        r"(?<![A-Za-z0-9.\-_])(?:19|20)?+[0-9]{6}[\-+][0-9]{4}(?![A-Za-z0-9\-])",
        "personnummer",
        True,
    ),
    Shape(
        "hetu, Finland",
        ("-", "+", "a"),
        r"(?<![A-Za-z0-9.\-_])[0-3][0-9][01][0-9]{3}[\-+A][0-9]{3}[0-9A-Y](?![A-Za-z0-9\-])",
        "hetu",
        True,
    ),
    Shape(
        "social insurance number, Canada",
        (" ", "-"),
        r"(?<![0-9] )(?<![A-Za-z0-9.\-_])[1-79][0-9]{2}(?>-[0-9]{3}-| [0-9]{3} )[0-9]{3}(?![ \-]?+[A-Za-z0-9])",
        "luhn",
        True,
    ),
    Shape(
        "ahv, Switzerland", ("756.",), r"(?<![0-9A-Za-z.])756\.[0-9]{4}\.[0-9]{4}\.[0-9]{2}(?![0-9A-Za-z])", "ahv", True
    ),
    Shape(
        "resident number, Korea",
        ("-",),
        r"(?<![A-Za-z0-9.\-_])[0-9]{2}(?>0[1-9]|1[0-2])(?>0[1-9]|[12][0-9]|3[01])-[1-4][0-9]{6}(?![A-Za-z0-9\-])",
        None,
        True,
    ),
    Shape(
        "resident number, China",
        (),
        r"(?<![A-Za-z0-9.\-_])[1-9][0-9]{5}(?>19|20)[0-9]{9}[0-9Xx](?![A-Za-z0-9_])",
        "resident",
        True,
    ),
    Shape(
        "curp, Mexico", (), r"(?<![A-Za-z0-9_])[A-Z]{4}[0-9]{6}[HM][A-Z]{5}[A-Z0-9][0-9](?![A-Za-z0-9_])", None, True
    ),
)
_NUMBERS = tuple(shape for shape in SHAPES if shape.is_number)
_WORDED = tuple(shape for shape in SHAPES if not shape.is_number)


def find_shapes(text: str, low: str) -> Iterator[Place]:
    """Places of what SHAPES has but numbers."""
    for shape in _WORDED:
        if any(anchor in low for anchor in shape.anchors):
            yield from _found(shape, text)


def find_numbers(text: str, low: str) -> Iterator[Place]:
    """Places of the numbers that SHAPES has."""
    for shape in _NUMBERS:
        if not shape.anchors or any(anchor in low for anchor in shape.anchors):
            yield from _found(shape, text)


def _found(shape: Shape, text: str) -> Iterator[Place]:
    check = _CHECKS.get(shape.check or "")
    for found in compiled(shape.pattern).finditer(text):
        masked = 1 if found.re.groups else 0
        if check is None or check(found.group(masked)):
            yield found.span(masked)


def find_key_blocks(text: str, low: str) -> Iterator[Place]:
    """Private keys as PEM or OpenPGP blocks, and what is left of one that was cut off."""
    at = text.find("-----BEGIN ")
    while at >= 0:
        label = text[at + 11 : text.find("-----", at + 11, at + 64)]
        after = at + 11
        if "PRIVATE" in label:
            end = text.find("-----END ", after)
            if end < 0:
                yield at, len(text)
                return
            closing = text.find("-----", end + 9, end + 64)
            after = closing + 5 if closing >= 0 else end + 9
            yield at, after
        at = text.find("-----BEGIN ", after)


_AUTHORITY = r"""[^\s/?#"'<>\\]{1,512}+"""
_NEXT_AT = r"""[^\s"'<>@\\]{1,256}+@"""


def find_authorities(text: str, low: str) -> Iterator[Place]:
    """Passwords, and tokens that stand for a user, before the @ of a URL; the user's name stays."""
    at = text.find("://")
    while at >= 0:
        start = at + 3
        found = compiled(_AUTHORITY).match(text, start)
        if found is not None:
            user, has, _ = found.group().rpartition("@")
            name, colon, password = (user if has else found.group()).partition(":")
            if has and colon and password:
                yield start + len(name) + 1, start + len(user)
            elif has and not colon and len(user) >= 16 and any("0" <= c <= "9" for c in user):
                yield start, start + len(user)
            elif not has and colon and not password.isdigit() and not name.startswith("["):
                # A password with a slash in it: it goes on to the @.
                further = compiled(_NEXT_AT).match(text, start + len(name) + 1)
                if further is not None:
                    yield further.start(), further.end() - 1
            start = found.end()
        at = text.find("://", start)


def _credentials(value: str) -> bool:
    """`Basic authentication` and `bearer token` are words."""
    plain = value.rstrip("=.:")
    return len(plain) >= 6 and not (plain.isalpha() and (plain.islower() or plain.istitle()))


def _query(value: str) -> bool:
    """`code=404`, `key=name` and `sig=v1` are no secrets."""
    return len(value) >= 8 and any("0" <= c <= "9" for c in value) and not value.isdigit()


def _mixed(value: str) -> bool:
    return (
        any("0" <= c <= "9" for c in value)
        and any("A" <= c <= "Z" for c in value)
        and any("a" <= c <= "z" for c in value)
    )


def _address(value: str) -> bool:
    """`git@host:` names everybody."""
    return not value.startswith("git@")


_CHECKS: dict[str, Callable[[str], bool]] = CHECKS | {
    "credentials": _credentials, "query": _query, "mixed": _mixed, "address": _address,
}  # fmt: skip
