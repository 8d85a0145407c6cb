"""Requests drawn at random, the same in each run: never a 500 and never a traceback, whatever else is turned on."""

from __future__ import annotations

import base64
import json
import logging
import random
from io import BytesIO
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder, run_wsgi_app

from flask_oauth2 import MemoryStore
from flask_oauth2.clients.secrets import hash_secret
from oauth_site import CALLBACK, CHALLENGE, make_site

PATHS = [
    *("/oauth/token", "/oauth/revoke", "/oauth/introspect", "/oauth/device_authorization", "/oauth/register"),
    *("/oauth/register/web", "/oauth/register/%e9", "/oauth/authorize", "/oauth/consent", "/oauth/device"),
    *("/oauth/applications", "/oauth/developer", "/oauth/developer/new", "/oauth/developer/web/secret"),
    *("/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/x", "/api/me", "/api/other"),
    "/.well-known/oauth-protected-resource/api",
]
METHODS = ["GET", "POST", "POST", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"]
KINDS = [
    *("application/x-www-form-urlencoded",) * 6,
    *("application/json",) * 3,
    "application/x-www-form-urlencoded; charset=utf-16",
    "multipart/form-data; boundary=b",
    "multipart/form-data",
    "text/plain; charset=\xe9",
    ";;;=\xff",
    "",
]
NAMES = [
    *("grant_type", "client_id", "client_secret", "code", "code_verifier", "redirect_uri", "scope", "refresh_token"),
    *(
        "token",
        "device_code",
        "user_code",
        "username",
        "password",
        "resource",
        "response_type",
        "response_mode",
        "state",
    ),
    *(
        "code_challenge",
        "code_challenge_method",
        "prompt",
        "ticket",
        "decision",
        "access_token",
        "request_uri",
    ),
    *("flask_oauth2_sent_at", "token_type_hint", "max_age", "\xe9", "a[b]", "client_id%00"),
]
WORDS: list[bytes] = [
    *(b"authorization_code", b"client_credentials", b"refresh_token", b"password", b"web", b"spa", b"profile", b"code"),
    *(b"token", b"query", b"form_post", b"none", b"login", b"S256", b"allow", b"ada", CHALLENGE.encode()),
    *(CALLBACK.encode(), b"https://a.example/%zz", b"http://[::1", b"https://[v1.x]/", b"javascript:1", b"//\xff"),
    *(
        b"urn:ietf:params:oauth:grant-type:device_code",
        b"a chosen secret",
        b"a chosen secret\0",
        b"a%00",
        b"\xe9",
        b"%e9",
    ),
    *(
        b"%",
        b"%%%",
        b"%zz",
        b"%ed%a0%80",
        b"%f0%9f%98%80",
        b"%0d%0a",
        b"\xff\xfe\0",
        b"",
        b"+",
        b" ",
        b"\t",
        b"\x7f",
        b"\x85",
    ),
    *(b"A" * 3000, b"%41" * 9000, b"1e999", b"-1", b"null", b"[]", b"{}", b"oat_" + b"x" * 50, b"ort_" + b"x" * 50),
    *("\u202e".encode(), "\ud800".encode("utf-8", "surrogatepass"), "٣".encode(), "ﬁ".encode(), b"https://b.example"),
]
JSON_VALUES: list[Any] = [
    *(None, True, 0, -1, 1e308, 10**400, "", "x", "\0", "\ud800", "é", "x" * 5000, [], [[]], [None], {}, {"a": {}}),
    *(["https://a.example/cb"], ["http://[::1"], ["https://a\ud800.example/"], ["\0"], "none", "client_secret_basic"),
    *(["authorization_code"], ["code"], "profile", ["a"] * 500, "https://a.example/\x85", "web", "native"),
]
MEMBERS = [
    *("redirect_uris", "token_endpoint_auth_method", "grant_types", "response_types", "client_name", "client_uri"),
    *("logo_uri", "scope", "contacts", "tos_uri", "policy_uri", "jwks", "software_id", "client_id", "client_secret"),
    *("application_type", "client_name#de", "", "\ud800", "__proto__"),
]


class Fuzzer:
    """Draws requests from parts that have meant trouble somewhere."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def word(self) -> bytes:
        kind = self.random.random()
        if kind < 0.8:
            return self.random.choice(WORDS)
        if kind < 0.9:
            return self.random.randbytes(self.random.randrange(40))
        return self.random.choice(WORDS) + self.random.choice(WORDS)[:100]

    def pairs(self) -> bytes:
        pairs = [self.random.choice(NAMES).encode() + b"=" + self.word() for _ in range(self.random.randrange(9))]
        return self.random.choice([b"&", b"&", b"&", b"&&", b";"]).join(pairs)

    def members(self) -> bytes:
        if self.random.random() < 0.15:
            return self.random.choice(
                [b"", b"{", b"[" * 5000, b'{"a":1,"a":2}', b"NaN", b"\xff", self.word(), b"0" * 5000]
            )
        drawn = {self.random.choice(MEMBERS): self.random.choice(JSON_VALUES) for _ in range(self.random.randrange(7))}
        return json.dumps(drawn).encode()

    def authorization(self) -> str:
        inner = self.random.choice([b"web:a chosen secret", self.word() + b":" + self.word(), self.word()])
        encoded = base64.b64encode(inner).decode()
        return self.random.choice(
            [
                f"Basic {encoded}",
                f"basic  {encoded[:-1]}",
                f"Basic {encoded}, Basic {encoded}",
                "Basic \xe9",
                "Basic",
                "\xe9",
                f"Bearer {self.word().decode('latin-1')}",
                f"Digest username={self.word().decode('latin-1')}",
                f"Basic {self.word().decode('latin-1')}",
            ]
        )

    def environ(self) -> dict[str, Any]:
        choose = self.random.choice
        environ: dict[str, Any] = EnvironBuilder("/", base_url="https://login.example").get_environ()
        environ["REQUEST_METHOD"] = choose(METHODS)
        path = choose(PATHS)
        environ["PATH_INFO"] = path if self.random.random() < 0.9 else f"{path}/{self.word().decode('latin-1')}"
        environ["QUERY_STRING"] = self.pairs().decode("latin-1") if self.random.random() < 0.6 else ""
        kind = choose(KINDS)
        body = self.members() if "json" in kind else self.pairs()
        if "multipart" in kind and self.random.random() < 0.7:
            body = (
                b'--b\r\nContent-Disposition: form-data; name="grant_type"\r\n\r\n' + body + choose([b"", b"\r\n--b--"])
            )
        if kind or choose([True, False]):
            environ["CONTENT_TYPE"] = kind
        length: Any = len(body)
        environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(length)}
        framing = self.random.random()
        if framing < 0.15:  # as chunks, whose end the server finds
            del environ["CONTENT_LENGTH"]
            environ |= {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
        elif framing < 0.3:
            environ["CONTENT_LENGTH"] = choose(["", "x", "-5", "\xb2", str(length + 10), str(length // 2), "9" * 30])
        headers = {
            "HTTP_AUTHORIZATION": self.authorization,
            "HTTP_ORIGIN": lambda: choose(
                ["https://spa.example", "null", "\xe9", "https://[", "http://[::1]:x", self.text()]
            ),
            "HTTP_COOKIE": lambda: f"session={self.text()}; {self.text()}",
            "HTTP_ACCEPT_LANGUAGE": lambda: choose(["de", "\xe9;q=x", ",,;q=1e999", self.text()]),
            "HTTP_HOST": lambda: choose(["login.example", "\xe9", "a:b:c", "[::1", self.text()]),
            "HTTP_ACCESS_CONTROL_REQUEST_METHOD": lambda: choose(["POST", "\xe9"]),
            "HTTP_X_FORWARDED_PROTO": lambda: choose(["https", "\xe9"]),
            "REMOTE_ADDR": lambda: choose(["", "unix:", "\xe9", "fe80::1%eth0", "203.0.113.7"]),
        }
        for name, draw in headers.items():
            if self.random.random() < (0.5 if name in ("HTTP_AUTHORIZATION", "HTTP_ORIGIN") else 0.1):
                environ[name] = draw()
        return environ

    def text(self) -> str:
        return self.word().decode("latin-1")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("audit", [False, True], ids=["", "audit"])
@pytest.mark.parametrize("metrics", [None, "prometheus"], ids=["", "metrics"])
@pytest.mark.spec("rfc6749", "5.2")
def test_no_request_is_an_error_of_the_server(
    tmp_path: Any, audit: bool, metrics: str | None, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG if audit else logging.CRITICAL, "flask_oauth2")
    caplog.set_level(logging.INFO if audit else logging.CRITICAL, "flask_oauth2.audit")
    options: dict[str, Any] = {"OAUTH2_METRICS": metrics} if metrics else {}
    site = make_site(
        tmp_path,
        store=MemoryStore(),
        OAUTH2_GRANT_TYPES=["authorization_code", "client_credentials", "refresh_token", "device_code", "password"],
        OAUTH2_DYNAMIC_REGISTRATION="open",
        OAUTH2_DEVELOPER_PAGES=True,
        OAUTH2_DEFAULT_SCOPE="profile",
        OAUTH2_TOKEN_IN_BODY=True,
        OAUTH2_CORS_ORIGINS=["https://spa.example"],
        OAUTH2_MAX_FAILED_ATTEMPTS=100_000,
        OAUTH2_REGISTRATIONS_PER_HOUR=100_000,
        PROPAGATE_EXCEPTIONS=False,
        **options,
    )
    site.provider.usergetter(lambda username, password, client, request: None)
    site.provider.protect_resource("/api/other", "profile")
    site.add_client("web", secret=None)
    site.change_client("web", auth_method="client_secret_basic", secret=hash_secret("a" + "x" * 10))
    site.add_client("spa", secret=None)
    caught: list[str] = []
    draw = Fuzzer(seed)
    for number in range(400):
        environ = draw.environ()
        _, status, headers = run_wsgi_app(site.app, environ, buffered=True)
        if status.startswith("5") or any("\n" in value for _, value in headers):
            shown = {name: value for name, value in environ.items() if not name.startswith(("wsgi", "werkzeug"))}
            caught.append(f"{number}: {status} {shown} {environ['wsgi.input']}")
    assert caught == []
    assert not [record for record in caplog.records if record.exc_info]
