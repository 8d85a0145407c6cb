"""An application under test, as seen by its clients: requests are WSGI environs, so that nothing but it is timed.

Only the standard library is imported here: this runs in the environment of every library.
"""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

ISSUER = "https://login.example"
CALLBACK = "https://client.example/back"
SCOPE = "profile"
USER = "ada"
CLIENT_ID = "web"
SECRET = "ocs_" + "benchmarks-have-no-secrets-" * 2
"""Long enough for all, and no shape of its own that a library could know."""

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()

PATHS = {
    "authorize": "/oauth/authorize",
    "token": "/oauth/token",
    "introspect": "/oauth/introspect",
    "revoke": "/oauth/revoke",
    "metadata": "/.well-known/oauth-authorization-server",
    "login": "/login",
    "me": "/api/me",
}

Environ = dict[str, Any]


class Place(NamedTuple):
    """Where a library keeps its data: a folder of its own, and the URL of an empty database where it is a server."""

    folder: Path
    url: str | None = None
    options: Mapping[str, Any] = {}
    issuer: str = ISSUER

    def write(self) -> str:
        """As an argument of a command."""
        return json.dumps({**self._asdict(), "folder": str(self.folder)})

    @classmethod
    def read(cls, text: str) -> Place:
        """From an argument of a command."""
        fields = json.loads(text)
        return cls(**{**fields, "folder": Path(fields["folder"])})


class Answer(NamedTuple):
    """What came of a request."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The members of the body."""
        members: dict[str, Any] = json.loads(self.body)
        return members

    def header(self, name: str) -> str:
        """A header, empty where there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def parameters(self) -> dict[str, str]:
        """What a redirect carries."""
        return dict(parse_qsl(urlsplit(self.header("Location")).query))


@dataclass
class Site:
    """A library's application, with one client, one user who has let it have ``profile``, and a guarded route.

    While ``expire`` lasts, all tokens and codes that were issued so far have expired. ``machine_id`` is the client that
    acts for itself, where that needs one of its own. ``paths`` names where others have what is at :data:`PATHS` here,
    None where they have nothing.
    """

    wsgi: Callable[..., Any]
    expire: Callable[[], AbstractContextManager[None]]
    secret: str = SECRET
    machine_id: str = CLIENT_ID
    paths: Mapping[str, str | None] = field(default_factory=dict)
    cookie: str = ""
    _pool: Iterator[str] | None = None

    def path(self, name: str) -> str | None:
        """Where an endpoint is."""
        return self.paths.get(name, PATHS[name])

    def send(self, environ: Environ) -> Answer:
        """Ask, and read the answer as a server does."""
        start: list[Any] = []
        body = self.wsgi(environ, lambda status, headers, error=None: start.extend((status, headers)))
        try:
            octets = b"".join(body)
        finally:
            if hasattr(body, "close"):
                body.close()
        return Answer(int(start[0][:3]), start[1], octets)

    def get(self, name: str, query: Mapping[str, str] | None = None, **headers: str) -> Environ:
        """A GET request."""
        return make_environ("GET", self.path(name) or "", urlencode(query or {}), b"", **headers)

    def post(self, name: str, form: Mapping[str, str], **headers: str) -> Environ:
        """A POST request with a form."""
        return make_environ("POST", self.path(name) or "", "", urlencode(form).encode(), **headers)

    def client_post(self, name: str, form: Mapping[str, str], client_id: str = CLIENT_ID) -> Environ:
        """A POST request of a client, by ``client_secret_basic``."""
        octets = f"{client_id}:{self.secret}".encode()
        return self.post(name, form, HTTP_AUTHORIZATION=f"Basic {b64encode(octets).decode()}")

    def sign_in(self) -> None:
        """As a browser does; its cookie is kept."""
        answer = self.send(self.post("login", {"user": USER}))
        cookies = [value.partition(";")[0] for name, value in answer.headers if name.lower() == "set-cookie"]
        self.cookie = "; ".join(cookies)

    def ask_authorization(self) -> Environ:
        """The request of a browser whose user is signed in and has allowed it before."""
        query = {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "redirect_uri": CALLBACK,
            "scope": SCOPE,
            "state": "a-state-of-the-client",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        return self.get("authorize", query, HTTP_COOKIE=self.cookie)

    def ask_for_itself(self) -> Environ:
        """The token request of a client that acts for itself."""
        return self.client_post("token", {"grant_type": "client_credentials", "scope": SCOPE}, self.machine_id)

    def redeem(self, code: str, verifier: str = VERIFIER) -> Environ:
        """The token request of a code."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": verifier,
        }
        return self.client_post("token", form)

    def refresh(self, refresh_token: str) -> Environ:
        """The token request of a refresh token."""
        return self.client_post("token", {"grant_type": "refresh_token", "refresh_token": refresh_token})

    def call(self, access_token: str) -> Environ:
        """The guarded route."""
        return self.get("me", HTTP_AUTHORIZATION=f"Bearer {access_token}")

    def code(self) -> str:
        """A new code."""
        answer = expect(self.send(self.ask_authorization()), 302, 303)
        return answer.parameters()["code"]

    def tokens(self) -> dict[str, Any]:
        """A new pair of tokens, by the code flow."""
        return expect(self.send(self.redeem(self.code())), 200).json()

    def some_token(self) -> str:
        """An access token that lives, one of a few."""
        if self._pool is None:
            self._pool = cycle([self.tokens()["access_token"] for _ in range(16)])
        return next(self._pool)

    def token_to_refresh(self) -> str:
        """A refresh token that was not used yet."""
        return str(self.tokens()["refresh_token"])

    def token_to_revoke(self) -> str:
        """An access token that lives, and is needed no more."""
        return str(self.tokens()["access_token"])


def expect(answer: Answer, *statuses: int) -> Answer:
    """The answer, if it is one of those."""
    if answer.status not in statuses:
        raise AssertionError(f"status {answer.status}: {answer.body[:300]!r}")
    return answer


def make_environ(method: str, path: str, query: str, body: bytes, **headers: str) -> Environ:
    """A request as a server would hand it on."""
    environ: Environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "login.example",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "HTTP_HOST": "login.example",
        "HTTP_USER_AGENT": "benchmarks",
        "HTTP_ACCEPT": "*/*",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": BytesIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **headers,
    }
    if method == "POST":
        environ["CONTENT_TYPE"] = "application/x-www-form-urlencoded"
        environ["CONTENT_LENGTH"] = str(len(body))
    return environ
