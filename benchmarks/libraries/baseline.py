"""A bare Flask application with ``sqlite3``: hand-written routes for the operations, and no other code.

It does what a provider must do by default: digests at rest, PKCE, rotation, single use in a transaction, revocation of
a family if a code or refresh token is used twice, and a look at revocations in each statement that finds a token. It
does nothing at request time that it can do at start, and leaves out what the operations do not need, such as records
and layers. Flask parses the forms and queries.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from hmac import compare_digest
from secrets import token_urlsafe
from time import time
from typing import Any
from urllib.parse import urlencode

import flask
from flask import Response, request

from ..site import SCOPE, Place, Site
from . import baseline_sql as sql
from .baseline_sql import digest

ACCESS_LIFETIME, CODE_LIFETIME = 3600, 60
NO_STORE = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
INVALID_TOKEN = [("Content-Type", "application/json"), ("WWW-Authenticate", 'Bearer error="invalid_token"')]

SpendAndAdd = Callable[[Any, str, bytes, tuple[Any, ...]], bool]
"""Uses up a code or refresh token and adds the token row. Returns False if it was used before."""


class Refused(Exception):
    """An error of RFC 6749, section 5.2."""


def make_app(connect: Callable[[], Any], issuer: str, spend_and_add: SpendAndAdd) -> flask.Flask:
    """Return the application. ``connect`` opens a connection in autocommit mode."""
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
    def refuse(error: Refused) -> Response:
        return Response(json.dumps({"error": str(error)}), 401 if str(error) == "invalid_client" else 400, NO_STORE)

    @app.post("/login")
    def login() -> Any:
        flask.session["user"] = request.form["user"]
        return "", 204

    add_authorization(app, database, issuer)
    add_token(app, database, spend_and_add)
    add_introspection(app, database, issuer)
    add_revocation(app, database)
    add_resource(app, database)
    add_metadata(app, issuer)
    return app


def authenticate(connection: Any) -> tuple[str, str, str]:
    """Return the ID, grant types and scope of the client of a request, by ``client_secret_basic``."""
    header = request.environ.get("HTTP_AUTHORIZATION", "")
    if header[:6] != "Basic ":
        raise Refused("invalid_client")
    client_id, _, secret = b64decode(header[6:]).decode().partition(":")
    row = connection.execute(sql.GET_CLIENT, (client_id,)).fetchone()
    if row is None or not compare_digest(digest(secret), row[0]):
        raise Refused("invalid_client")
    return client_id, row[2], row[3]


def is_within(scope: str, allowed: str) -> bool:
    """Return whether all scope values are allowed."""
    return scope == allowed or set(scope.split()) <= set(allowed.split())


def add_authorization(app: flask.Flask, database: Callable[[], Any], issuer: str) -> None:
    """Add the authorization endpoint, for users who have consented before: it has no consent page."""

    def find_error(params: Any, client: Any) -> str | None:
        if params.get("response_type") != "code" or "authorization_code" not in client[2]:
            return "unsupported_response_type"
        if params.get("code_challenge_method") != "S256" or len(params.get("code_challenge", "")) != 43:
            return "invalid_request"
        if not params.get("scope") or not is_within(params["scope"], client[3]):
            return "invalid_scope"
        return None

    @app.get("/oauth/authorize")
    def authorize() -> Response:
        params, connection = request.args, database()
        client_id, user_id = params.get("client_id", ""), flask.session.get("user")
        client = connection.execute(sql.GET_CLIENT, (client_id,)).fetchone()
        if client is None or params.get("redirect_uri") != client[1]:
            return Response("", 400)
        if user_id is None:
            return Response("", 403)
        error = find_error(params, client)
        if error is None:
            consent = connection.execute(sql.GET_CONSENT, (user_id, client_id)).fetchone()
            if consent is None or not is_within(params["scope"], consent[1]):
                return Response("", 403)
            code = token_urlsafe(32)
            row = digest(code), token_urlsafe(16), consent[0], client_id, user_id, params["scope"], client[1]
            connection.execute(sql.ADD_CODE, (*row, params["code_challenge"], int(time()) + CODE_LIFETIME))
            answer = {"code": code, "iss": issuer}
        else:
            answer = {"error": error, "iss": issuer}
        if "state" in params:
            answer["state"] = params["state"]
        return Response("", 303, [("Location", f"{client[1]}?{urlencode(answer)}")])


def add_token(app: flask.Flask, database: Callable[[], Any], spend_and_add: SpendAndAdd) -> None:
    """Add the token endpoint."""

    @app.post("/oauth/token")
    def token() -> Response:
        form, connection = request.form, database()
        client_id, grant_types, allowed_scope = authenticate(connection)
        grant_type, now = form.get("grant_type", ""), int(time())
        if grant_type not in grant_types.split():
            raise Refused("unauthorized_client")
        access = token_urlsafe(32)
        answer = {"access_token": access, "token_type": "Bearer", "expires_in": ACCESS_LIFETIME}
        if grant_type == "client_credentials":
            scope = answer["scope"] = form.get("scope") or allowed_scope
            if not is_within(scope, allowed_scope):
                raise Refused("invalid_scope")
            row = digest(access), None, token_urlsafe(16), None, client_id, None, scope, now, now + ACCESS_LIFETIME
            connection.execute(sql.ADD_TOKEN, (*row, None))
        else:
            check = check_code if grant_type == "authorization_code" else check_refresh
            spend, key, owner = check(connection, form, client_id, now)
            refresh = answer["refresh_token"] = token_urlsafe(32)
            answer["scope"] = owner[4]
            times = now, now + ACCESS_LIFETIME, now + sql.REFRESH_LIFETIME
            if not spend_and_add(connection, spend, key, (digest(access), digest(refresh), *owner, *times)):
                raise Refused("invalid_grant")
        return Response(json.dumps(answer), 200, NO_STORE)


def check_code(connection: Any, form: Any, client_id: str, now: int) -> tuple[str, bytes, tuple[Any, ...]]:
    """Return the statement that uses up a code, its key, and its family, consent, client, user and scope."""
    key = digest(form.get("code", ""))
    row = connection.execute(sql.GET_CODE, (key,)).fetchone()
    if row is None:
        raise Refused("invalid_grant")
    proof = urlsafe_b64encode(digest(form.get("code_verifier", "")))[:-1].decode()
    if (
        row[2] != client_id
        or row[7] <= now
        or form.get("redirect_uri", row[5]) != row[5]
        or not compare_digest(proof, row[6])
    ):
        raise Refused("invalid_grant")
    return sql.SPEND_CODE, key, row[:5]


def check_refresh(connection: Any, form: Any, client_id: str, now: int) -> tuple[str, bytes, tuple[Any, ...]]:
    """Return the statement that uses up a refresh token, its key, and its family, consent, client, user and scope."""
    row = connection.execute(sql.GET_REFRESH, (digest(form.get("refresh_token", "")),)).fetchone()
    if row is None or row[3] != client_id or row[6] is None or row[6] <= now:
        raise Refused("invalid_grant")
    if form.get("scope") and not is_within(form["scope"], row[5]):
        raise Refused("invalid_scope")
    return sql.SPEND_REFRESH, row[0], row[1:6]


def add_introspection(app: flask.Flask, database: Callable[[], Any], issuer: str) -> None:
    """Add the introspection endpoint, for a client's own tokens."""

    @app.post("/oauth/introspect")
    def introspect() -> Response:
        form, connection = request.form, database()
        client_id, _, _ = authenticate(connection)
        key = digest(form.get("token", ""))
        row = connection.execute(sql.GET_ACCESS, (key, key.hex())).fetchone()
        if row is None or row[5] <= time() or row[1] != client_id:
            return Response('{"active": false}', 200, NO_STORE)
        answer = {"active": True, "scope": row[3], "client_id": client_id, "token_type": "Bearer"}
        answer |= {"exp": row[5], "iat": row[4], "iss": issuer}
        if row[2] is not None:
            answer["sub"] = row[2]
        return Response(json.dumps(answer), 200, NO_STORE)


def add_revocation(app: flask.Flask, database: Callable[[], Any]) -> None:
    """Add the revocation endpoint: an access token is revoked alone, a refresh token with its family."""

    @app.post("/oauth/revoke")
    def revoke() -> Response:
        form, connection = request.form, database()
        client_id, _, _ = authenticate(connection)
        key = digest(form.get("token", ""))
        mark = key.hex()
        row = connection.execute(sql.GET_ACCESS, (key, mark)).fetchone()
        owner = row and row[1]
        if row is None:
            row = connection.execute(sql.GET_REFRESH, (key,)).fetchone()
            if row is None:
                return Response("", 200, NO_STORE)
            mark, owner = row[1], row[3]
        if owner != client_id:
            raise Refused("invalid_grant")
        connection.execute(sql.ADD_MARK, (mark, int(time()) + sql.REFRESH_LIFETIME))
        return Response("", 200, NO_STORE)


def add_resource(app: flask.Flask, database: Callable[[], Any]) -> None:
    """Add a guarded route. Its view returns a dict, as the view of an application does."""

    @app.get("/api/me")
    def me() -> Any:
        header = request.environ.get("HTTP_AUTHORIZATION", "")
        key = digest(header[7:]) if header[:7] == "Bearer " else b""
        row = database().execute(sql.GET_ACCESS, (key, key.hex())).fetchone()
        if row is None or row[5] <= time() or SCOPE not in row[3].split():
            return Response('{"error": "invalid_token"}', 401, INVALID_TOKEN)
        return {"user": row[2], "client": row[1], "scope": row[3].split()}


def add_metadata(app: flask.Flask, issuer: str) -> None:
    """Add server metadata, which does not change."""
    document = {
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
    octets, headers = json.dumps(document).encode(), [("Content-Type", "application/json")]
    app.add_url_rule("/.well-known/oauth-authorization-server", "metadata", lambda: Response(octets, 200, headers))


def spend_and_add(connection: Any, spend: str, key: bytes, row: tuple[Any, ...]) -> bool:
    """Use up a code or refresh token and add the token row. If it was used before, revoke its family: False."""
    execute, now = connection.execute, int(time())
    execute("BEGIN IMMEDIATE")
    try:
        is_first: bool = execute(spend, (now, key)).rowcount == 1
        if is_first:
            execute(sql.ADD_TOKEN, row)
        else:
            execute(sql.ADD_MARK, (row[2], now + sql.REFRESH_LIFETIME))
    except BaseException:
        execute("ROLLBACK")
        raise
    execute("COMMIT")
    return is_first


def open_site(place: Place) -> Site:
    """Use SQLite in WAL mode with synchronous NORMAL. ``sqlite3`` keeps the prepared statements of each connection."""

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(place.folder / "baseline.sqlite", isolation_level=None, timeout=10)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    connection = connect()
    if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        connection.executescript(sql.TABLES)
        sql.fill(connection)
    return Site(make_app(connect, place.issuer, spend_and_add), lambda: sql.expire(connection))
