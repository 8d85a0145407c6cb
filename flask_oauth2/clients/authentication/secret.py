"""``client_secret_basic`` and ``client_secret_post``, :rfc:`6749#section-2.3.1`.

A wrong secret with the format of a generated one is rejected immediately, any other after a slow hash. This does not
depend on the stored secret, so that an unknown client and a wrong secret take the same time.
"""

from __future__ import annotations

import hmac

from ... import values
from ...errors import InvalidClient, InvalidRequest
from ...http import messages
from ...http.messages import Params, Request
from ...records import Client
from ...server import AuthorizationServer
from ..secrets import LONG_SECRET, STORED_PREFIXES, is_slow_hash_of
from .base import Credentials, is_vschar, unknown_client
from .throttle import Attempt
from .verified import VerifiedSecrets

_ACCEPTS = frozenset({"client_secret_basic", "client_secret_post"})

_verified = VerifiedSecrets()


def read_basic(request: Request) -> Credentials | None:
    """Return the client_id and the secret of a Basic Authorization header; None for another scheme.

    Raises :exc:`InvalidClient` or :exc:`InvalidRequest` for a malformed header.
    """
    try:
        found = messages.read_basic(request.authorization)
    except ValueError:
        raise _malformed(request) from None
    if found is not None and not found[0]:
        raise _malformed(request)
    return found and Credentials(*found)


def _malformed(request: Request) -> InvalidRequest | InvalidClient:
    """Return the error of a Basic header that cannot be read."""
    if "," in request.authorization:  # a server joins two headers with a comma
        return InvalidRequest(
            "the request has more than one Authorization header",
            rule="rfc6749 2.3",
            hint="let the client, or the proxy before the application, send one Authorization header",
        )
    return InvalidClient(
        "client authentication failed",
        rule="rfc7617 2",
        expected="base64 of id:secret",
        hint="let the client send Authorization: Basic with base64(client_id:client_secret), both form-urlencoded",
    )


class ClientSecret:
    """The verification of the secret, which both methods share."""

    accepts = _ACCEPTS
    needs_secret = True
    needs_keys = False
    signing_algorithms: tuple[str, ...] = ()
    is_registrable = True

    def verify(self, server: AuthorizationServer, client: Client | None, credentials: Credentials, now: float) -> None:
        """Raise :exc:`InvalidClient` for a wrong secret, :exc:`TemporarilyUnavailable` after too many."""
        secret = credentials.proof
        if not is_vschar(secret):
            raise InvalidClient(
                "client authentication failed",
                rule="rfc6749 A.2",
                expected="printable ASCII characters",
                received="a secret with others",
                hint=f"give the client a secret of printable ASCII characters; {_advise_rotation(client)}",
            )
        stored = (client and client.secret) or ""
        key = values.key(secret)
        is_generated = not key.startswith(values.NO_TIMESTAMP)
        digest = f"sha256${key[len(values.NO_TIMESTAMP) :].hex()}"
        is_digest = hmac.compare_digest(digest.encode(), stored.encode("utf-8", "surrogatepass"))
        if is_digest and (is_generated or len(secret) >= LONG_SECRET):
            return  # it cannot be guessed, so no attempt is counted and no guess of others locks the client out
        # "the authorization server MUST protect any endpoint utilizing it against brute force attacks", section 2.3.1
        attempt = Attempt(server, "client_secret", credentials.client_id, now, credentials.address)
        if is_digest or (not is_generated and _verified.verify(secret, stored, now, is_slow_hash_of)):
            attempt.withdraw()
            return
        attempt.failed()
        if client is None:
            raise unknown_client(credentials.client_id)
        received, hint = _explain(client, secret, stored)
        raise InvalidClient("client authentication failed", rule="rfc6749 2.3.1", received=received, hint=hint)


class ClientSecretBasic(ClientSecret):
    """HTTP Basic authentication with a form-urlencoded client_id and secret."""

    name = "client_secret_basic"
    scheme: str | None = "basic"
    parameter: str | None = None

    def present(self, request: Request, form: Params) -> Credentials | None:
        """Return the credentials of an Authorization header that contains a secret."""
        try:
            found = messages.read_basic(request.authorization)
        except ValueError:
            raise _malformed(request) from None
        return Credentials(*found, request.address) if found is not None and found[0] and found[1] else None


class ClientSecretPost(ClientSecret):
    """``client_id`` and ``client_secret`` in the body."""

    name = "client_secret_post"
    scheme: str | None = None
    parameter: str | None = "client_secret"

    def present(self, request: Request, form: Params) -> Credentials | None:
        """Return the credentials of a body that contains a ``client_secret``."""
        return Credentials(form.require("client_id"), form.require("client_secret"), request.address)


def _explain(client: Client, secret: str, stored: str) -> tuple[str, str]:
    """Return what a client has sent instead of its secret, and how to fix it."""
    is_hash = secret.startswith(STORED_PREFIXES)
    if client.is_public:
        return "the secret of a public client, which has none", (
            "let the client send its client_id alone; if it stores a secret, register it as confidential "
            "(is_confidential or client_type of an application's own client)"
        )
    if is_hash:
        return "what looks like the hash of a secret", (
            f"give the client its secret, not the stored hash of it; {_advise_rotation(client)}"
        )
    if stored and "$" not in stored:
        return "a wrong secret", (
            "the client's attribute secret is not a hash: create one with hash_secret(), or name it client_secret"
        )
    return "a wrong secret", f"correct the secret in the configuration of the client; {_advise_rotation(client)}"


def _advise_rotation(client: Client | None) -> str:
    client_id = client.client_id if client else "ID"
    return f"flask oauth2 client rotate-secret {client_id} generates a new one and shows it once"
