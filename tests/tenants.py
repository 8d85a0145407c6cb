"""An application with two issuers, by the path or by the host of a request, for the tests of the tools."""

from __future__ import annotations

from typing import Any

import flask
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_oauth2 import Issuer, MemoryStore, OAuth2Provider, current_token

KEY = "c4f1b2a39d8e7f60" * 2 + "5a6b7c8d9e0f1023" * 2
NAMES = ("acme", "umbrella")


def issuer_of(way: str, name: str, **settings: Any) -> Issuer:
    url = f"https://login.example/{name}" if way == "path" else f"https://{name}.example"
    return Issuer(id=name, url=url, settings=settings)


def make_tenants(way: str, **config: Any) -> tuple[flask.Flask, dict[str, Issuer]]:
    """Return the application and its issuers. The access tokens of umbrella live for two days."""
    app = flask.Flask("tenants")
    app.config.update(
        SECRET_KEY=KEY,
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_SAMESITE="Lax",
        OAUTH2_SCOPES={"profile": "Your name"},
        OAUTH2_LOGIN_VIEW="login",
    )
    app.config.update(config)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1)  # type: ignore[method-assign]
    variable = "/<tenant>" if way == "path" else ""
    provider = OAuth2Provider(app, store=MemoryStore(), url_prefix=f"{variable}/oauth")
    issuers = {
        "acme": issuer_of(way, "acme"),
        "umbrella": issuer_of(way, "umbrella", OAUTH2_ACCESS_TOKEN_LIFETIME=2 * 86400),
    }

    @provider.issuergetter
    def find_issuer() -> Issuer | None:
        view_args = flask.request.view_args or {}
        name = view_args.get("tenant") if way == "path" else flask.request.host.partition(".")[0]
        return issuers.get(name or "")

    provider.current_user(lambda: flask.session.get("user"))

    @app.get("/login")
    def login() -> str:
        return "sign in"

    @app.get(f"{variable}/api/me")
    @provider.require_oauth("profile")
    def me(**_: str) -> Any:
        return {"user": current_token.user_id}

    return app, issuers


def path_of(way: str, name: str, path: str) -> dict[str, str]:
    """Return the arguments of a request to a path of an issuer."""
    if way == "path":
        return {"path": f"/{name}{path}", "base_url": "https://login.example"}
    return {"path": path, "base_url": f"https://{name}.example"}
