"""What one would write by hand for these works and nothing else: Flask, and SQL handed to the driver.

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
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import flask

from ..site import CALLBACK, CLIENT_ID, SCOPE, SECRET, USER, Place, Site

TABLES = """
CREATE TABLE client (client_id VARCHAR(255) PRIMARY KEY, secret BLOB NOT NULL, redirect_uri TEXT NOT NULL,
    grant_types TEXT NOT NULL, scope TEXT NOT NULL);
CREATE TABLE code (digest BLOB PRIMARY KEY, family VARCHAR(32) NOT NULL, consent_id VARCHAR(32),
    client_id VARCHAR(255) NOT NULL, user_id VARCHAR(255) NOT NULL, scope TEXT NOT NULL, redirect_uri TEXT,
    challenge VARCHAR(128), expires_at BIGINT NOT NULL, used_at BIGINT);
CREATE TABLE token (access BLOB PRIMARY KEY, refresh BLOB UNIQUE, family VARCHAR(32) NOT NULL, consent_id VARCHAR(32),
    client_id VARCHAR(255) NOT NULL, user_id VARCHAR(255), scope TEXT NOT NULL, issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL, refresh_expires_at BIGINT, used_at BIGINT);
CREATE TABLE revocation (mark VARCHAR(255) PRIMARY KEY, expires_at BIGINT NOT NULL);
CREATE TABLE consent (user_id VARCHAR(255), client_id VARCHAR(255), id VARCHAR(32) NOT NULL, scope TEXT NOT NULL,
    PRIMARY KEY (user_id, client_id));
"""
GET_CLIENT = "SELECT secret, redirect_uri, grant_types, scope FROM client WHERE client_id = ?"
GET_CONSENT = "SELECT id, scope FROM consent WHERE user_id = ? AND client_id = ?"
ADD_CODE = "INSERT INTO code VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)"
GET_CODE = (
    "SELECT family, consent_id, client_id, user_id, scope, redirect_uri, challenge, expires_at FROM code"
    " WHERE digest = ? AND NOT EXISTS (SELECT 1 FROM revocation WHERE mark IN (family, client_id, consent_id))"
)
SPEND_CODE = "UPDATE code SET used_at = ? WHERE digest = ? AND used_at IS NULL"
ADD_TOKEN = "INSERT INTO token VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)"
GET_ACCESS = (
    "SELECT family, client_id, user_id, scope, issued_at, expires_at FROM token"
    " WHERE access = ? AND NOT EXISTS (SELECT 1 FROM revocation WHERE mark IN (family, client_id, consent_id, ?))"
)
GET_REFRESH = (
    "SELECT access, family, consent_id, client_id, user_id, scope, refresh_expires_at FROM token"
    " WHERE refresh = ? AND NOT EXISTS (SELECT 1 FROM revocation WHERE mark IN (family, client_id, consent_id))"
)
SPEND_REFRESH = "UPDATE token SET used_at = ? WHERE access = ? AND used_at IS NULL"
ADD_MARK = "INSERT INTO revocation VALUES (?, ?) ON CONFLICT (mark) DO NOTHING"

ACCESS_LIFETIME, REFRESH_LIFETIME, CODE_LIFETIME = 3600, 30 * 86400, 60
NO_STORE = {"Cache-Control": "no-store"}


class Refused(Exception):
    """An error of RFC 6749, section 5.2."""


def digest(value: str) -> bytes:
    """What is kept of a secret."""
    return sha256(value.encode()).digest()


def make_app(connect: Any, issuer: str, begin: str) -> flask.Flask:
    """The application; ``connect`` opens a connection in autocommit, whose ``execute`` takes these statements."""
    app = flask.Flask("floor")
    app.config["SECRET_KEY"] = "a secret key of the benchmarks"
    local = threading.local()

    def database() -> Any:
        try:
            return local.connection
        except AttributeError:
            local.connection = connect()
            return local.connection

    def authenticate() -> tuple[Any, str, str]:
        basic = flask.request.authorization
        if basic is None or basic.type != "basic":
            raise Refused("invalid_client")
        row = database().execute(GET_CLIENT, (basic.username,)).fetchone()
        if row is None or not hmac.compare_digest(digest(basic.password or ""), row[0]):
            raise Refused("invalid_client")
        return basic.username, row[2], row[3]

    @app.errorhandler(Refused)
    def refuse(error: Refused) -> Any:
        return flask.jsonify(error=str(error)), 401 if str(error) == "invalid_client" else 400, NO_STORE

    def issue(
        spend: Any, family: str, consent_id: Any, client_id: str, user_id: Any, scope: str, refreshes: bool
    ) -> Any:
        now = int(time.time())
        access = secrets.token_urlsafe(32)
        answer = {"access_token": access, "token_type": "Bearer", "expires_in": ACCESS_LIFETIME, "scope": scope}
        refresh = None
        if refreshes:
            refresh = answer["refresh_token"] = secrets.token_urlsafe(32)
        row = (
            digest(access),
            refresh and digest(refresh),
            family,
            consent_id,
            client_id,
            user_id,
            scope,
            now,
            now + ACCESS_LIFETIME,
            now + REFRESH_LIFETIME if refresh else None,
        )
        connection = database()
        if spend is None:
            connection.execute(ADD_TOKEN, row)
            return flask.jsonify(answer), 200, NO_STORE
        connection.execute(begin)
        try:
            is_first = connection.execute(spend[0], (now, spend[1])).rowcount == 1
            if is_first:
                connection.execute(ADD_TOKEN, row)
            else:
                connection.execute(ADD_MARK, (family, now + REFRESH_LIFETIME))
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        if not is_first:
            raise Refused("invalid_grant")
        return flask.jsonify(answer), 200, NO_STORE

    @app.post("/login")
    def login() -> Any:
        flask.session["user"] = flask.request.form["user"]
        return "", 204

    @app.get("/oauth/authorize")
    def authorize() -> Any:
        asked = flask.request.args
        client_id = asked.get("client_id", "")
        client = database().execute(GET_CLIENT, (client_id,)).fetchone()
        redirect_uri = asked.get("redirect_uri")
        if client is None or redirect_uri != client[1]:
            flask.abort(400)
        user_id = flask.session.get("user")
        if user_id is None:
            flask.abort(403)
        answer = {"iss": issuer}
        if asked.get("state"):
            answer["state"] = asked["state"]
        challenge, scope = asked.get("code_challenge", ""), asked.get("scope", "")
        if asked.get("response_type") != "code" or "authorization_code" not in client[2].split():
            answer["error"] = "unsupported_response_type"
        elif asked.get("code_challenge_method") != "S256" or len(challenge) != 43:
            answer["error"] = "invalid_request"
        elif not scope or not set(scope.split()) <= set(client[3].split()):
            answer["error"] = "invalid_scope"
        else:
            consent = database().execute(GET_CONSENT, (user_id, client_id)).fetchone()
            if consent is None or not set(scope.split()) <= set(consent[1].split()):
                flask.abort(403)  # there is no page to ask by
            code, family = secrets.token_urlsafe(32), secrets.token_urlsafe(16)
            expires_at = int(time.time()) + CODE_LIFETIME
            row = (digest(code), family, consent[0], client_id, user_id, scope, redirect_uri, challenge, expires_at)
            database().execute(ADD_CODE, row)
            answer["code"] = code
        return flask.redirect(f"{redirect_uri}?{urlencode(answer)}", 303)

    @app.post("/oauth/token")
    def token() -> Any:
        form = flask.request.form
        client_id, grant_types, allowed_scope = authenticate()
        grant_type = form.get("grant_type", "")
        if grant_type not in grant_types.split():
            raise Refused("unauthorized_client")
        if grant_type == "client_credentials":
            scope = form.get("scope") or allowed_scope
            if not set(scope.split()) <= set(allowed_scope.split()):
                raise Refused("invalid_scope")
            return issue(None, secrets.token_urlsafe(16), None, client_id, None, scope, False)
        now = time.time()
        if grant_type == "authorization_code":
            key = digest(form.get("code", ""))
            row = database().execute(GET_CODE, (key,)).fetchone()
            if row is None:
                raise Refused("invalid_grant")
            family, consent_id, owner, user_id, scope, redirect_uri, challenge, expires_at = row
            proof = urlsafe_b64encode(sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=")
            if (
                owner != client_id
                or expires_at <= now
                or form.get("redirect_uri", redirect_uri) != redirect_uri
                or not hmac.compare_digest(proof, challenge.encode())
            ):
                raise Refused("invalid_grant")
            return issue((SPEND_CODE, key), family, consent_id, client_id, user_id, scope, True)
        row = database().execute(GET_REFRESH, (digest(form.get("refresh_token", "")),)).fetchone()
        if row is None:
            raise Refused("invalid_grant")
        access, family, consent_id, owner, user_id, scope, expires_at = row
        if owner != client_id or expires_at is None or expires_at <= now:
            raise Refused("invalid_grant")
        wanted = form.get("scope")
        if wanted and not set(wanted.split()) <= set(scope.split()):
            raise Refused("invalid_scope")
        return issue((SPEND_REFRESH, access), family, consent_id, client_id, user_id, scope, True)

    def find_access(value: str) -> Any:
        key = digest(value)
        row = database().execute(GET_ACCESS, (key, key.hex())).fetchone()
        return None if row is None or row[5] <= time.time() else row

    @app.post("/oauth/introspect")
    def introspect() -> Any:
        form = flask.request.form
        client_id, _, _ = authenticate()
        row = find_access(form.get("token", ""))
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

    @app.post("/oauth/revoke")
    def revoke() -> Any:
        value = flask.request.form.get("token", "")
        client_id, _, _ = authenticate()
        key = digest(value)
        row = database().execute(GET_ACCESS, (key, key.hex())).fetchone()
        mark = key.hex()
        if row is None:  # a refresh token ends its family
            row = database().execute(GET_REFRESH, (key,)).fetchone()
            if row is None:
                return "", 200, NO_STORE
            row, mark = (row[1], row[3]), row[1]
        if row[1] != client_id:
            raise Refused("invalid_grant")
        database().execute(ADD_MARK, (mark, int(time.time()) + REFRESH_LIFETIME))
        return "", 200, NO_STORE

    @app.get("/api/me")
    def me() -> Any:
        bearer = flask.request.authorization
        row = find_access(bearer.token or "") if bearer and bearer.type == "bearer" else None
        if row is None or SCOPE not in row[3].split():
            return flask.jsonify(error="invalid_token"), 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        return {"user": row[2], "client": row[1], "scope": row[3].split()}

    @app.get("/.well-known/oauth-authorization-server")
    def metadata() -> Any:
        base = flask.request.host_url
        return {
            "issuer": issuer,
            "authorization_endpoint": f"{base}oauth/authorize",
            "token_endpoint": f"{base}oauth/token",
            "introspection_endpoint": f"{base}oauth/introspect",
            "revocation_endpoint": f"{base}oauth/revoke",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }

    return app


def fill(connection: Any) -> None:
    """One client, one consent."""
    grant_types = "authorization_code refresh_token client_credentials"
    add_client = "INSERT INTO client VALUES (?, ?, ?, ?, ?)"
    connection.execute(add_client, (CLIENT_ID, digest(SECRET), CALLBACK, grant_types, SCOPE))
    connection.execute("INSERT INTO consent VALUES (?, ?, ?, ?)", (USER, CLIENT_ID, "the-consent", SCOPE))


@contextmanager
def expire(connection: Any) -> Iterator[None]:
    """All that was issued."""
    connection.execute("UPDATE token SET expires_at = 1")
    connection.execute("UPDATE code SET expires_at = 1")
    yield


def open_site(place: Place) -> Site:
    """On SQLite: WAL, synchronous NORMAL, one connection per thread."""

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(place.folder / "floor.sqlite", isolation_level=None, timeout=10)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    connection = connect()
    if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        connection.executescript(TABLES)
        fill(connection)
    return Site(make_app(connect, place.issuer, "BEGIN IMMEDIATE"), lambda: expire(connection))
