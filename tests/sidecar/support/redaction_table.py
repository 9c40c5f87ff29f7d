"""Shapes of secrets and personal data, each in a text as it is met, and what is none of either. Nothing here opens anything.

Values are put together, so that no secret scanner takes this file for a leak.
"""

from __future__ import annotations

import base64
import string
from random import Random

from plugwarden.redaction import keys as key_rules
from plugwarden.redaction.shapes import SHAPES
from plugwarden.redaction.tokens import TOKENS

__all__ = ["HARMLESS", "PERSONAL", "SECRETS", "adversaries"]

_random = Random(10)


def _of(letters: str, count: int) -> str:
    return "".join(_random.choice(letters) for _ in range(count - 2)) + "a7"


def _an(count: int) -> str:
    return _of(string.ascii_letters + string.digits, count)


def _hex(count: int) -> str:
    return _of("0123456789abcdef", count)


def _up(count: int) -> str:
    return _of(string.ascii_uppercase + "234567", count)[:-2] + "A7"


def _row(name: str, text: str, secret: str) -> tuple[str, str, str]:
    return name, text.replace("§", secret), secret


_JWT = "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0In0." + _an(43)
_PASSWORD = "Tr0ub4dor-" + "&3"
_PEM = "MIIEpAIBAAKCAQEA" + _an(64)
_AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY"

SECRETS = [
    # -- tokens that say what they are
    _row("aws key id", "denied for § in eu-west-1", "AKIA" + _up(16)),
    _row("aws temporary key id", "AccessDenied: § has expired", "ASIA" + _up(16)),
    _row("aws secret key", "aws_secret_access_key = §", _AWS_SECRET),
    _row("aws secret key, json", '{"SecretAccessKey": "§", "x": 1}', _AWS_SECRET),
    _row("aws session token", "AWS_SESSION_TOKEN=§ boto3", "IQoJb3JpZ2luX2Vj" + _an(60)),
    _row("aws signature v4", "AWS4-HMAC-SHA256 SignedHeaders=host, Signature=§", _hex(64)),
    _row("aws presigned url", "GET https://b.s3.amazonaws.com/k?X-Amz-Expires=60&X-Amz-Signature=§", _hex(64)),
    _row("google api key", "maps failed: key § is over quota", "AIza" + _an(35)),
    _row("google access token", "token used: §", "ya29." + _an(60)),
    _row("google client secret", "client §", "GOCSPX-" + _an(28)),
    _row("google refresh token", "invalid_grant for §", "1//0" + _an(40)),
    _row("google signed url", "https://storage.googleapis.com/b/o?X-Goog-Signature=§&x=1", _hex(128)),
    _row("azure storage", "DefaultEndpointsProtocol=https;AccountName=n;AccountKey=§;EndpointSuffix=x",
         base64.b64encode(_an(48).encode()).decode()),
    _row("azure service bus", "Endpoint=sb://n.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=§", _an(43) + "="),
    _row("azure sas", "https://n.blob.core.windows.net/c?sv=2024-11-04&sr=c&sig=§&se=2026", "kQ7%2F" + _an(40) + "%3D"),
    _row("azure client secret", "AADSTS7000215 for §", "abc8Q~" + _an(34)),
    _row("github", "remote: § was revoked", "ghp_" + _an(36)),
    _row("github, fine-grained", "using §.", "github_pat_" + _an(22) + "_" + _an(59)),
    _row("github, installation", "got §", "ghs_" + _an(36)),
    _row("gitlab", "GITLAB §", "glpat-" + _an(20)),
    _row("slack bot", "slack says invalid_auth for §", "xoxb-" + "123456789012-123456789012-" + _an(24)),
    _row("slack webhook", "POST https://hooks.slack.com/services/§ 500", "T0" + _up(8) + "/B0" + _up(8) + "/" + _an(24)),
    _row("discord webhook", "https://discord.com/api/webhooks/§", "123456789012345678/" + _an(68)),
    _row("discord bot", "login with §", "MTA" + _an(21) + ".G" + _an(5) + "." + _an(38)),
    _row("teams webhook", "https://acme.webhook.office.com/webhookb2/§ said 400", _hex(32) + "/IncomingWebhook/" + _hex(32)),
    _row("telegram bot", "https://api.telegram.org/bot§/getMe", "1234567890:AA" + _an(33)),
    _row("stripe", "No such charge with §", "sk_live_" + _an(24)),
    _row("stripe, restricted", "No such charge with §", "rk_live_" + _an(24)),
    _row("stripe webhook", "signing §", "whsec_" + _an(32)),
    _row("openai", "Incorrect API key provided: §", "sk-proj-" + _an(40)),
    _row("anthropic", "x: §", "sk-ant-api03-" + _an(80)),
    _row("hugging face", "401 for §", "hf_" + _an(34)),
    _row("npm", "//registry.npmjs.org/:_authToken=§", "npm_" + _an(36)),
    _row("pypi", "twine -u __token__ §", "pypi-AgEIcHlwaS5vcmc" + _an(60)),
    _row("docker hub", "docker: §", "dckr_pat_" + _an(27)),
    _row("sendgrid", "mail: §", "SG." + _an(22) + "." + _an(43)),
    _row("mailgun", "mail: §", "key-" + _hex(32)),
    _row("mailchimp", "mail: §", _hex(32) + "-us12"),
    _row("twilio", "sms: §", "SK" + _hex(32)),
    _row("digitalocean", "do: §", "dop_v1_" + _hex(64)),
    _row("databricks", "dbx: §", "dapi" + _hex(32)),
    _row("shopify", "shop: §", "shpat_" + _hex(32)),
    _row("square", "pay: §", "sq0atp-" + _an(22)),
    _row("vault", "vault: §", "hvs." + _an(90)),
    _row("terraform cloud", "tf: §", _an(14) + ".atlasv1." + _an(64)),
    _row("grafana", "gf: §", "glsa_" + _an(32) + "_" + _hex(8)),
    _row("sentry dsn", "https://§@o1.ingest.sentry.io/2", _hex(32)),
    _row("atlassian", "jira: §", "ATATT3x" + _an(60)),
    _row("linear", "li: §", "lin_api_" + _an(40)),
    _row("figma", "fig: §", "figd_" + _an(40)),
    _row("tailscale", "ts: §", "tskey-auth-" + _an(17) + "-" + _an(32)),
    _row("age key", "age: §", "AGE-SECRET-KEY-1" + _up(58)),
    _row("jwt", "claims of § expired", _JWT),
    _row("jwe", "cannot decrypt §", "eyJhbGciOiJSU0EtT0FFUCJ9." + ".".join(_an(20) for _ in range(4))),
    # -- headers
    _row("bearer", "Authorization: Bearer §", _an(32)),
    _row("bearer in prose", "sent 'Bearer §' twice", _an(32)),
    _row("basic", "authorization: Basic §", base64.b64encode(b"ann:hunter2").decode()),
    _row("digest", 'Authorization: Digest username="a", response="§"', _hex(32)),
    _row("token scheme", "Authorization: Token §", _hex(40)),
    _row("api key header", "X-Api-Key: §", _an(24)),
    _row("headers of a dict", "{'Accept': '*/*', 'X-Auth-Token': '§'}", _an(24)),
    _row("headers of asgi", "[(b'host', b'x'), (b'authorization', b'§')]", _an(24)),
    _row("cookie", "Cookie: theme=dark; sid=§", _an(24)),
    _row("set-cookie", "Set-Cookie: session=§; HttpOnly", _an(24)),
    _row("session id", "PHPSESSID=§; path=/", _an(26)),
    _row("csrf", "csrfmiddlewaretoken=§&x=1", _an(32)),
    # -- URLs and connection strings
    _row("url with a password", "could not reach https://ann:§@db.example.org/x", _PASSWORD),
    _row("url with a token", "clone https://§@github.com/o/r.git", _hex(40)),
    _row("postgres", "postgresql://app:§@10.0.0.5:5432/x?sslmode=require", _PASSWORD),
    _row("a password with a slash", "amqp://app:§@mq/x", "hun/ter2"),
    _row("redis", "redis://:§@cache:6379/0", _PASSWORD),
    _row("mongodb", "mongodb+srv://app:§@c.example.net/x", _PASSWORD),
    _row("sql server", "Server=tcp:x,1433;User ID=sa;Password=§;Encrypt=True", _PASSWORD),
    _row("odbc", "DRIVER={x};UID=sa;PWD=§;DATABASE=d", _PASSWORD),
    _row("libpq", "host=db user=app password=§ dbname=x", _PASSWORD),
    _row("jdbc", "jdbc:mysql://db/x?user=app&password=§", "hunter22"),
    _row("oracle", "jdbc:oracle:thin:scott/§@//db:1521/x", "tiger99"),
    _row("oauth code", "https://app/cb?state=x&code=§", _an(40)),
    # -- keys with values
    _row("assignment", "password=§", _PASSWORD),
    _row("quoted", "password='§', user=ann", "s3cr3t value"),
    _row("repr", "{'user': 'ann', 'passwd': '§'}", _PASSWORD),
    _row("json", '{"user": "ann", "password": "§"}', _PASSWORD),
    _row("json in json", '{"body": "{\\"password\\": \\"§\\"}"}', _PASSWORD),
    _row("a quote in it", '{"password": "§", "x": 1}', 'a\\"b' + _PASSWORD),
    _row("yaml", "db:\n  password: §\n  host: x", _PASSWORD),
    _row("xml", "<password>§</password>", _PASSWORD),
    _row("url-encoded", "body=user%3Dann%26password%3D§%26x", "hunter22"),
    _row("form part", 'name="password"\r\n\r\n§\r\n--x', _PASSWORD),
    _row("environment", "DB_PASSWORD=§ make", _PASSWORD),
    _row("camel case", "clientSecret: §", _an(24)),
    _row("dotted", "spring.datasource.password=§", _PASSWORD),
    _row("refresh token", '"refresh_token":"§"', _an(30)),
    _row("spaced", "api key: §", _an(20)),
    _row("passphrase", "passphrase: '§'", "correct horse 7 battery"),
    _row("private key, base64", "private_key=§", _PEM),
    _row("command line", "run --password § --verbose", _PASSWORD),
    _row("argument list", "['tool', '--api-key', '§']", _an(20)),
    _row("curl", "curl -u ann:§ https://x", _PASSWORD),
    _row("netrc", "machine x login ann password §", _PASSWORD),
    _row("sql", "ALTER USER ann IDENTIFIED BY '§'", _PASSWORD),
    _row("prose", "the password is § today", "hunter22"),
    _row("one-time code", "otp=§", "493817"),
    _row("card code", "cvv: §", "737"),
    _row("totp", "otpauth://§", "totp/x:ann?secret=" + _up(16) + "&issuer=x"),
    _row("bcrypt", "stored § for ann", "$2b$12$" + _an(53)),
    _row("django hash", "stored §", "pbkdf2_sha256$600000$" + _an(12) + "$" + _an(43) + "="),
    # -- key blocks
    _row("pem", "-----BEGIN RSA PRIVATE " + "KEY-----\n§\n-----END RSA PRIVATE KEY-----", _PEM),
    _row("pem, cut off", "-----BEGIN PRIVATE " + "KEY-----\n§", _PEM),
    _row("pem in json", '"-----BEGIN EC PRIVATE ' + 'KEY-----\\n§\\n-----END EC PRIVATE KEY-----\\n"', _PEM),
    _row("openssh", "-----BEGIN OPENSSH PRIVATE " + "KEY-----\n§\n-----END OPENSSH PRIVATE KEY-----", _PEM),
    _row("pgp", "-----BEGIN PGP PRIVATE KEY " + "BLOCK-----\n§\n-----END PGP PRIVATE KEY BLOCK-----", _PEM),
]  # fmt: skip
"""(name, text, what must be gone)."""

PERSONAL = [
    _row("e-mail", "no mailbox for §", "ann.ohara+x@mail.example.org"),
    _row("e-mail in brackets", "Ann <§> wrote", "ann@example.org"),
    _row("e-mail in a url", "https://x/u?mail=§&x", "ann%40example.org"),
    _row("e-mail, other letters", "an §", "jürgen@müller.example"),
    _row("phone, international", "call § now", "+49 30 1234567"),
    _row("phone, e.164", "sms to §", "+4915112345678"),
    _row("phone, usa", "call §", "(415) 555-2671"),
    _row("phone, dashes", "call § or", "415-555-2671"),
    _row("phone, 00", "call §", "0049 30 1234567"),
    _row("phone by its key", "mobile: §", "0151-12345678"),
    _row("card, visa", "card § declined", "4111 1111 1111 1111"),
    _row("card, mastercard", "card=§", "5555555555554444"),
    _row("card, amex", "card § declined", "3782-822463-10005"),
    _row("iban", "to §.", "DE89 3704 0044 0532 0130 00"),
    _row("iban, plain", "to §", "GB82WEST12345698765432"),
    _row("ssn, usa", "ssn §", "536-90-4399"),
    _row("ssn by its key", "social security number: §", "536904399"),
    _row("national insurance, uk", "NI §", "AB 12 34 56 C"),
    _row("nir, france", "nir §", "1 84 12 76 451 089 46"),
    _row("dni, spain", "dni §", "12345678Z"),
    _row("nie, spain", "nie §", "X1234567L"),
    _row("codice fiscale, italy", "cf §", "RSSMRA85T10A562S"),
    _row("cpf, brazil", "cpf §", "529.982.247-25"),
    _row("aadhaar, india", "id §", "2341 2341 2346"),
    _row("pan, india", "pan §", "ABCPE1234F"),
    _row("personnummer, sweden", "pnr §", "811228-9874"),
    _row("hetu, finland", "hetu §", "131052-308T"),
    _row("sin, canada", "sin §", "046 454 286".replace("0", "1", 1).replace("146 454 286", "130 692 544")),
    _row("ahv, switzerland", "ahv §", "756.9217.0769.85"),
    _row("resident number, korea", "rrn §", "900101-1234567"),
    _row("resident number, china", "id §", "11010519491231002X"),
    _row("curp, mexico", "curp §", "HEGG560427MVZRRL04"),
    _row("passport", "passport_number: §", "C01X00T47"),
    _row("birth date", '"date_of_birth": "§"', "1984-05-17"),
    _row("birth date, spaced", "date of birth: §", "1984-05-17"),
    _row("tax id", "tax_id=§", "86095742719"),
    _row("surname", "last_name='§'", "Lovelace"),
]

HARMLESS = [
    "cannot tokenize row 3",
    "3 rows",
    "the key is missing",
    "https://example.org/path?x=1",
    "unexpected token: EOF",
    "invalid token ')'",
    "max_tokens=4096, prompt_tokens: 512",
    '{"usage": {"input_tokens": 12, "total_tokens": 24}}',
    "token_type=bearer",
    "password is required",
    "password: missing",
    "{'password': ['required']}",
    "password=None",
    "token: null",
    "secret_name=db-main",
    "no API key was given",
    "trace 4bf92f3577b34da6a3ce929d0e0e4736 span 00f067aa0ba902b7",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "id 123e4567-e89b-12d3-a456-426614174000",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "md5 d41d8cd98f00b204e9800998ecf8427e",
    'etag "33a64df551425fcc55e4d42a148795d9f25f89d4"',
    "version 1.24.0-rc.1+build.5",
    "breaker geo@2.0.1 lookup: closed → open",
    "lodash@4.17.21",
    "python 3.11.7 (main, May  9 2026, 07:35:25) [GCC 12.2.0]",
    "2026-11-26T11:27:12.123456+01:00",
    "2026-11-26 11:27:12 +0100",
    "at 1764156432123456789 ns",
    "at 1764156432.123456",
    "1764156432123",
    "took 0.000123456789012345 s",
    "Thu, 26 Nov 2026 11:27:12 GMT",
    "2026-11-26",
    '  File "/usr/lib/python3.11/site-packages/app/token_store.py", line 123, in get_token',
    "C:\\Users\\ann\\AppData\\Local\\x.log",
    "/var/lib/plugwarden/spool-12345-18c2f3a4b5.sqlite",
    "git@github.com:o/r.git",
    "10.0.0.5:5432",
    "2001:db8::8a2e:370:7334",
    "[::1]:8080",
    "00:1b:44:11:3a:b7",
    "http://localhost:8080/x",
    "https://example.org:8443/a/b?page=2&size=100&sort=name#top",
    "0x7ffe12345678",
    "<object at 0x7f3a2b4c5d60>",
    "12345678",
    "-1234567890",
    "x+12345678",
    "1,234,567.89",
    "1e+100",
    "3.141592653589793",
    "4111 1111 1111 1112",
    "5555555555554445",
    "90210",
    "order 1234-5678-90",
    "GET /api/v1/users/12345 200",
    "POST /v1/token 401",
    "status=404 code=500",
    "error code: 1045",
    "key=value",
    "key: name",
    "sort_key=created_at",
    "primary key 17",
    "Basic authentication failed",
    "bearer token missing",
    "Basic functionality",
    'WWW-Authenticate: Basic realm="x"',
    "the author: Ann",
    "authority=example.org",
    "pass: 3, fail: 2",
    "3 passed, 1 failed",
    "passed=3",
    "bypass=true",
    "compass: north",
    "pin 13 is high",
    "spinning: 4 threads",
    "keyboard: us",
    "monkey=true",
    "cardinality: 12000",
    "discard=10000",
    "accounting: 120000",
    "session started",
    "session.timeout=3600",
    "signal: 15",
    "design=modern1",
    "side=left12",
    "namespace: kube-system",
    "filename=report-2026.csv",
    "hostname: web-12345",
    "taxonomy: 12345",
    "syntax: proto3",
    "signature of export(rows: list[int]) -> bytes",
    "PASSWORD_POLICY=strict-12",
    "token_url=https://x/y",
    "password_min_length=12",
    "cookie_name=sid12345",
    "secretary=Ann",
    "task-12345678901234567890",
    "disk-1234567890abcdef1234",
    "risk-averse-strategy-2026-11-26",
    "hf_hub_download_timeout_seconds_10",
    "npm_config_user_agent_and_registry_setting_2",
    "SKU 1234567",
    "KeyError: 'name'",
    "AttributeError: 'Token' object has no attribute 'expires'",
    "ValueError: bad row 17 in /srv/in/2026-11-26/part-00017.csv",
    "x = y @ z.reshape(3, 4)",
    "@app.route('/x')",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ",
    "AB123456789",
    "lat=52.520008 lon=13.404954",
    "ISBN 978-3-16-148410-0",
    "EUR 1 234 567",
    "part 12-34-56",
    "range 100-200-300",
    "192.168.100.200",
    "1.2.3.4-5",
    "123.456.789-00",
    "arn:aws:iam::123456789012:role/app",
    "projects/123456789012/locations/x",
    "account 123456789012",
    "i-0123456789abcdef0",
    "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
]
"""Of these nothing may be masked."""


def adversaries() -> list[str]:
    """Something for each rule that makes it begin, go far, and fail."""
    seeds = [prefix + "a" * (least - 1) + " " for prefix, least in TOKENS]
    seeds += [prefix for prefix, _ in TOKENS]
    seeds += [anchor for shape in SHAPES for anchor in shape.anchors]
    seeds += (
        [f"{stem}=" for stem in key_rules.STEMS] + [f'"{stem}": "' for stem in key_rules.STEMS] + list(key_rules.STEMS)
    )
    seeds += ["0123456789abcdef", "a-", "a.", "a@", "a@b.", "://", "://a:", "://a:b", "4", "4 ", "4-", "12-", "AB12", "+1", "+1 ", "00 1",
              "eyJ-", "eyJ.", "eyJaaaaaaaa.", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "$2b$", "?sig=", "Bearer a ", "password='",
              "--password ", "token a", "İ", "\\", "\\\"", "password\\\": \\\"", "secret key id ", "key code number ", "Cookie: ", "\n",
              "a%40", "a@a", "login a ", "%22", "password%3D%22"]  # fmt: skip
    return seeds
