"""The server of another site: a confidential client, :rfc:`6749#section-2.1`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .base import ALL_PATHS, Stop, stop_at
from .exchange import Exchange
from .registered import RegisteredClient

_CLIENT_CREDENTIALS = "client_credentials"
_NO_USERS = "no user is redirected, because OAUTH2_GRANT_TYPES does not contain authorization_code"


class WebServer(RegisteredClient):
    """A web server with a secret, which also uses client_credentials, introspection and revocation."""

    description = "the server of another site"
    is_public = False

    def needed_endpoints(self, metadata: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the endpoints that the server needs. With client_credentials it needs no authorization endpoint."""
        if not metadata.get("authorization_endpoint") and _CLIENT_CREDENTIALS in metadata.get(
            "grant_types_supported", ()
        ):
            return ("token_endpoint",)
        return super().needed_endpoints(metadata)

    def sign_in(self) -> str:
        """Open the authorization endpoint in a signed-out browser."""
        return super().sign_in() if self.uses_browser else _NO_USERS

    def allow(self) -> str:
        """Let the user grant access and redeem the code, or request a token with client_credentials."""
        return super().allow() if self.uses_browser else self._request_own_token()

    def try_wrong_secret(self) -> str:
        """Check that a wrong secret is rejected with 401 and a challenge, :rfc:`6749#section-5.2`."""
        good = self.identity
        self.identity = replace(good, secret="not the secret of this client")
        answer = self.request_token(grant_type="refresh_token", refresh_token="none")
        self.identity = good
        if answer.status != 401 or "Basic" not in answer.headers.get("WWW-Authenticate", ""):
            raise stop_at(
                answer,
                f"the token endpoint responds to a wrong secret with {answer.status} instead of 401 and a Basic "
                "challenge",
                "rfc6749 5.2",
                ALL_PATHS,
            )
        return "401 and a challenge"

    def refresh_token(self) -> str:
        """Refresh the token without the user."""
        return super().refresh_token() if self.uses_browser else _NO_USERS

    def use_client_credentials(self) -> str:
        """Request a token without a user, :rfc:`6749#section-4.4`."""
        if _CLIENT_CREDENTIALS not in self.metadata.get("grant_types_supported", ()):
            return "clients cannot use client_credentials: OAUTH2_GRANT_TYPES does not contain it"
        held, self.tokens = self.tokens, type(self.tokens)()
        learned = self._request_own_token()
        if self.view is not None and (answer := self.get_view(self.tokens.access_token)).status >= 400:
            self.add_note(
                f"{answer.path} responds with {answer.status} to a client_credentials token, for which "
                f"current_token has no user{': ' + answer.raised if answer.raised else ''}"
            )
        self.tokens = held
        return learned

    def _request_own_token(self) -> str:
        form = {"grant_type": _CLIENT_CREDENTIALS, "scope": self.scope, "resource": self.resource or ""}
        return self.save_tokens(self.request_token(**{name: value for name, value in form.items() if value}))

    def introspect(self) -> str:
        """Introspect the token, :rfc:`7662`."""
        answer = self._introspect(self.tokens.access_token)
        if answer.status != 200 or answer.json.get("active") is not True:
            raise stop_at(
                answer,
                f"introspection responds with {answer.status} {answer.text[:60]} to a valid token",
                "rfc7662 2.2",
                ALL_PATHS,
            )
        return f"the token of {answer.json.get('sub') or 'the client itself'} is active"

    def revoke_token(self) -> str:
        """Revoke the token. Check that introspection reports it as inactive."""
        learned = super().revoke_token()
        answer = self._introspect(self.tokens.access_token)
        if answer.json.get("active") is not False:
            raise stop_at(answer, "introspection reports the revoked token as active", "rfc7662 2.2", ALL_PATHS)
        return learned

    def _introspect(self, token: str) -> Exchange:
        endpoint = self.metadata.get("introspection_endpoint")
        if not endpoint:
            raise Stop(
                "the metadata has no introspection_endpoint",
                "rfc8414 2",
                "do not change introspection_endpoint of the metadata",
            )
        return self.http("POST", endpoint, form={"token": token}, headers=self.identity.headers)

    steps = (
        ("Read the metadata", RegisteredClient.read_metadata),
        ("Request a token with a wrong secret", try_wrong_secret),
        ("Call a view without a valid token", RegisteredClient.call_view_without),
        ("Redirect a signed-out user", sign_in),
        ("Authorize, and redeem the code", allow),
        ("Call a view", RegisteredClient.call_view),
        ("Refresh the token", refresh_token),
        ("Request a token with client_credentials", use_client_credentials),
        ("Introspect the token", introspect),
        ("Revoke the token", revoke_token),
    )
