"""JSON Web Tokens as access tokens, :rfc:`9068`. Resource servers anywhere verify them with the keys of the issuer.

Clients can read the value but cannot change it. The server that issued it accepts it until it expires or is revoked, or
until its key is removed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ... import values
from ...context import EMPTY, Context
from ...errors import OAuth2Error
from ...processes import cached
from ...records import CLOCKS_DIFFER, AccessToken, Client
from ...resources import Resource
from ...server import AuthorizationServer
from ...settings import SIGNING_ALGORITHMS
from ..verified_tokens import VerifiedTokens

if TYPE_CHECKING:
    from ...keys.jose import Policy
    from ...keys.jwk import Key

TYPE = "at+jwt"
"""The ``typ`` of the header. "it is RECOMMENDED that the "application/" prefix be omitted", :rfc:`9068#section-2.1`."""

MAX_LENGTH = 8000
"""Characters of a token. Web servers accept header lines of 8 KiB."""

MAX_VALUES = 200
"""Values in the claims of the application, at all levels together."""

REQUIRED = ("iss", "exp", "aud", "sub", "client_id", "iat", "jti")
"""The claims of every token, :rfc:`9068#section-2.2`."""

_KINDS: Mapping[str, type] = {
    "scope": str,
    "acr": str,
    "cnf": dict,
    "authorization_details": list,
    "token_type": str,
    "authorization": str,
    "consent": str,
}
"""The types of optional claims. ``authorization`` and ``consent`` are private claims, which revocations name."""

ENCODING = "A256GCM"
"""The content encryption of encrypted tokens."""

RESERVED = frozenset({*REQUIRED, *_KINDS, "nbf", "auth_time"})
"""The claims that the application cannot set."""

_BEARER = "Bearer"

_CLIENT = "client:"
"""The beginning of the subject of a client that acts for itself, which is no user (:rfc:`9068#section-5`)."""


class ClaimsError(OAuth2Error):
    """The claims of the application cannot be part of an access token."""

    status = 503
    rule = "rfc9068 2.2"
    log_level = logging.ERROR


class JSONWebToken:
    """The format ``jwt``. The keys are those of the issuer.

    :param server: the server whose tokens these are.
    """

    name = "jwt"
    needs_keys = True

    def __init__(self, server: AuthorizationServer) -> None:
        self._server = server
        self._verified = VerifiedTokens()

    def write(self, access: AccessToken, client: Client, resource: Resource | None) -> str:
        """Return the facts of ``access`` and the claims of the application, signed with the active key.

        If the resource has an encryption key, the signed token is encrypted to it, :rfc:`7519#section-11.2`.
        """
        server = self._server
        claims = {
            **{name: value for name, value in access.context.claims.items() if name not in RESERVED},
            **self._find_claims(access, client),
            **self._claims(access),
        }
        value: str = self._jose.sign(claims, server.keys.find_signer(server.clock()), TYPE, access.issued_at)
        if resource is not None and resource.encryption_key is not None:
            key, algorithm = read_encryption_key(resource.encryption_key)
            # "the value MUST be "JWT", to indicate that a Nested JWT is carried", RFC 7519 section 5.2
            value = self._jose.encrypt(value.encode(), key, algorithm, ENCODING, typ=TYPE, cty="JWT")
        if len(value) > MAX_LENGTH:
            raise ClaimsError(
                "the access token is too long",
                expected=f"at most {MAX_LENGTH} characters",
                received=len(value),
                hint="return fewer claims from @provider.access_token_claims, or use the format opaque",
            )
        return value

    def read(self, value: str) -> AccessToken | None:
        """Verify the signature of a value with the published keys. Return the token, or None for other values.

        A value that was verified with the same keys before is not verified again.
        """
        if not _is_jwt(value):
            return None
        server = self._server
        published = server.keys.find_published(server.clock())
        access = self._verified.get(value, published)
        if access is None:
            access = self._verify(value)
            if access is not None:
                self._verified.put(value, access, published)
        return access

    def explain(self, value: str) -> str | None:
        """Return why a value is not accepted, for the log, or None for values of other formats."""
        if not _is_jwt(value):
            return None
        try:
            self._jose.verify(value, self._policy, self._server.clock())
        except self._jose.JOSEError as error:
            return f"a JSON Web Token that is not an access token of this server: {error.reason}"
        return "a JSON Web Token of this server that is revoked or too old"

    @cached
    def _jose(self) -> Any:
        from ...keys import jose  # few servers need keys, and it takes long to load

        return jose

    @cached
    def _policy(self) -> Policy:
        policy: Policy = self._jose.Policy(
            algorithms=SIGNING_ALGORITHMS,
            # "The resource server MUST verify that the "typ" header value is "at+jwt" or "application/at+jwt"", RFC
            # 9068 section 4
            types=(TYPE,),
            # "MUST exactly match the value of the "iss" claim"
            issuers=(self._server.issuer,),
            audience=None,  # the guard compares it with the protected resource
            keys=self._find_keys,
            required=(*REQUIRED, "authorization"),
            leeway=CLOCKS_DIFFER,
            accepts_expired=True,  # the guard rejects it, and says why
        )
        return policy

    def _find_keys(self, kid: str | None, algorithm: str) -> Iterable[Key]:
        server = self._server
        return server.keys.find_published(server.clock()).keys.find(kid, algorithm)

    def _verify(self, value: str) -> AccessToken | None:
        try:
            claims = self._jose.verify(value, self._policy, self._server.clock()).claims
        except self._jose.JOSEError:
            return None
        return _read(claims, self._default_audience)

    @property
    def _default_audience(self) -> str:
        """The audience of tokens for no protected resource. "a default resource indicator", :rfc:`9068#section-3`."""
        return self._server.settings.default_audience or f"{self._server.issuer.rstrip('/')}/resources"

    def _claims(self, access: AccessToken) -> dict[str, Any]:
        """Return the claims that the application cannot set."""
        audience = access.audience or (self._default_audience,)
        claims = {
            "iss": self._server.issuer,
            "sub": f"{_CLIENT}{access.client_id}" if access.user_id is None else access.user_id,
            "aud": audience[0] if len(audience) == 1 else audience,
            "client_id": access.client_id,
            "scope": " ".join(access.scope) or None,
            "iat": access.issued_at,
            "exp": access.expires_at,
            "jti": values.text(access.token_hash),
            "auth_time": access.context.auth_time,
            "acr": access.context.acr,
            "authorization_details": list(access.context.details) or None,
            "cnf": access.confirmation or None,
            "token_type": None if access.type == _BEARER else access.type,
            "authorization": access.authorization_id,
            "consent": access.consent_id,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def _find_claims(self, access: AccessToken, client: Client) -> Mapping[str, Any]:
        """Return the claims of the application. Raise :exc:`ClaimsError` for claims that it cannot set."""
        find_claims = self._server.access_token_claims
        claims = None if find_claims is None else find_claims(access, client)
        if claims is None:
            return {}
        if not isinstance(claims, Mapping):
            raise ClaimsError(
                "access_token_claims returned no claims",
                expected="a dict, or None",
                received=type(claims).__name__,
                hint="return a dict of claims from @provider.access_token_claims",
            )
        if taken := RESERVED.intersection(claims):
            raise ClaimsError(
                "access_token_claims returned reserved claims",
                expected="other claims than those of the server",
                received=" ".join(sorted(taken)),
                hint=f"return other names from @provider.access_token_claims; reserved: {' '.join(sorted(RESERVED))}",
            )
        jose = self._jose
        try:
            jose.decode_json(jose.encode_json(dict(claims)), "the claims", MAX_VALUES)
        except (TypeError, ValueError, jose.JOSEError) as error:
            raise ClaimsError(
                "access_token_claims returned claims that are not JSON",
                expected=f"JSON with at most {MAX_VALUES} values",
                received=error,
                hint="return text, numbers, booleans, lists and dicts from @provider.access_token_claims",
            ) from error
        return claims


def read_encryption_key(jwk: Mapping[str, Any]) -> tuple[Key, str]:
    """Return the key of a resource and the algorithm that encrypts to it: its ``alg``, or the usual one of its type.

    Raises :exc:`.JOSEError` for a key that is private or that no algorithm fits.
    """
    return _read_encryption_key(json.dumps(dict(jwk), sort_keys=True))


@lru_cache(1000)
def _read_encryption_key(text: str) -> tuple[Key, str]:
    from ...keys.algorithms import KEY_MANAGEMENT
    from ...keys.encoding import JOSEError
    from ...keys.jwk import read_key

    key = read_key(json.loads(text))
    for name in (key.alg, "RSA-OAEP-256", "ECDH-ES"):
        if name in KEY_MANAGEMENT and key.fits(KEY_MANAGEMENT[name], "enc"):
            return key, name
    raise JOSEError("no algorithm encrypts to the key")


def _is_jwt(value: str) -> bool:
    """Return whether a value may be a JSON Web Token: it begins with ``{"`` in base64url and has three parts."""
    return value.startswith("eyJ") and value.count(".") == 2


def _read(claims: Mapping[str, Any], default_audience: str) -> AccessToken | None:
    """Return the access token of verified claims, or None if another system has written them with the same key."""
    if not claims["aud"] or not all(isinstance(claims.get(name, kind()), kind) for name, kind in _KINDS.items()):
        return None
    token_hash = _read_id(claims["jti"])
    if token_hash is None:
        return None
    audience = claims["aud"]
    named = (audience,) if isinstance(audience, str) else tuple(audience)
    client_id, subject = claims["client_id"], claims["sub"]
    return AccessToken(
        token_hash=token_hash,
        authorization_id=claims["authorization"],
        client_id=client_id,
        user_id=None if subject == f"{_CLIENT}{client_id}" else subject,
        scope=tuple(claims.get("scope", "").split()),
        type=claims.get("token_type", _BEARER),
        issued_at=int(claims["iat"]),
        expires_at=int(claims["exp"]),
        confirmation=claims.get("cnf"),
        consent_id=claims.get("consent"),
        audience=() if named == (default_audience,) else named,
        context=_read_context(claims),
    )


def _read_id(text: str) -> bytes | None:
    """Return the ID of a token, or None for text that this server has not written."""
    try:
        token_hash = values.from_text(text)
    except ValueError:
        return None
    return token_hash if values.text(token_hash) == text else None


def _read_context(claims: Mapping[str, Any]) -> Context:
    others = {name: value for name, value in claims.items() if name not in RESERVED}
    if not others and _FACTS.isdisjoint(claims):
        return EMPTY
    return Context(
        claims=others,
        auth_time=claims.get("auth_time"),
        acr=claims.get("acr"),
        authorization_details=tuple(claims.get("authorization_details", ())),
    )


_FACTS = frozenset({"auth_time", "acr", "authorization_details"})
"""The claims that are other fields of the context."""
