"""The authorization code grant, :rfc:`6749#section-4.1`, with PKCE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .. import uris, values
from ..checks import pkce
from ..errors import InvalidGrant
from ..records import CLOCKS_DIFFER, Grant
from ..tokens.read import explain_missing
from .base import Approval, TokenGrant, TokenRequest

if TYPE_CHECKING:
    from ..server import AuthorizationServer


class Code:
    """The first half: an answer with a code, section 4.1.2."""

    name = "code"
    grant_type = "authorization_code"
    mode = "query"

    def respond(
        self, server: AuthorizationServer, approval: Approval, answer: Mapping[str, str]
    ) -> tuple[Mapping[str, str], tuple[Grant, ...]]:
        """A code, bound to the client, the redirect URI and the challenge."""
        settings = server.settings
        value, key = mint_code(server, approval.answer_id, approval.now)
        grant = Grant(
            key=key,
            kind="code",
            authorization=approval.authorization,
            redirect_uri=approval.params.get("redirect_uri"),
            challenge=approval.challenge,
            expires_at=int(approval.now) + settings.code_lifetime,
        )
        return {"code": value}, (grant,)


def mint_code(server: AuthorizationServer, answer_id: str | None, now: float) -> tuple[str, bytes]:
    """Return a code and its key: always the same for the same answer of the user, random if no form was sent.

    Browsers send a form twice if its button is pressed twice. The code is derived from the random ID of the form with
    ``SECRET_KEY``, so that both requests get one code without anything stored for it.
    """
    prefix = server.settings.prefixes["code"]
    if answer_id is None:
        return values.mint(prefix, values.stamp(now))
    stamp = values.from_text(answer_id)[:6]
    return values.mint(prefix, stamp, values.derive(server.settings.secret_keys[-1], "code", answer_id))


class AuthorizationCode:
    """The second half: a code is turned into what it stands for, once, section 4.1.3."""

    name = "authorization_code"

    def authorize(self, request: TokenRequest) -> TokenGrant:
        """Binding first; nothing is spent here."""
        server = request.server
        code = request.form.require("code")
        key = values.find_key(code, server.settings.prefixes["code"])
        grant = None if key is None else server.store.get_grant(key, "code")
        if grant is None or grant.authorization is None:
            came, cure = explain_missing(server, code, "code")
            raise InvalidGrant("the code is unknown or revoked", rule="rfc6749 4.1.3", came=came, cure=cure)
        if grant.authorization.client_id != request.client.client_id:
            raise InvalidGrant(
                "the code was issued to another client",
                rule="rfc6749 4.1.3",
                came=f"one of client {grant.authorization.client_id}",
                cure="let the client that sent the user redeem the code, with the same client_id",
            )
        # a spent code goes on, however old: its replay ends the family
        is_of_future = int.from_bytes(grant.key[:6], "big") > 1000 * (request.now + CLOCKS_DIFFER)
        if grant.used_at is None and (grant.expires_at <= request.now or is_of_future):  # see Grant.is_expired
            server.store.issue(grant, [], int(request.now))  # it stays expired if the clock is set back
            raise InvalidGrant(
                "the code has expired",
                rule="rfc6749 4.1.2",
                cure="let the client redeem the code at once; OAUTH2_CODE_LIFETIME sets the lifetime",
            )
        uris.verify_redirect(grant, request.form.get("redirect_uri"))
        pkce.verify(grant, request.form.get("code_verifier"))
        return TokenGrant(grant.authorization, spend=grant, refresh=True)
