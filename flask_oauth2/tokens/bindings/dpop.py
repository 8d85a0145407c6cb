"""DPoP, :rfc:`9449`: tokens are bound to a key of the client, which proves possession of it with each request.

A proof is a JSON Web Token in the header ``DPoP``. The client signs it for one request and includes its public key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

from ... import values
from ...checks import dpop_jkt
from ...checks.request import AuthorizationRequest
from ...errors import ConfigurationError, InvalidDPoPProof, InvalidToken, UnauthorizedClient, UseDPoPNonce
from ...http import urls
from ...http.messages import Request
from ...nonces import Nonces
from ...processes import cached
from ...records import CLOCKS_DIFFER, AccessToken, Claims
from ...server import AuthorizationServer
from ...settings import SIGNING_ALGORITHMS, Settings
from .base import ProofContext

TYPE = "dpop+jwt"
"""The ``typ`` of a proof."""

LIFETIME = 60
"""Seconds for which a proof without a nonce is accepted, plus those by which the clocks may differ."""

MAX_LEEWAY = 300
"""Seconds by which the clock of the client may differ if the nonce limits the age of the proof."""

MAX_SIZE = 8 * 1024
"""The maximum number of characters of a proof."""

MAX_VALUES = 100
"""The maximum number of values in the claims of a proof."""

REQUIRED = ("jti", "htm", "htu", "iat")
"""The claims of every proof, :rfc:`9449#section-4.2`."""

MEMBER = "dpop_bound_access_tokens"
"""The member of client metadata that requires proofs from a client, :rfc:`9449#section-5.2`."""

NONCE_HEADER = "DPoP-Nonce"


class DPoP:
    """The binding to the key of a DPoP proof.

    :param settings: of its options, this class reads ``dpop``, ``dpop_nonces`` and the secret keys.
    """

    name = "dpop"
    token_type = "DPoP"
    members = frozenset({"jkt"})
    request_headers = ("DPoP",)
    response_headers = (NONCE_HEADER,)
    metadata: Mapping[str, Any] = {"dpop_signing_alg_values_supported": list(SIGNING_ALGORITHMS)}

    def __init__(self, settings: Settings) -> None:
        from ...keys import library  # noqa: F401  raises if joserfc is missing

        self._is_required = settings.dpop == "required"
        self._nonces = Nonces(settings.secret_keys, "dpop nonce") if settings.dpop_nonces else None
        if settings.dpop_nonces and not settings.secret_keys:
            raise ConfigurationError("DPoP nonces need a SECRET_KEY: set one, or set OAUTH2_DPOP_NONCES to False")

    @property
    def resource_metadata(self) -> Mapping[str, Any]:
        """The members of protected resource metadata, :rfc:`9728#section-2`."""
        return {**self.metadata, "dpop_bound_access_tokens_required": self._is_required}

    def check_request(self, draft: AuthorizationRequest, server: AuthorizationServer) -> AuthorizationRequest:
        """Bind the code of an authorization request to the key that ``dpop_jkt`` names, :rfc:`9449#section-10`.

        Raise :exc:`~flask_oauth2.errors.UnauthorizedClient` if the response would contain an access token that cannot
        be bound, but the client needs bound tokens.
        """
        if "token" in draft.response_types and self._must_prove(draft.client.metadata):
            raise UnauthorizedClient(
                "the access tokens of the client are bound to a key, which a response with a token cannot do",
                rule="rfc9449 5.2",
                hint="let the client send response_type=code",
            )
        return dpop_jkt.check(draft, server)

    def prove(self, request: Request, context: ProofContext) -> Claims | None:
        """See :meth:`.base.Binding.prove`."""
        text = request.headers.get("DPoP", "")
        if text:
            return {"jkt": self._verify(text, request, context, 400)}
        if context.client is not None and self._must_prove(context.client.metadata):
            # "the authorization server MUST reject token requests from the client that do not contain the DPoP
            # header", section 5.2
            raise InvalidDPoPProof(
                "the DPoP header is missing",
                rule="rfc9449 5.2",
                hint=f"let the client send a proof; OAUTH2_DPOP or its member {MEMBER} requires it",
            )
        return None

    def verify(self, access: AccessToken, request: Request, context: ProofContext) -> None:
        """See :meth:`.base.Binding.verify`."""
        text = request.headers.get("DPoP", "")
        if not text:
            raise InvalidDPoPProof(
                "the DPoP header is missing",
                rule="rfc9449 7",
                hint="let the client send a proof with each request, in addition to the token",
                status=401,
            )
        # "confirm that the public key to which the access token is bound matches the public key from the DPoP proof",
        # section 4.3
        bound = (access.confirmation or {}).get("jkt")
        if self._verify(text, request, context, 401) != bound:
            raise InvalidToken(
                "the DPoP proof is signed with another key than that of the token",
                rule="rfc9449 7.1",
                hint="let the client use one key for the token request and for all requests with the token",
            )

    def _must_prove(self, metadata: Claims) -> bool:
        return self._is_required or metadata.get(MEMBER) is True

    def _verify(self, text: str, request: Request, context: ProofContext, status: int) -> str:
        """Return the thumbprint of the key of a proof. Raise the error of an invalid one, with this HTTP status."""
        from ...keys import jose

        if "," in text:  # WSGI servers join repeated headers with a comma
            raise _invalid("the request has more than one DPoP header", status)
        try:
            verified = jose.verify(text, self._policy, context.now)
        except jose.JOSEError as error:
            raise _invalid(error.reason, status) from error
        claims, jkt = verified.claims, verified.key.thumbprint
        if claims["htm"] != request.method:
            raise _invalid("htm is not the method of the request", status, request.method, claims["htm"])
        if not is_same_target(claims["htu"], context.url):
            raise _invalid("htu is not the URL of the request", status, context.url, claims["htu"])
        if context.token:
            # "the access token hash": base64url of SHA-256, section 4.2
            expected = values.text(sha256(context.token.encode("ascii", "replace")).digest())
            if claims.get("ath") != expected:
                raise _invalid("ath is not the hash of the access token", status)
        if self._nonces is not None:
            _check_nonce(self._nonces, claims.get("nonce"), context, status)
        # last, so that only holders of a key fill the replay memory
        expires_at = int(claims["iat"]) + self._policy.max_age + self._policy.leeway + 1
        digest = sha256(f"dpop {jkt} {claims['jti']}".encode("utf-8", "surrogatepass")).digest()
        if not context.remember(values.timestamp(expires_at) + digest, expires_at):
            raise _invalid("the proof was used before", status, hint="let the client make a new proof for each request")
        return jkt

    @cached
    def _policy(self) -> Any:
        from ...keys import jose

        has_nonce = self._nonces is not None
        return jose.Policy(
            algorithms=SIGNING_ALGORITHMS,
            types=(TYPE,),
            issuers=None,
            audience=None,
            keys=None,
            accepts_header_key=True,
            required=REQUIRED,
            leeway=MAX_LEEWAY if has_nonce else CLOCKS_DIFFER,
            max_age=MAX_LEEWAY if has_nonce else LIFETIME,
            max_size=MAX_SIZE,
            max_values=MAX_VALUES,
        )


def is_same_target(htu: object, url: str) -> bool:
    """Return whether ``htu`` is the URL of a request, without query and fragment, :rfc:`9449#section-4.3`.

    Differences that :rfc:`3986#section-6.2.2` and :rfc:`3986#section-6.2.3` name are ignored: case of scheme and host,
    the default port, percent-encoding and dot segments.
    """
    target = _read_target(htu) if isinstance(htu, str) else None
    return target is not None and target == _read_target(url)


def _read_target(url: str) -> tuple[str, str] | None:
    parts = urls.parse(url)
    if parts is None or parts.scheme not in urls.WEB_SCHEMES:
        return None
    return urls.origin(url), _remove_dot_segments(unquote(parts.path)) or "/"


def _remove_dot_segments(path: str) -> str:
    segments = path.split("/")
    left: list[str] = []
    for segment in segments:
        if segment == "..":
            left = left[:-1] or [""]
        elif segment != ".":
            left.append(segment)
    return "/".join([*left, *([""] if segments[-1] in (".", "..") else [])])


def _check_nonce(nonces: Nonces, nonce: object, context: ProofContext, status: int) -> None:
    """Raise :exc:`UseDPoPNonce` unless a proof contains a recent nonce. Supply the current nonce if it differs."""
    current = nonces.current(context.now)
    if nonce == current:
        return
    # "the authorization server MUST reject the request" if the nonce is not one that it recently supplied, section 8
    if not isinstance(nonce, str) or not nonces.is_recent(nonce, context.now):
        raise UseDPoPNonce(
            "the DPoP proof needs the nonce of the server",
            rule="rfc9449 8" if status == 400 else "rfc9449 9",
            expected="the value of DPoP-Nonce of this response",
            received="another nonce" if nonce else "no nonce",
            hint="let the client send a new proof with this nonce; the OAUTH2_DPOP_NONCES option requires it",
            status=status,
            headers={NONCE_HEADER: current},
        )
    context.headers[NONCE_HEADER] = current


def _invalid(
    reason: str, status: int, expected: str | None = None, received: object = None, hint: str | None = None
) -> InvalidDPoPProof:
    return InvalidDPoPProof(
        f"the DPoP proof is not valid: {reason}", status=status, expected=expected, received=received, hint=hint
    )


def make(settings: Settings) -> Sequence[DPoP]:
    """Return the binding, or nothing if ``OAUTH2_DPOP`` is ``off``."""
    return () if settings.dpop == "off" else (DPoP(settings),)
