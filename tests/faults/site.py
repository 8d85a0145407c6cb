"""The application that gunicorn serves while servers die: ``site:app``, set up by environment variables."""

from __future__ import annotations

import os
from typing import Any

import flask

from flask_oauth2 import OAuth2Provider, current_token

CALLBACK = "https://client.example/back"


def make_app() -> flask.Flask:
    """Whoever names themselves is signed in."""
    app = flask.Flask(__name__, instance_path=os.environ["SITE_FOLDER"])
    app.config.update(
        SECRET_KEY="a secret key of the tests",
        OAUTH2_ISSUER="https://login.example",
        OAUTH2_SCOPES={"notes": "Read your notes"},
        OAUTH2_AUTHORIZATION_CODE_LIFETIME=600,
        OAUTH2_REFRESH_TOKEN_GRACE_PERIOD=0,
        OAUTH2_LOGIN_VIEW="/login",
        OAUTH2_DATABASE_URI=os.environ.get("SITE_DATABASE"),
        OAUTH2_REDIS_URL=os.environ.get("SITE_REDIS"),
    )
    provider = OAuth2Provider(app)

    @provider.current_user
    def current_user() -> Any:
        return flask.request.headers.get("X-User")

    @app.get("/api/me")
    @provider.require_oauth("notes")
    def me() -> Any:
        return {"client": current_token.client_id}

    return app
