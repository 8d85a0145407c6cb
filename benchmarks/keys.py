"""JSON Web Tokens and published keys, each compared with a bare Flask route that does the least for the same answer."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import repeat
from statistics import median, quantiles
from time import perf_counter_ns
from typing import Any

import flask
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from werkzeug.test import EnvironBuilder

from flask_oauth2 import Client, MemoryStore, OAuth2Provider, ResourceServer, current_token
from flask_oauth2.clients.secrets import hash_secret
from flask_oauth2.http.fetch import Fetched

ISSUER, FILES = "https://login.example", "https://files.example"
SECRET = "a secret of a client of the benchmarks"
ME = {"client": "web", "scope": ["profile"], "user": None}

Log = Callable[[str], None]


@dataclass
class Pair:
    """An operation and its floor: quartiles of both in nanoseconds, and the medians of each round."""

    name: str
    quartiles: list[float]
    floor_quartiles: list[float]
    rounds: list[float]
    floor_rounds: list[float]

    @property
    def ratio(self) -> float:
        """The median of the ratios of all rounds."""
        return median(mine / floor for mine, floor in zip(self.rounds, self.floor_rounds, strict=True))

    def write(self) -> dict[str, Any]:
        """Return the members for JSON."""
        return {**asdict(self), "ratio": self.ratio}


class Caller:
    """Sends requests to a WSGI application in this process, and times them.

    :param tokens: the access tokens of the requests, in turn.
    """

    def __init__(self, app: flask.Flask, path: str, tokens: Iterator[str] | None = None) -> None:
        self._wsgi = app.wsgi_app
        builder = EnvironBuilder(path, base_url=ISSUER)
        self._environ = builder.get_environ()
        self._tokens = tokens

    def time(self) -> int:
        """Send a request. Return the nanoseconds that its response took."""
        environ = dict(self._environ)
        if self._tokens is not None:
            environ["HTTP_AUTHORIZATION"] = f"Bearer {next(self._tokens)}"
        status: list[str] = []

        def start_response(text: str, *_: Any) -> Any:
            status.append(text)

        begin = perf_counter_ns()
        body = self._wsgi(environ, start_response)
        b"".join(body)
        spent = perf_counter_ns() - begin
        if not status[0].startswith("200"):
            raise RuntimeError(f"{self._environ['PATH_INFO']} responds with {status[0]}")
        return spent


def measure(*, rounds: int, requests: int, log: Log) -> list[Pair]:
    """Time each operation and its floor in turns."""
    provider = _make_provider()
    pairs = []
    for name, make in OPERATIONS.items():
        log(name)
        callers = make(provider, (rounds + 1) * requests)
        for caller in callers:
            for _ in range(requests):
                caller.time()  # warms up
        times: tuple[list[list[int]], list[list[int]]] = [], []
        for number in range(rounds):
            for one in (0, 1) if number % 2 else (1, 0):
                times[one].append([callers[one].time() for _ in range(requests)])
        every = [quantiles([float(spent) for one in side for spent in one], n=4) for side in times]
        medians = [[median(one) for one in side] for side in times]
        pairs.append(Pair(name, *every, *medians))
    return pairs


def _make_provider() -> flask.Flask:
    app = flask.Flask("provider")
    app.config.update(
        SECRET_KEY="a secret key of the benchmarks",
        OAUTH2_ISSUER=ISSUER,
        OAUTH2_SCOPES={"profile": "See your name"},
        OAUTH2_ACCESS_TOKEN_FORMAT="jwt",
        OAUTH2_SIGNING_ALGORITHMS=["ES256"],
        OAUTH2_RESOURCES={FILES: {"scopes": ["profile"], "format": "jwt"}},
    )
    provider = OAuth2Provider(app, store=MemoryStore())
    app.extensions["benchmarks"] = provider

    @app.get("/me")
    @provider.require_oauth("profile")
    def me() -> Any:
        return {"client": current_token.client_id, "scope": current_token.scope, "user": current_token.user_id}

    with app.app_context():
        provider.server.store.set_client(
            Client(
                client_id="web",
                secret=hash_secret(SECRET),
                grant_types=("client_credentials",),
                response_types=(),
                scope=("profile",),
            )
        )
    return app


def _bare(view: Callable[[], Any] = lambda: ME) -> flask.Flask:
    app = flask.Flask("bare")
    app.config["SECRET_KEY"] = "a secret key of the benchmarks"
    app.add_url_rule("/me", "me", view)
    return app


def _issue(provider: flask.Flask, number: int, **form: str) -> list[str]:
    http, data = provider.test_client(), {"grant_type": "client_credentials", "scope": "profile", **form}
    answers = (http.post("/oauth/token", auth=("web", SECRET), data=data, base_url=ISSUER) for _ in range(number))
    return [answer.get_json()["access_token"] for answer in answers]


def _make_files(provider: flask.Flask, cache_ttl: int) -> flask.Flask:
    """Return an application without a provider, whose keys come from the provider in this process."""
    app = flask.Flask("files")
    app.config["SECRET_KEY"] = "another secret key of the benchmarks"
    guards = ResourceServer(app, issuer=ISSUER, audience=FILES, jwks_uri=f"{ISSUER}/oauth/jwks", cache_ttl=cache_ttl)
    jwks = provider.test_client().get("/oauth/jwks", base_url=ISSUER).data
    verifier: Any = guards.verifier
    verifier.source.keys.fetch = lambda url, may_be_own: Fetched({}, jwks)

    @app.get("/me")
    @guards.require_oauth("profile")
    def me() -> Any:
        return {"client": current_token.client_id, "scope": current_token.scope, "user": current_token.user_id}

    return app


def _seen(provider: flask.Flask, requests: int) -> tuple[Caller, Caller]:
    (token,) = _issue(provider, 1, resource=FILES)
    return Caller(_make_files(provider, 900), "/me", repeat(token)), Caller(_bare(), "/me", repeat(token))


def _seen_by_provider(provider: flask.Flask, requests: int) -> tuple[Caller, Caller]:
    """The provider's own guard, which looks for revocations in the store each time."""
    app = _make_own()
    (token,) = _issue(app, 1)
    return Caller(app, "/me", repeat(token)), Caller(_bare(), "/me", repeat(token))


def _make_own() -> flask.Flask:
    app = _make_provider()
    app.config["OAUTH2_RESOURCES"] = {}
    return app


def _new(provider: flask.Flask, requests: int) -> tuple[Caller, Caller]:
    tokens = _issue(provider, requests, resource=FILES)
    jwk = provider.test_client().get("/oauth/jwks", base_url=ISSUER).get_json()["keys"][0]
    x, y = (int.from_bytes(urlsafe_b64decode(jwk[name] + "==")) for name in ("x", "y"))
    key, algorithm = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key(), ec.ECDSA(SHA256())

    def me() -> Any:
        signed, _, signature = flask.request.headers["Authorization"][7:].rpartition(".")
        raw = urlsafe_b64decode(signature + "==")
        r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
        key.verify(encode_dss_signature(r, s), signed.encode(), algorithm)
        claims = json.loads(urlsafe_b64decode(signed.partition(".")[2] + "=="))
        return {"client": claims["client_id"], "scope": claims["scope"].split(), "user": None}

    return Caller(_make_files(provider, 900), "/me", iter(tokens)), Caller(_bare(me), "/me", iter(tokens))


def _document(path: str) -> Callable[[flask.Flask, int], tuple[Caller, Caller]]:
    def make(provider: flask.Flask, requests: int) -> tuple[Caller, Caller]:
        answer = provider.test_client().get(path, base_url=ISSUER)
        octets, headers = answer.data, [pair for pair in answer.headers.items() if pair[0] != "Content-Length"]
        bare = _bare()
        bare.add_url_rule(path, "document", lambda: (octets, headers))
        return Caller(provider, path), Caller(bare, path)

    return make


OPERATIONS: dict[str, Callable[[flask.Flask, int], tuple[Caller, Caller]]] = {
    "guard, JSON Web Token verified before": _seen,
    "guard, new JSON Web Token (ES256)": _new,
    "guard of the provider, JSON Web Token verified before": _seen_by_provider,
    "JWK set": _document("/oauth/jwks"),
    "server metadata": _document("/.well-known/oauth-authorization-server"),
}
"""The operations: functions that return the caller of flask_oauth2 and that of the bare route."""
