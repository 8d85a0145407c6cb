"""Verification of access tokens of another server: with its keys, or with its introspection endpoint."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote_plus

from .. import values
from ..context import Context
from ..errors import ConfigurationError, FetchError, InvalidToken, TemporarilyUnavailable
from ..http import urls
from ..http.json import parse_object
from ..records import CLOCKS_DIFFER, AccessToken
from ..settings import SIGNING_ALGORITHMS
from ..tokens.formats.jwt import REQUIRED, RESERVED, TYPE
from .issuer_metadata import DEADLINE, MAX_SIZE, RETRY_AFTER, IssuerMetadata, load_fetch

if TYPE_CHECKING:
    from ..http.fetch import Fetched


class TokenSource(Protocol):
    """Verifies a token that is not in the cache."""

    def find(self, value: str, now: float) -> AccessToken:
        """Return the access token of a value. The caller checks its audience and its expiry.

        Raises :exc:`~flask_oauth2.InvalidToken` and :exc:`~flask_oauth2.errors.TemporarilyUnavailable`.
        """
        ...


class KeySetSource:
    """Verifies JSON Web Tokens, :rfc:`9068#section-4`, with the JWK set of their issuer.

    :param jwks_uri: the URL of the JWK set. Default: that of the metadata.
    :param decryption_keys: private JWKs. Tokens must be encrypted to one of them.
    """

    def __init__(
        self,
        metadata: IssuerMetadata,
        jwks_uri: str | None = None,
        decryption_keys: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        from ..keys import library  # noqa: F401  raises if joserfc is missing
        from ..keys.remote import RemoteKeys  # few servers need keys, and it takes long to load

        self.keys = RemoteKeys()
        self._metadata = metadata
        self._jwks_uri = jwks_uri
        self._decrypt = _decrypter(decryption_keys) if decryption_keys else None

    def find(self, value: str, now: float) -> AccessToken:
        """See :meth:`TokenSource.find`."""
        from ..keys import jose
        from ..keys.remote import KeysUnavailable

        url = self._jwks_uri or self._metadata.find_url("jwks_uri", now)
        policy = jose.Policy(
            algorithms=SIGNING_ALGORITHMS,
            types=(TYPE,),
            issuers=(self._metadata.issuer,),
            audience=None,  # the guard compares it with the protected resource
            keys=self.keys.source(url, now, may_be_own=True),
            required=REQUIRED,
            leeway=CLOCKS_DIFFER,
        )
        try:
            # "If encryption was negotiated [...] and the incoming JWT access token is not encrypted, the resource
            # server SHOULD reject it", RFC 9068 section 4
            signed = value if self._decrypt is None else self._decrypt(value)
            claims = jose.verify(signed, policy, now).claims
        except KeysUnavailable as error:
            raise TemporarilyUnavailable(
                "the authorization server is unavailable", retry_after=RETRY_AFTER, hint=error.reason
            ) from error
        except jose.JOSEError as error:
            raise InvalidToken(
                "the token is not a valid access token of the authorization server", received=error.reason
            ) from error
        return read_token(value, claims)


def _decrypter(jwks: Sequence[Mapping[str, Any]]) -> Callable[[str], str]:
    """Return a function that decrypts a token. Raises :exc:`ConfigurationError` for keys that cannot be used."""
    from ..keys import jose
    from ..keys.algorithms import CONTENT_ENCRYPTION, KEY_MANAGEMENT
    from ..keys.jwk import KeySet, read_key

    try:
        keys = KeySet([read_key(jwk, may_be_private=True) for jwk in jwks])
    except jose.JOSEError as error:
        raise ConfigurationError(f"a key of decryption_keys cannot be used: {error.reason}") from error
    policy = jose.EncryptionPolicy(
        algorithms=tuple(name for name in KEY_MANAGEMENT if name != "dir"), encodings=CONTENT_ENCRYPTION, keys=keys.find
    )

    def decrypt(value: str) -> str:
        decrypted = jose.decrypt(value, policy)
        if str(decrypted.header.get("cty", "")).upper() != "JWT":
            raise jose.JOSEError("the encrypted content is not a JWT")
        return decrypted.content.decode("ascii", "replace")

    return decrypt


class IntrospectionSource:
    """Verifies tokens of any format with the introspection endpoint of their issuer, :rfc:`7662`.

    :param client_id: a client of the authorization server that is registered as a resource server.
    :param endpoint: the URL of the endpoint. Default: that of the metadata.
    """

    def __init__(self, metadata: IssuerMetadata, client_id: str, client_secret: str, endpoint: str | None) -> None:
        self.post: Callable[[str, Mapping[str, str], bytes], Fetched] = _post
        self._metadata = metadata
        self._endpoint = endpoint
        # "encoded using the "application/x-www-form-urlencoded" encoding algorithm", RFC 6749 section 2.3.1
        credentials = f"{quote_plus(client_id)}:{quote_plus(client_secret)}".encode()
        self._authorization = f"Basic {b64encode(credentials).decode()}"

    def find(self, value: str, now: float) -> AccessToken:
        """See :meth:`TokenSource.find`."""
        url = self._endpoint or self._metadata.find_url("introspection_endpoint", now)
        headers = {"Authorization": self._authorization, "Content-Type": "application/x-www-form-urlencoded"}
        form = urls.encode([("token", value), ("token_type_hint", "access_token")]).encode()
        try:
            members = parse_object(self.post(url, headers, form).body)
        except (FetchError, ValueError) as error:
            raise TemporarilyUnavailable(
                "the authorization server is unavailable",
                retry_after=RETRY_AFTER,
                hint=f"the introspection endpoint {url} cannot be used: {error}; check client_id and client_secret",
            ) from error
        if members.get("active") is not True:
            raise InvalidToken("the token is unknown, revoked or expired")
        if members.get("iss", self._metadata.issuer) != self._metadata.issuer:
            raise InvalidToken("the token is from another issuer")
        return read_token(value, {"exp": now + CLOCKS_DIFFER, "iat": now, **members})


_TEXTS = ("sub", "client_id", "scope", "token_type", "acr")
_NUMBERS = ("exp", "iat", "auth_time")


def read_token(value: str, claims: Mapping[str, Any]) -> AccessToken:
    """Return the access token of claims, or of the members of an introspection response.

    Raises :exc:`~flask_oauth2.InvalidToken` for claims of another type.
    """
    if not _are_of_right_types(claims):
        raise InvalidToken("the token has a claim of the wrong type")
    audience = claims.get("aud", [])
    client_id, subject, auth_time = claims.get("client_id", ""), claims.get("sub"), claims.get("auth_time")
    return AccessToken(
        token_hash=values.key(value),
        authorization_id=str(claims.get("authorization", "")),
        client_id=client_id,
        # "an identifier the authorization server uses to indicate the client application", RFC 9068 section 2.2
        user_id=None if subject in (client_id, f"client:{client_id}") else subject,
        scope=tuple(claims.get("scope", "").split()),
        type=claims.get("token_type", "Bearer"),
        issued_at=int(claims["iat"]),
        expires_at=int(claims["exp"]),
        confirmation=claims.get("cnf"),
        audience=(audience,) if isinstance(audience, str) else tuple(audience),
        context=Context(
            claims={name: one for name, one in claims.items() if name not in _KNOWN},
            auth_time=None if auth_time is None else int(auth_time),
            acr=claims.get("acr"),
            authorization_details=tuple(claims.get("authorization_details", ())),
        ),
    )


_KNOWN = RESERVED | {"active"}


def _are_of_right_types(claims: Mapping[str, Any]) -> bool:
    audience, details = claims.get("aud", []), claims.get("authorization_details", [])
    return (
        (isinstance(audience, str) or _is_list_of(str, audience))
        and all(isinstance(claims.get(name, ""), str) for name in _TEXTS)
        and all(isinstance(claims.get(name, 0), int | float) for name in _NUMBERS)
        and isinstance(claims.get("cnf", {}), dict)
        and _is_list_of(dict, details)
    )


def _is_list_of(kind: type, value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, kind) for one in value)


def _post(url: str, headers: Mapping[str, str], content: bytes) -> Fetched:
    fetched: Fetched = load_fetch()(
        url, deadline=DEADLINE, may_be_own=True, max_bytes=MAX_SIZE, content=content, headers=headers
    )
    return fetched
