"""Authlib with Flask-SQLAlchemy, as its documentation builds a provider, on SQLite in WAL mode.

Authlib stores no consents, so this module adds a table. Its PKCE extension only applies to public clients.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import flask
from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector, current_token
from authlib.integrations.sqla_oauth2 import (
    OAuth2AuthorizationCodeMixin,
    OAuth2ClientMixin,
    OAuth2TokenMixin,
    create_bearer_token_validator,
    create_query_client_func,
    create_revocation_endpoint,
    create_save_token_func,
)
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oauth2.rfc9207 import IssuerParameter
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event

from ..site import CALLBACK, CLIENT_ID, SCOPE, SECRET, USER, Place, Site

db = SQLAlchemy()


class User(db.Model):
    """A user."""

    id = db.Column(db.Integer, primary_key=True)
    username = db.Column(db.String(40), unique=True)

    def get_user_id(self) -> int:
        """Return the ID."""
        return self.id


class Client(db.Model, OAuth2ClientMixin):
    """A client."""

    id = db.Column(db.Integer, primary_key=True)


class Code(db.Model, OAuth2AuthorizationCodeMixin):
    """An authorization code."""

    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.Integer, db.ForeignKey("user.id"))
    user = db.relationship("User")


class Token(db.Model, OAuth2TokenMixin):
    """An access token and its refresh token."""

    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.Integer, db.ForeignKey("user.id"))
    user = db.relationship("User")


class Consent(db.Model):
    """The scopes that a user has granted to a client."""

    user_id = db.Column(db.Integer, primary_key=True)
    client_id = db.Column(db.String(48), primary_key=True)
    scope = db.Column(db.Text)


class AuthorizationCode(grants.AuthorizationCodeGrant):
    """The authorization code grant."""

    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic"]

    def save_authorization_code(self, code: str, request: Any) -> None:
        """Save a code."""
        data = request.payload.data
        row = Code(
            code=code,
            client_id=request.client.client_id,
            redirect_uri=request.payload.redirect_uri,
            scope=request.payload.scope,
            user_id=request.user.id,
            code_challenge=data.get("code_challenge"),
            code_challenge_method=data.get("code_challenge_method"),
        )
        db.session.add(row)
        db.session.commit()

    def query_authorization_code(self, code: str, client: Any) -> Any:
        """Return the row, or None."""
        row = Code.query.filter_by(code=code, client_id=client.client_id).first()
        return row if row and not row.is_expired() else None

    def delete_authorization_code(self, authorization_code: Any) -> None:
        """Invalidate the credential."""
        db.session.delete(authorization_code)
        db.session.commit()

    def authenticate_user(self, authorization_code: Any) -> Any:
        """Return the user."""
        return db.session.get(User, authorization_code.user_id)


class RefreshToken(grants.RefreshTokenGrant):
    """The refresh token grant with rotation."""

    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> Any:
        """Return the row, or None."""
        token = Token.query.filter_by(refresh_token=refresh_token).first()
        return token if token and not token.is_revoked() else None

    def authenticate_user(self, refresh_token: Any) -> Any:
        """Return the user."""
        return db.session.get(User, refresh_token.user_id)

    def revoke_old_credential(self, refresh_token: Any) -> None:
        """Invalidate the credential."""
        refresh_token.access_token_revoked_at = refresh_token.refresh_token_revoked_at = int(time.time())
        db.session.add(refresh_token)
        db.session.commit()


class Introspection(IntrospectionEndpoint):
    """The introspection endpoint."""

    def __init__(self, server: Any, issuer: str) -> None:
        super().__init__(server)
        self._issuer = issuer

    def query_token(self, token_string: str, token_type_hint: str | None) -> Any:
        """Return the row, or None."""
        token = Token.query.filter_by(access_token=token_string).first()
        return token or Token.query.filter_by(refresh_token=token_string).first()

    def introspect_token(self, token: Any) -> dict[str, Any]:
        """Return the claims of a token."""
        return {
            "active": True,
            "client_id": token.client_id,
            "token_type": token.token_type,
            "scope": token.get_scope(),
            "sub": str(token.user_id),
            "iss": self._issuer,
            "exp": token.issued_at + token.expires_in,
            "iat": token.issued_at,
        }

    def check_permission(self, token: Any, client: Any, request: Any) -> bool:
        """Return whether the token belongs to the client."""
        return bool(token.client_id == client.client_id)


def make_app(place: Place) -> flask.Flask:
    """Return the application."""
    app = flask.Flask("authlib", instance_path=str(place.folder))
    app.config.update(
        SECRET_KEY="a secret key of the benchmarks",
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{place.folder / 'authlib.sqlite'}",
        OAUTH2_REFRESH_TOKEN_GENERATOR=True,
    )
    db.init_app(app)
    server = AuthorizationServer(
        app, create_query_client_func(db.session, Client), create_save_token_func(db.session, Token)
    )
    server.register_grant(grants.ClientCredentialsGrant)
    server.register_grant(AuthorizationCode, [CodeChallenge(required=True)])
    server.register_grant(RefreshToken)
    server.register_endpoint(create_revocation_endpoint(db.session, Token))
    server.register_endpoint(Introspection(server, place.issuer))

    class Issuer(IssuerParameter):
        def get_issuer(self) -> str:
            return place.issuer

    server.register_extension(Issuer())
    require_oauth = ResourceProtector()
    require_oauth.register_token_validator(create_bearer_token_validator(db.session, Token)())

    @app.post("/login")
    def login() -> Any:
        user = User.query.filter_by(username=flask.request.form["user"]).one()
        flask.session["id"] = user.id
        return "", 204

    @app.get("/oauth/authorize")
    def authorize() -> Any:
        user = db.session.get(User, flask.session.get("id", 0))
        try:
            grant = server.get_consent_grant(end_user=user)
        except OAuth2Error as error:
            return error.error, 400
        consent = user and db.session.get(Consent, (user.id, grant.client.client_id))
        if consent is None or not set(grant.request.payload.scope.split()) <= set(consent.scope.split()):
            flask.abort(403)  # there is no consent page
        return server.create_authorization_response(grant_user=user, grant=grant)

    app.add_url_rule("/oauth/token", "token", server.create_token_response, methods=["POST"])
    for path, endpoint in (("introspect", "introspection"), ("revoke", "revocation")):
        view = partial(server.create_endpoint_response, endpoint)
        app.add_url_rule(f"/oauth/{path}", endpoint, view, methods=["POST"])

    @app.get("/api/me")
    @require_oauth(SCOPE)
    def me() -> Any:
        return {"user": current_token.user_id, "client": current_token.client_id, "scope": current_token.scope.split()}

    return app


def _tune(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _fill() -> None:
    client = Client(client_id=CLIENT_ID, client_secret=SECRET)
    metadata = {
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
        "response_types": ["code"],
        "scope": SCOPE,
        "token_endpoint_auth_method": "client_secret_basic",
    }
    client._client_metadata = json.dumps(metadata)
    db.session.add_all([client, User(id=1, username=USER), Consent(user_id=1, client_id=CLIENT_ID, scope=SCOPE)])
    db.session.commit()


def open_site(place: Place) -> Site:
    """Return a site with a client, a user and a consent."""
    app = make_app(place)
    with app.app_context():
        event.listen(db.engine, "connect", _tune)
        db.create_all()
        if not db.session.get(User, 1):
            _fill()

    @contextmanager
    def expire() -> Iterator[None]:
        with app.app_context():
            db.session.execute(db.update(Token).values(issued_at=1))
            db.session.execute(db.update(Code).values(auth_time=1))
            db.session.commit()
        yield

    return Site(app, expire, paths={"metadata": None})
