"""An application whose tenants are issuers, by path or by host, with the requests of clients and browsers."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask

from flask_oauth2 import Client, Issuer, OAuth2Provider, current_token, hash_secret, values
from oauth_site import CALLBACK, CHALLENGE, NOW, VERIFIER

SECRET = values.new("ocs", values.timestamp(NOW))
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


class Tenants:
    """An application whose tenants are issuers, by path or by host."""

    def __init__(self, way: str, store: Any, **config: Any) -> None:
        self.way = way
        self.app = flask.Flask("tenants")
        self.app.config.update(
            SECRET_KEY="secret",
            TESTING=True,
            OAUTH2_SCOPES={"profile": "Your name", "mail": "Your mail"},
            OAUTH2_GRANT_TYPES=["authorization_code", "client_credentials", "refresh_token", "device_code"],
            OAUTH2_LOGIN_VIEW="/login",
            **config,
        )
        prefix = "/<tenant>/oauth" if way == "path" else "/oauth"
        self.provider = OAuth2Provider(self.app, store=store, url_prefix=prefix)
        self.known = {name: self.issuer(name) for name in ("acme", "umbrella")}
        self.asked: list[str] = []

        @self.provider.issuergetter
        def find() -> Issuer | None:
            if way == "path":
                name = (flask.request.view_args or {}).get("tenant", "")
            else:
                name = flask.request.host.partition(".")[0]
            self.asked.append(name)
            return self.known.get(name)

        @self.provider.current_user
        def user() -> str | None:
            return flask.session.get("user")

        @self.app.post("/login")
        def login() -> str:
            flask.session["user"] = "ada"
            return "hello"

        rule = "/<tenant>/api/me" if way == "path" else "/api/me"

        @self.app.get(rule)
        @self.provider.require_oauth("profile")
        def me(**_: str) -> Any:
            return {"user": current_token.user_id, "client": current_token.client_id}

        self.http = self.app.test_client()

    def issuer(self, name: str, **settings: Any) -> Issuer:
        url = f"https://login.example/{name}" if self.way == "path" else f"https://{name}.example"
        return Issuer(id=name, url=url, settings=settings)

    def path(self, name: str, path: str) -> dict[str, str]:
        """Return the arguments of a request to a path of a tenant."""
        if self.way == "path":
            return {"path": f"/{name}{path}", "base_url": "https://login.example"}
        return {"path": path, "base_url": f"https://{name}.example"}

    def server(self, name: str) -> Any:
        with self.app.test_request_context(**self.path(name, "/oauth/token"), method="POST"):
            return self.provider.server

    def add_client(self, name: str, client_id: str = "web", **fields: Any) -> None:
        client = Client(
            client_id=client_id,
            name=f"Client of {name}",
            redirect_uris=(CALLBACK,),
            grant_types=("authorization_code", "client_credentials", "refresh_token", DEVICE),
            scope=("profile", "mail"),
            **{"secret": hash_secret(SECRET), **fields},
        )
        self.server(name).store.set_client(client)

    def post(self, name: str, path: str, **form: str) -> Any:
        return self.http.post(**self.path(name, f"/oauth{path}"), data=form, auth=("web", SECRET))

    def sign_in(self, name: str) -> None:
        by_path = {"path": "/login", "base_url": "https://login.example"}
        self.http.post(**by_path if self.way == "path" else self.path(name, "/login"))

    def tokens(self, name: str) -> Any:
        """Return the answer to a code that the user has allowed."""
        self.sign_in(name)
        query = {
            "response_type": "code",
            "client_id": "web",
            "redirect_uri": CALLBACK,
            "scope": "profile",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        page = self.http.get(**self.path(name, "/oauth/authorize"), query_string=query)
        assert f"Client of {name}" in page.text
        ticket = page.text.partition('name="ticket" value="')[2].partition('"')[0]
        form = {"ticket": ticket, "decision": "allow"}
        answer = self.http.post(**self.path(name, "/oauth/consent"), data=form)
        sent = parse_qs(urlsplit(answer.location).query)
        assert sent["iss"] == [self.known[name].url]
        return {"code": sent["code"][0], "ticket": ticket}

    def redeem(self, name: str, code: str) -> Any:
        return self.post(
            name, "/token", grant_type="authorization_code", code=code, code_verifier=VERIFIER, redirect_uri=CALLBACK
        )

    def call(self, name: str, token: str) -> int:
        answer = self.http.get(**self.path(name, "/api/me"), headers={"Authorization": f"Bearer {token}"})
        return answer.status_code
