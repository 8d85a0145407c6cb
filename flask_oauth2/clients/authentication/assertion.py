"""``private_key_jwt``: a JSON Web Token that the client has signed, :rfc:`7523#section-2.2` and OpenID Connect Core 9.

The client registers its public keys, inline (``jwks``) or behind a URL (``jwks_uri``). The audience of an assertion is
the issuer, as the update of RFC 7523 requires: an assertion for one server is of no use at another.
"""

from __future__ import annotations

from hashlib import sha256
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ... import addresses, values
from ...errors import InvalidClient, TemporarilyUnavailable
from ...http.messages import Params, Request
from ...records import CLOCKS_DIFFER, Client
from ...server import AuthorizationServer
from ...settings import SIGNING_ALGORITHMS
from ..keys import find_keys
from .base import Credentials, unknown_client
from .throttle import Attempt

if TYPE_CHECKING:
    from ...keys.jose import Verified

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""The ``client_assertion_type`` of a JSON Web Token."""

MAX_LIFETIME = 3600
"""The longest lifetime of an assertion in seconds. Its ``jti`` is saved for as long."""

_REQUIRED = ("iss", "sub", "aud", "exp", "jti")
_TYPES = ("client-authentication+jwt", "")
_RULE = "rfc7523 3"


class PrivateKeyJWT:
    """A signature with a private key of the client."""

    name = "private_key_jwt"
    scheme: str | None = None
    parameter: str | None = "client_assertion_type"
    accepts = frozenset({"private_key_jwt"})
    needs_secret = False
    needs_keys = True
    is_registrable = True
    signing_algorithms: tuple[str, ...] = SIGNING_ALGORITHMS

    @staticmethod
    def is_available() -> bool:
        """Return whether the libraries of ``flask_oauth2[jose]`` are installed."""
        return find_spec("joserfc") is not None

    def present(self, request: Request, form: Params) -> Credentials | None:
        """Return the assertion of a body that contains one, and the client that it names."""
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            return None
        # "MUST contain a single JWT", section 2.2
        assertion = form.require("client_assertion")
        from ...keys.jose import JOSEError, read_issuer

        try:
            client_id = read_issuer(assertion)
        except JOSEError as error:
            raise _rejected(error.reason) from None
        return Credentials(client_id, assertion, request.address, request.mount)

    def verify(self, server: AuthorizationServer, client: Client | None, credentials: Credentials, now: float) -> None:
        """Raise :exc:`InvalidClient` for an assertion that the client has not signed, or that was used before.

        Rejected assertions are counted like wrong secrets. A good one is not: no attempt of others locks the client
        out.
        """
        from ...keys.jose import JOSEError
        from ...keys.remote import KeysUnavailable

        try:
            if client is None:
                raise unknown_client(credentials.client_id)
            verified = _verify(server, client, credentials, now)
        except KeysUnavailable as error:
            raise TemporarilyUnavailable(
                "the keys of the client cannot be fetched",
                retry_after=30,
                rule="rfc7591 2",
                received=error.reason,
                hint="let the jwks_uri of the client respond with status 200 and a JWK set",
            ) from None
        except (InvalidClient, JOSEError) as error:
            Attempt(server, "client_assertion", credentials.client_id, now, credentials.address).failed()
            raise error if isinstance(error, InvalidClient) else _rejected(error.reason) from None
        # only now, so that nobody can use up the jti values of another client
        expires_at = int(verified.claims["exp"]) + CLOCKS_DIFFER + 1
        used = f"client_assertion {client.client_id} {verified.claims['jti']}"
        digest = sha256(used.encode("utf-8", "surrogatepass")).digest()
        if not server.store.remember(values.timestamp(expires_at) + digest, expires_at):
            raise _rejected("the jti was used before", "let the client sign a new assertion for each request")


def _verify(server: AuthorizationServer, client: Client, credentials: Credentials, now: float) -> Verified:
    """Return the verified assertion. Raises :exc:`.JOSEError` or :exc:`InvalidClient`."""
    from ...keys.jose import JOSEError, Policy, verify

    if client.auth_method not in PrivateKeyJWT.accepts:
        raise InvalidClient(
            "client authentication failed",
            rule="rfc7591 2",
            expected=f"{client.auth_method}, as client {client.client_id} is registered",
            received=PrivateKeyJWT.name,
            hint=f"let the client authenticate with {client.auth_method}, or register its public keys: "
            f"flask oauth2 client update {client.client_id} --auth-method private_key_jwt --jwks FILE",
        )
    if not server.issuer:
        raise JOSEError("this server has no issuer identifier: set OAUTH2_ISSUER")
    registered = client.metadata.get("token_endpoint_auth_signing_alg")
    policy = Policy(
        algorithms=(registered,) if registered else SIGNING_ALGORITHMS,
        types=_TYPES,
        # a missing typ "is NOT RECOMMENDED" as a reason to reject; the type of another kind of token is one
        accepts_other_types=True,
        issuers=(client.client_id,),
        audience=_find_audience(server, credentials.mount),
        is_only_audience=True,
        keys=find_keys(server, client, now),
        required=_REQUIRED,
        leeway=CLOCKS_DIFFER,
        max_lifetime=MAX_LIFETIME,
    )
    verified = verify(credentials.proof, policy, now)
    # "the subject MUST be the "client_id" of the OAuth client", section 3
    if verified.claims["sub"] != client.client_id:
        raise JOSEError("the claim sub is not the client_id")
    return verified


def _find_audience(server: AuthorizationServer, mount: str) -> tuple[str, ...]:
    """Return the accepted values of ``aud``: the issuer and, if the settings allow it, the token endpoint."""
    if not server.settings.client_assertion_endpoint_audience:
        return (server.issuer,)
    return server.issuer, addresses.url_of(server, "token", mount)


def _rejected(reason: str, hint: str = "") -> InvalidClient:
    return InvalidClient(
        "client authentication failed",
        rule=_RULE,
        expected="a client_assertion with iss and sub of the client_id, aud of the issuer, exp and jti",
        received=reason,
        hint=hint or "let the client sign its assertion as the guide 'Authenticate clients with keys' describes",
    )
