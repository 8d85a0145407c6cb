"""The authorization code grant, :rfc:`6749#section-4.1`, with PKCE."""

from __future__ import annotations

from collections.abc import Mapping

from .. import values
from ..checks import pkce, redirect_uri
from ..errors import InvalidGrant
from ..records import Grant
from ..server import AuthorizationServer
from ..tokens.base import TokenGrant, TokenRequest
from ..tokens.read import explain_missing
from .base import Approval


class Code:
    """The response type ``code``, section 4.1.2."""

    name = "code"
    grant_type = "authorization_code"
    mode = "query"

    def respond(
        self, server: AuthorizationServer, approval: Approval, answer: Mapping[str, str]
    ) -> tuple[Mapping[str, str], tuple[Grant, ...]]:
        """Return a code that is bound to the client, the redirect URI, the PKCE challenge and ``dpop_jkt``."""
        request = approval.request
        value, key = generate_code(server, approval.answer_id, approval.now)
        # "The authorization code MUST expire shortly after it is issued", section 4.1.2
        expires_at = int(approval.now) + server.settings.authorization_code_lifetime
        grant = Grant(
            key=key,
            kind="code",
            authorization=approval.authorization,
            redirect_uri=request.params.get("redirect_uri"),
            challenge=request.challenge,
            expires_at=expires_at,
            confirmation=request.confirmation,
        )
        return {"code": value}, (grant,)


def generate_code(server: AuthorizationServer, answer_id: str | None, now: float) -> tuple[str, bytes]:
    """Return a code and its key. Without a form, the code is random.

    If a user double-clicks a button, the browser submits the form twice. The code is derived from the random ID of the
    form and ``SECRET_KEY``, so that both requests receive the same code and the store needs no further row.
    """
    prefix = server.settings.token_prefixes["code"]
    if answer_id is None:
        return values.generate(prefix, values.timestamp(now))
    timestamp = values.from_text(answer_id)[:6]
    return values.generate(prefix, timestamp, values.derive_key(server.settings.secret_keys[-1], "code", answer_id))


class AuthorizationCode:
    """The grant type ``authorization_code``: the client redeems a code once, section 4.1.3."""

    name = "authorization_code"

    def authorize(self, request: TokenRequest) -> TokenGrant:
        """Return the grant of the code, which :mod:`flask_oauth2.tokens.issue` consumes.

        Raise :exc:`InvalidGrant` if the code is not valid for this client, redirect URI and code verifier.
        """
        server = request.server
        code = request.form.require("code")
        key = values.find_key(code, server.settings.token_prefixes["code"])
        grant = None if key is None else server.store.get_grant(key, "code")
        if grant is None or grant.authorization is None:
            received, hint = explain_missing(server, code, "code")
            raise InvalidGrant("the code is unknown or revoked", rule="rfc6749 4.1.3", received=received, hint=hint)
        # "ensure that the authorization code was issued to the authenticated confidential client, or [...] to
        # "client_id" in the request", section 4.1.3
        if grant.authorization.client_id != request.client.client_id:
            raise InvalidGrant(
                "the code was issued to another client",
                rule="rfc6749 4.1.3",
                received=f"a code of client {grant.authorization.client_id}",
                hint="let the client redeem the code with the client_id of its authorization request",
            )
        # "If an authorization code is used more than once, the authorization server MUST deny the request", section
        # 4.1.2: issue() rejects a used code, even an expired one, and revokes the authorization
        if grant.used_at is None and grant.is_expired(request.now):
            server.store.issue(grant, [], int(request.now))  # the code stays expired if the clock is set back
            raise InvalidGrant(
                "the code has expired",
                rule="rfc6749 4.1.2",
                hint="let the client redeem the code immediately, or increase OAUTH2_AUTHORIZATION_CODE_LIFETIME",
            )
        form = request.form.values
        redirect_uri.verify(grant, form.get("redirect_uri"))
        pkce.verify(grant, form.get("code_verifier"))
        return TokenGrant(grant.authorization, spend=grant, refresh=True, confirmation=grant.confirmation)
