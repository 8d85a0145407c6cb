"""An application under test and the requests of its clients, as WSGI environs: only the application is timed.

Only the standard library is imported in this module: it runs in the environment of every library.
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
"""Long enough for every library, in a format that none of them generates."""

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
    """The folder of a library's data, and the URL of its database if it uses a server."""

    folder: Path
    url: str | None = None
    options: Mapping[str, Any] = {}
    issuer: str = ISSUER

    def write(self) -> str:
        """Return the place as a command line argument."""
        return json.dumps({**self._asdict(), "folder": str(self.folder)})

    @classmethod
    def read(cls, text: str) -> Place:
        """Return the place from a command line argument."""
        fields = json.loads(text)
        return cls(**{**fields, "folder": Path(fields["folder"])})


class Answer(NamedTuple):
    """The response to a request."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the members of the body."""
        members: dict[str, Any] = json.loads(self.body)
        return members

    def header(self, name: str) -> str:
        """Return a header, or an empty string."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def parameters(self) -> dict[str, str]:
        """Return the query parameters of a redirect."""
        return dict(parse_qsl(urlsplit(self.header("Location")).query))


@dataclass
class Site:
    """A library's application with a client, a user who has granted it ``profile``, and a guarded route.

    Inside the context of ``expire`` all earlier tokens and codes have expired. ``machine_id`` is the client for
    client credentials, if the library needs a separate one. ``paths`` has the paths that differ from :data:`PATHS`,
    or None for a missing endpoint.
    """

    wsgi: Callable[..., Any]
    expire: Callable[[], AbstractContextManager[None]]
    secret: str = SECRET
    machine_id: str = CLIENT_ID
    paths: Mapping[str, str | None] = field(default_factory=dict)
    cookie: str = ""
    _pool: Iterator[str] | None = None

    def path(self, name: str) -> str | None:
        """Return the path of an endpoint, or None."""
        return self.paths.get(name, PATHS[name])

    def send(self, environ: Environ) -> Answer:
        """Send a request and read the response as a server does."""
        start: list[Any] = []
        body = self.wsgi(environ, lambda status, headers, error=None: start.extend((status, headers)))
        try:
            octets = b"".join(body)
        finally:
            if hasattr(body, "close"):
                body.close()
        return Answer(int(start[0][:3]), start[1], octets)

    def get(self, name: str, query: Mapping[str, str] | None = None, **headers: str) -> Environ:
        """Return a GET request."""
        return make_environ("GET", self.path(name) or "", urlencode(query or {}), b"", **headers)

    def post(self, name: str, form: Mapping[str, str], **headers: str) -> Environ:
        """Return a POST request with a form."""
        return make_environ("POST", self.path(name) or "", "", urlencode(form).encode(), **headers)

    def client_post(self, name: str, form: Mapping[str, str], client_id: str = CLIENT_ID) -> Environ:
        """Return a POST request of a client that authenticates with ``client_secret_basic``."""
        octets = f"{client_id}:{self.secret}".encode()
        return self.post(name, form, HTTP_AUTHORIZATION=f"Basic {b64encode(octets).decode()}")

    def sign_in(self) -> None:
        """Sign in and store the cookie."""
        answer = self.send(self.post("login", {"user": USER}))
        cookies = [value.partition(";")[0] for name, value in answer.headers if name.lower() == "set-cookie"]
        self.cookie = "; ".join(cookies)

    def authorization_request(self) -> Environ:
        """Return the authorization request of a signed-in user who has consented before."""
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

    def client_credentials_request(self) -> Environ:
        """Return a token request with the client credentials grant."""
        return self.client_post("token", {"grant_type": "client_credentials", "scope": SCOPE}, self.machine_id)

    def redeem(self, code: str, verifier: str = VERIFIER) -> Environ:
        """Return the token request for a code."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": verifier,
        }
        return self.client_post("token", form)

    def refresh(self, refresh_token: str) -> Environ:
        """Return the token request for a refresh token."""
        return self.client_post("token", {"grant_type": "refresh_token", "refresh_token": refresh_token})

    def call(self, access_token: str) -> Environ:
        """Return a request to the guarded route."""
        return self.get("me", HTTP_AUTHORIZATION=f"Bearer {access_token}")

    def code(self) -> str:
        """Issue a code and return it."""
        answer = expect(self.send(self.authorization_request()), 302, 303)
        return answer.parameters()["code"]

    def tokens(self) -> dict[str, Any]:
        """Issue a pair of tokens with the authorization code flow."""
        return expect(self.send(self.redeem(self.code())), 200).json()

    def some_token(self) -> str:
        """Return one of a few valid access tokens."""
        if self._pool is None:
            self._pool = cycle([self.tokens()["access_token"] for _ in range(16)])
        return next(self._pool)

    def token_to_refresh(self) -> str:
        """Return an unused refresh token."""
        return str(self.tokens()["refresh_token"])

    def token_to_revoke(self) -> str:
        """Return a valid access token that no other operation uses."""
        return str(self.tokens()["access_token"])


def expect(answer: Answer, *statuses: int) -> Answer:
    """Return the response if it has one of the statuses."""
    if answer.status not in statuses:
        raise AssertionError(f"status {answer.status}: {answer.body[:300]!r}")
    return answer


def make_environ(method: str, path: str, query: str, body: bytes, **headers: str) -> Environ:
    """Return the environ of a request."""
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
