"""The tables and statements of the baseline, for sqlite3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from ..site import CALLBACK, CLIENT_ID, SCOPE, SECRET, USER

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

REFRESH_LIFETIME = 30 * 86400


def digest(value: str) -> bytes:
    """Return the digest to store for a secret."""
    return sha256(value.encode()).digest()


def fill(connection: Any) -> None:
    """Add a client and a consent."""
    grant_types = "authorization_code refresh_token client_credentials"
    add_client = "INSERT INTO client VALUES (?, ?, ?, ?, ?)"
    connection.execute(add_client, (CLIENT_ID, digest(SECRET), CALLBACK, grant_types, SCOPE))
    connection.execute("INSERT INTO consent VALUES (?, ?, ?, ?)", (USER, CLIENT_ID, "the-consent", SCOPE))


@contextmanager
def expire(connection: Any) -> Iterator[None]:
    """Let all codes and tokens expire."""
    connection.execute("UPDATE token SET expires_at = 1")
    connection.execute("UPDATE code SET expires_at = 1")
    yield
