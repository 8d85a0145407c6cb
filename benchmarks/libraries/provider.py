"""``flask_oauth2`` with its default store, an SQLite file in the instance folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import time
from typing import Any

import flask

from flask_oauth2 import Client, Consent, OAuth2Provider, current_token, values
from flask_oauth2.clients.secrets import digest_secret

from ..site import CALLBACK, CLIENT_ID, SCOPE, SECRET, USER, Place, Site


def make_app(place: Place, **options: Any) -> tuple[flask.Flask, OAuth2Provider]:
    """Return an application as in the tutorial."""
    app = flask.Flask("provider", instance_path=str(place.folder))
    app.config.update(
        SECRET_KEY="a secret key of the benchmarks",
        OAUTH2_ISSUER=place.issuer,
        OAUTH2_SCOPES={"profile": "See your name"},
        OAUTH2_LOGIN_VIEW="login",
        **place.options,
        **options,
    )
    provider = OAuth2Provider(app)

    @app.post("/login")
    def login() -> Any:
        flask.session["user"] = flask.request.form["user"]
        return "", 204

    @provider.current_user
    def current_user() -> Any:
        return flask.session.get("user")

    @app.get("/api/me")
    @provider.require_oauth(SCOPE)
    def me() -> Any:
        return {"user": current_token.user_id, "client": current_token.client_id, "scope": current_token.scope}

    return app, provider


def open_site(place: Place) -> Site:
    """Return a site with a client and a consent."""
    app, provider = make_app(place, **({"OAUTH2_DATABASE_URI": place.url} if place.url else {}))
    with app.app_context():
        server = provider.server
        store: Any = server.store
    if store.get_client(CLIENT_ID) is None:
        now = time()
        store.set_client(
            Client(
                client_id=CLIENT_ID,
                name="A web application",
                secret=digest_secret(SECRET),
                redirect_uris=(CALLBACK,),
                grant_types=("authorization_code", "refresh_token", "client_credentials"),
                scope=(SCOPE,),
            )
        )
        consent = Consent(
            id=values.new_authorization_id(now),
            user_id=USER,
            client_id=CLIENT_ID,
            scope=(SCOPE,),
            granted_at=int(now),
            used_at=int(now),
        )
        store.set_consent(consent, None)

    @contextmanager
    def expire() -> Iterator[None]:
        clock = server.clock
        server.clock = lambda: clock() + 7200  # cached tokens have another time
        try:
            yield
        finally:
            server.clock = clock

    return Site(app, expire)
