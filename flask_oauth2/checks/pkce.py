"""Proof Key for Code Exchange, :rfc:`7636`. S256 is the one method: ``plain`` would protect nothing."""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from hashlib import sha256

from ..errors import InvalidGrant, InvalidRequest, update_client
from ..messages import Params
from ..records import Client, Grant
from ..settings import Settings

METHODS = ("S256",)

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_VERIFIER = re.compile(r"[A-Za-z0-9\-._~]{43,128}\Z")


def read_challenge(params: Params, client: Client, settings: Settings) -> str | None:
    """The challenge of an authorization request, section 4.3. Raises :exc:`InvalidRequest`, section 4.4.1."""
    challenge, method = params.get("code_challenge"), params.get("code_challenge_method")
    if challenge is None:
        if method is not None:
            raise InvalidRequest(
                "code_challenge_method without code_challenge",
                rule="rfc7636 4.3",
                cure="let the client send code_challenge as well",
            )
        if is_required(client, settings):
            raise InvalidRequest(
                "code_challenge is missing: PKCE is required",
                rule="rfc7636 4.4.1",
                cure="switch PKCE with S256 on in the client" + _let_off(client),
            )
        return None
    if method != "S256":
        raise InvalidRequest(
            "code_challenge_method must be S256",
            rule="rfc7636 4.4.1",
            came=method or "none, which means plain",
            cure="let the client send code_challenge_method=S256 and code_challenge=BASE64URL(SHA256(code_verifier))",
        )
    if not _CHALLENGE.match(challenge):
        raise InvalidRequest(
            "code_challenge is no S256 challenge: 43 characters of base64url",
            rule="rfc7636 4.2",
            cure="let the client send BASE64URL(SHA256(code_verifier)) without padding",
        )
    return challenge


def is_required(client: Client, settings: Settings) -> bool:
    """Public clients always; others as they or the settings say, :rfc:`9700#section-2.1.1`."""
    if not client.is_confidential:
        return True
    return settings.pkce_required == "all" if client.pkce_required is None else client.pkce_required


def verify(grant: Grant, verifier: str | None) -> None:
    """Section 4.6: what was hashed before must be shown now. Raises :exc:`InvalidGrant`."""
    if grant.challenge is None:
        if verifier is not None:
            # a downgrade: :rfc:`9700#section-4.8.2`
            raise InvalidRequest(
                "code_verifier for a code without code_challenge",
                rule="oauth-v2-1 3.2.4",
                cure="let the client send code_challenge in its authorization request",
            )
        return
    if verifier is None:
        raise InvalidGrant(
            "code_verifier is missing",
            rule="rfc7636 4.5",
            cure="let the client keep the verifier of its authorization request and send it with the code",
        )
    if not _VERIFIER.match(verifier):
        raise InvalidGrant(
            "code_verifier must be 43 to 128 unreserved characters",
            rule="rfc7636 4.1",
            cure="let the client draw the verifier from A-Z a-z 0-9 - . _ ~, as secrets.token_urlsafe(48) does",
        )
    challenge = urlsafe_b64encode(sha256(verifier.encode("ascii")).digest())[:43]  # S256, section 4.2
    if not hmac.compare_digest(challenge, grant.challenge.encode("ascii")):
        raise InvalidGrant(
            "code_verifier does not match",
            rule="rfc7636 4.6",
            expected="the verifier of the challenge",
            cure=_cure(verifier, grant.challenge),
        )


def _cure(verifier: str, challenge: str) -> str:
    """What a client did that sends a verifier which is not that of its challenge."""
    if verifier == challenge:
        return (
            "the client sent code_verifier itself as code_challenge (plain): it must send BASE64URL(SHA256(verifier))"
        )
    swapped = urlsafe_b64encode(sha256(challenge.encode("ascii")).digest())[:43]
    if hmac.compare_digest(swapped, verifier.encode("ascii")):
        return "the client swapped the two: code_challenge is the hash, code_verifier what was hashed"
    return "let the client keep one verifier for each request, and send that of the request that the code came from"


def _let_off(client: Client) -> str:
    if not client.is_confidential:
        return ""
    return f"; one that cannot and has a secret may be let off: {update_client(client.client_id, '--no-pkce')}"
