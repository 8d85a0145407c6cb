"""The application that a server loads once and then forks: ``stores.forked_site:app``, set up by environment variables.

``SITE_WARM`` holds an access token: the application is then called before the server forks, so that the store is open
and connections are idle. ``SITE_DB`` makes the provider use the application's own database, whose tables the module
creates as the documentation says.
"""

from __future__ import annotations

import os
from typing import Any

import flask
from flask_sqlalchemy import SQLAlchemy

from flask_oauth2 import OAuth2Provider, current_token


def make_app() -> flask.Flask:
    """Create the application as a module does that a server loads before it forks."""
    app = flask.Flask(__name__)
    url = os.environ["SITE_DATABASE"]
    app.config.update(
        SECRET_KEY="a secret key of the tests",
        OAUTH2_ISSUER="https://login.example",
        OAUTH2_SCOPES={"notes": "Read your notes"},
        OAUTH2_REDIS_URL=os.environ.get("SITE_REDIS"),
        OAUTH2_TOKEN_CACHE_TTL=int(os.environ.get("SITE_TOKEN_CACHE", "0")),
    )
    if "SITE_DB" in os.environ:
        app.config["SQLALCHEMY_DATABASE_URI"] = url
        db = SQLAlchemy()
        provider = OAuth2Provider(db=db)
        for extension in (provider, db) if "SITE_PROVIDER_FIRST" in os.environ else (db, provider):
            extension.init_app(app)

        class Person(db.Model):  # type: ignore[name-defined, misc]
            __tablename__ = "person"
            id = db.Column(db.String(20), primary_key=True)

        def load(user_id: str | None) -> Any:
            """Return what the application's own session reads, which shares the engine."""
            return db.session.get(Person, user_id).id

        with app.app_context():
            db.create_all()
    else:
        app.config["OAUTH2_DATABASE_URI"] = url
        provider = OAuth2Provider(app)

        def load(user_id: str | None) -> Any:
            return user_id

    @app.get("/me")
    @provider.require_oauth("notes")
    def me() -> Any:
        return {"user": current_token.user_id, "loaded": load(current_token.user_id)}

    @app.get("/count")
    def count() -> Any:
        """Count in the store, which is in Redis if the site has one."""
        return {"count": provider.server.store.count(b"requests", 4_000_000_000)}

    @app.after_request
    def name_worker(response: flask.Response) -> flask.Response:
        response.headers["X-Worker"] = str(os.getpid())
        return response

    if "SITE_TOKEN_CACHE" in os.environ:
        with app.app_context():  # time stands still: guards remember a token until they hear that it was revoked
            provider.verifier.cache.clock = lambda: 0.0

    if "SITE_WARM" in os.environ:
        app.test_client().get("/count")
        answer = app.test_client().get("/me", headers={"Authorization": f"Bearer {os.environ['SITE_WARM']}"})
        assert answer.status_code == 200, answer.text
    return app


app = make_app()
