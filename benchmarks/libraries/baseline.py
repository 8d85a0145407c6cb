"""What one would write by hand for these operations and nothing else: Flask, and SQL handed to the driver.

It does what a provider must do by default: digests at rest, PKCE, rotation, single use in a transaction, the end of a
family where something is spent twice, and marks of revocation that every statement looks at.
"""

from __future__ import annotations

import hmac
import secrets
import sqlite3
import threading
import time
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import flask

from ..site import SCOPE, Place, Site
from . import baseline_sql as sql

ACCESS_LIFETIME, CODE_LIFETIME = 3600, 60
NO_STORE = {"Cache-Control": "no-store"}


class Refused(Exception):
    """An error of RFC 6749, section 5.2."""


def make_app(connect: Any, issuer: str, begin: str) -> flask.Flask:
    """The application; ``connect`` opens a connection in autocommit, whose ``execute`` takes these statements."""
    app = flask.Flask("baseline")
    app.config["SECRET_KEY"] = "a secret key of the benchmarks"
    local = threading.local()

    def database() -> Any:
        try:
            return local.connection
        except AttributeError:
            local.connection = connect()
            return local.connection

    @app.errorhandler(Refused)
    def refuse(error: Refused) -> Any:
        return flask.jsonify(error=str(error)), 401 if str(error) == "invalid_client" else 400, NO_STORE

    @app.post("/login")
    def login() -> Any:
        flask.session["user"] = flask.request.form["user"]
        return "", 204

    add_authorization(app, database, issuer)
    add_token(app, database, begin)
    add_introspection(app, database, issuer)
    add_revocation(app, database)
    add_resource(app, database)
    add_metadata(app, issuer)
    return app


def authenticate(connection: Any) -> tuple[Any, str, str]:
    """The client of a request, by ``client_secret_basic``: its id, grant types and scope."""
    basic = flask.request.authorization
    if basic is None or basic.type != "basic":
        raise Refused("invalid_client")
    row = connection.execute(sql.GET_CLIENT, (basic.username,)).fetchone()
    if row is None or not hmac.compare_digest(sql.digest(basic.password or ""), row[0]):
        raise Refused("invalid_client")
    return basic.username, row[2], row[3]


def is_within(scope: str, allowed: str) -> bool:
    """Whether words are among those that are allowed."""
    return set(scope.split()) <= set(allowed.split())


def add_authorization(app: flask.Flask, database: Any, issuer: str) -> None:
    """The authorization endpoint, for users who have consented before: there is no page to ask by."""

    def answer_to(asked: Any, client: Any, user_id: str) -> dict[str, str]:
        challenge, scope = asked.get("code_challenge", ""), asked.get("scope", "")
        if asked.get("response_type") != "code" or "authorization_code" not in client[2].split():
            return {"error": "unsupported_response_type"}
        if asked.get("code_challenge_method") != "S256" or len(challenge) != 43:
            return {"error": "invalid_request"}
        if not scope or not is_within(scope, client[3]):
            return {"error": "invalid_scope"}
        client_id, connection = asked["client_id"], database()
        consent = connection.execute(sql.GET_CONSENT, (user_id, client_id)).fetchone()
        if consent is None or not is_within(scope, consent[1]):
            flask.abort(403)
        code, family = secrets.token_urlsafe(32), secrets.token_urlsafe(16)
        expires_at = int(time.time()) + CODE_LIFETIME
        owner = family, consent[0], client_id, user_id, scope
        connection.execute(sql.ADD_CODE, (sql.digest(code), *owner, asked["redirect_uri"], challenge, expires_at))
        return {"code": code}

    @app.get("/oauth/authorize")
    def authorize() -> Any:
        asked = flask.request.args
        client = database().execute(sql.GET_CLIENT, (asked.get("client_id", ""),)).fetchone()
        redirect_uri = asked.get("redirect_uri")
        if client is None or redirect_uri != client[1]:
            flask.abort(400)
        user_id = flask.session.get("user")
        if user_id is None:
            flask.abort(403)
        answer = answer_to(asked, client, user_id)
        answer["iss"] = issuer
        if asked.get("state"):
            answer["state"] = asked["state"]
        return flask.redirect(f"{redirect_uri}?{urlencode(answer)}", 303)


def add_token(app: flask.Flask, database: Any, begin: str) -> None:
    """The token endpoint."""

    @app.post("/oauth/token")
    def token() -> Any:
        form, connection = flask.request.form, database()
        client_id, grant_types, allowed_scope = authenticate(connection)
        grant_type = form.get("grant_type", "")
        if grant_type not in grant_types.split():
            raise Refused("unauthorized_client")
        if grant_type == "client_credentials":
            scope = form.get("scope") or allowed_scope
            if not is_within(scope, allowed_scope):
                raise Refused("invalid_scope")
            answer, row = mint(secrets.token_urlsafe(16), None, client_id, None, scope, refreshes=False)
            connection.execute(sql.ADD_TOKEN, row)
        else:
            check = check_code if grant_type == "authorization_code" else check_refresh
            spend, key, owner = check(connection, form, client_id)
            answer, row = mint(*owner, refreshes=True)
            if not sql.spend_and_add(connection, begin, spend, key, row):
                raise Refused("invalid_grant")
        return flask.jsonify(answer), 200, NO_STORE


def check_code(connection: Any, form: Any, client_id: str) -> tuple[str, bytes, tuple[Any, ...]]:
    """The statement that spends a code, its key, and whose it is."""
    key = sql.digest(form.get("code", ""))
    row = connection.execute(sql.GET_CODE, (key,)).fetchone()
    if row is None:
        raise Refused("invalid_grant")
    redirect_uri, challenge, expires_at = row[5:]
    proof = urlsafe_b64encode(sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=")
    if (
        row[2] != client_id
        or expires_at <= time.time()
        or form.get("redirect_uri", redirect_uri) != redirect_uri
        or not hmac.compare_digest(proof, challenge.encode())
    ):
        raise Refused("invalid_grant")
    return sql.SPEND_CODE, key, row[:5]


def check_refresh(connection: Any, form: Any, client_id: str) -> tuple[str, bytes, tuple[Any, ...]]:
    """The statement that spends a refresh token, its key, and whose it is."""
    row = connection.execute(sql.GET_REFRESH, (sql.digest(form.get("refresh_token", "")),)).fetchone()
    if row is None or row[3] != client_id or row[6] is None or row[6] <= time.time():
        raise Refused("invalid_grant")
    wanted = form.get("scope")
    if wanted and not is_within(wanted, row[5]):
        raise Refused("invalid_scope")
    return sql.SPEND_REFRESH, row[0], row[1:6]


def mint(
    family: str, consent_id: str | None, client_id: str, user_id: str | None, scope: str, *, refreshes: bool
) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """The answer with new tokens, and their row."""
    now = int(time.time())
    access = secrets.token_urlsafe(32)
    answer = {"access_token": access, "token_type": "Bearer", "expires_in": ACCESS_LIFETIME, "scope": scope}
    refresh_digest = refresh_expires_at = None
    if refreshes:
        refresh = answer["refresh_token"] = secrets.token_urlsafe(32)
        refresh_digest, refresh_expires_at = sql.digest(refresh), now + sql.REFRESH_LIFETIME
    owner = family, consent_id, client_id, user_id, scope
    return answer, (sql.digest(access), refresh_digest, *owner, now, now + ACCESS_LIFETIME, refresh_expires_at)


def add_introspection(app: flask.Flask, database: Any, issuer: str) -> None:
    """The introspection endpoint, for a client's own tokens."""

    @app.post("/oauth/introspect")
    def introspect() -> Any:
        form, connection = flask.request.form, database()
        client_id, _, _ = authenticate(connection)
        row = sql.find_access(connection, form.get("token", ""))
        if row is None or row[1] != client_id:
            return flask.jsonify(active=False), 200, NO_STORE
        members = {
            "active": True,
            "scope": row[3],
            "client_id": row[1],
            "token_type": "Bearer",
            "exp": row[5],
            "iat": row[4],
            "iss": issuer,
        }
        if row[2] is not None:
            members["sub"] = row[2]
        return flask.jsonify(members), 200, NO_STORE


def add_revocation(app: flask.Flask, database: Any) -> None:
    """The revocation endpoint: an access token ends alone, a refresh token with its family."""

    @app.post("/oauth/revoke")
    def revoke() -> Any:
        form, connection = flask.request.form, database()
        client_id, _, _ = authenticate(connection)
        key = sql.digest(form.get("token", ""))
        mark = key.hex()
        row = connection.execute(sql.GET_ACCESS, (key, mark)).fetchone()
        owner = row and row[1]
        if row is None:
            row = connection.execute(sql.GET_REFRESH, (key,)).fetchone()
            if row is None:
                return "", 200, NO_STORE
            mark, owner = row[1], row[3]
        if owner != client_id:
            raise Refused("invalid_grant")
        connection.execute(sql.ADD_MARK, (mark, int(time.time()) + sql.REFRESH_LIFETIME))
        return "", 200, NO_STORE


def add_resource(app: flask.Flask, database: Any) -> None:
    """A route that asks for a token."""

    @app.get("/api/me")
    def me() -> Any:
        bearer = flask.request.authorization
        row = sql.find_access(database(), bearer.token or "") if bearer and bearer.type == "bearer" else None
        if row is None or SCOPE not in row[3].split():
            return flask.jsonify(error="invalid_token"), 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        return {"user": row[2], "client": row[1], "scope": row[3].split()}


def add_metadata(app: flask.Flask, issuer: str) -> None:
    """Server metadata."""

    @app.get("/.well-known/oauth-authorization-server")
    def metadata() -> Any:
        return {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/oauth/authorize",
            "token_endpoint": f"{issuer}/oauth/token",
            "introspection_endpoint": f"{issuer}/oauth/introspect",
            "revocation_endpoint": f"{issuer}/oauth/revoke",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }


def open_site(place: Place) -> Site:
    """On SQLite: WAL, synchronous NORMAL, one connection per thread."""

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(place.folder / "baseline.sqlite", isolation_level=None, timeout=10)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    connection = connect()
    if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        connection.executescript(sql.TABLES)
        sql.fill(connection)
    return Site(make_app(connect, place.issuer, "BEGIN IMMEDIATE"), lambda: sql.expire(connection))
