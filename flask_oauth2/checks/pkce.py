"""Proof Key for Code Exchange, :rfc:`7636`. The only supported method is S256, because ``plain`` is not secure."""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from hashlib import sha256

from ..errors import InvalidGrant, InvalidRequest, update_client
from ..http.messages import Params
from ..records import Client, Grant
from ..server import AuthorizationServer
from ..settings import Settings
from .request import AuthorizationRequest

METHODS = ("S256",)

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_VERIFIER = re.compile(r"[A-Za-z0-9\-._~]{43,128}\Z")


def check(draft: AuthorizationRequest, server: AuthorizationServer) -> AuthorizationRequest:
    """Read the code challenge of a request for a code, section 4.3. Raise :exc:`InvalidRequest`, section 4.4.1."""
    if "code" not in draft.response_types:
        return draft
    return draft._replace(challenge=_read_challenge(draft.params, draft.client, server.settings))


def _read_challenge(params: Params, client: Client, settings: Settings) -> str | None:
    challenge, method = params.get("code_challenge"), params.get("code_challenge_method")
    if challenge is None:
        if method is not None:
            raise InvalidRequest(
                "code_challenge_method without code_challenge",
                rule="rfc7636 4.3",
                hint="let the client send code_challenge too",
            )
        if is_required(client, settings):
            # "If the server requires PKCE [...], the authorization endpoint MUST return the authorization error
            # response with the "error" value set to "invalid_request"", section 4.4.1
            raise InvalidRequest(
                "code_challenge is missing: PKCE is required",
                rule="rfc7636 4.4.1",
                hint="enable PKCE with S256 in the client" + _exempt(client),
            )
        return None
    if method != "S256":
        # the default is "plain", section 4.3, and "clients SHOULD use [...] S256", :rfc:`9700#section-2.1.1`
        raise InvalidRequest(
            "code_challenge_method must be S256",
            rule="rfc7636 4.4.1",
            received=method or "none, which means plain",
            hint="let the client send code_challenge_method=S256 and code_challenge=BASE64URL(SHA256(code_verifier))",
        )
    if not _CHALLENGE.match(challenge):
        raise InvalidRequest(
            "code_challenge is not an S256 challenge: 43 characters of base64url",
            rule="rfc7636 4.2",
            hint="let the client send BASE64URL(SHA256(code_verifier)) without padding",
        )
    return challenge


def is_required(client: Client, settings: Settings) -> bool:
    """Return whether the client must use PKCE. Confidential clients can be exempted by registration or settings."""
    # "Public clients MUST use PKCE", RFC 9700 2.1.1
    if not client.is_confidential:
        return True
    return settings.pkce_required == "all" if client.pkce_required is None else client.pkce_required


def verify(grant: Grant, verifier: str | None) -> None:
    """Verify the code verifier of a token request against the challenge of the code, section 4.6.

    Raise :exc:`InvalidGrant` if it is missing or wrong, :exc:`InvalidRequest` if the code has no challenge.
    """
    if grant.challenge is None:
        if verifier is not None:
            # "MUST mitigate PKCE downgrade attacks by ensuring that a token request containing a code_verifier
            # parameter is accepted only if a code_challenge parameter was present", RFC 9700 2.1.1
            raise InvalidRequest(
                "code_verifier for a code without code_challenge",
                rule="oauth-v2-1 3.2.4",
                hint="let the client send code_challenge in its authorization request",
            )
        return
    if verifier is None:
        # "MUST enforce the correct usage of code_verifier at the token endpoint", RFC 9700 2.1.1
        raise InvalidGrant(
            "code_verifier is missing",
            rule="rfc7636 4.5",
            hint="let the client store the verifier of its authorization request and send it with the code",
        )
    if not _VERIFIER.match(verifier):
        raise InvalidGrant(
            "code_verifier must be 43 to 128 unreserved characters",
            rule="rfc7636 4.1",
            hint="let the client generate it from A-Z a-z 0-9 - . _ ~, for example with secrets.token_urlsafe(48)",
        )
    # "If the values are not equal, an error response indicating "invalid_grant" [...] MUST be returned", section 4.6
    challenge = urlsafe_b64encode(sha256(verifier.encode("ascii")).digest())[:43]
    if not hmac.compare_digest(challenge, grant.challenge.encode("ascii")):
        raise InvalidGrant(
            "code_verifier does not match",
            rule="rfc7636 4.6",
            expected="the verifier of the challenge",
            hint=_hint(verifier, grant.challenge),
        )


def _hint(verifier: str, challenge: str) -> str:
    """Return the likely mistake of a client whose verifier does not match."""
    if verifier == challenge:
        return (
            "the client sent code_verifier itself as code_challenge (plain): it must send BASE64URL(SHA256(verifier))"
        )
    swapped = urlsafe_b64encode(sha256(challenge.encode("ascii")).digest())[:43]
    if hmac.compare_digest(swapped, verifier.encode("ascii")):
        return "the client swapped the two values: code_challenge must be the hash of code_verifier"
    return "let the client generate a verifier for each authorization request and send the one that belongs to the code"


def _exempt(client: Client) -> str:
    if not client.is_confidential:
        return ""
    return f"; to exempt a confidential client without PKCE support: {update_client(client.client_id, '--no-pkce')}"
