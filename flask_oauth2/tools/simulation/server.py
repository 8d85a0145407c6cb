"""The server of another site, with a secret: a confidential client, :rfc:`6749#section-2.1`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .base import ALL_PATHS, Stop, stop_at
from .exchange import Exchange
from .registered import RegisteredClient

_ITSELF = "client_credentials"
_NO_PEOPLE = "no person is sent here: OAUTH2_GRANT_TYPES does not name authorization_code"


class WebServer(RegisteredClient):
    """The code with a secret, tokens of its own, introspection and revocation."""

    who = "the server of another site"
    is_public = False

    def needed_endpoints(self, metadata: Mapping[str, Any]) -> tuple[str, ...]:
        """A server may act for itself."""
        if not metadata.get("authorization_endpoint") and _ITSELF in metadata.get("grant_types_supported", ()):
            return ("token_endpoint",)
        return super().needed_endpoints(metadata)

    def sign_in(self) -> str:
        """The browser of somebody who is not signed in."""
        return super().sign_in() if self.sends_people else _NO_PEOPLE

    def allow(self) -> str:
        """The person allows, and the server redeems the code; or it asks for a token of its own."""
        return super().allow() if self.sends_people else self._ask_for_own()

    def try_wrong_secret(self) -> str:
        """401 and a challenge, :rfc:`6749#section-5.2`."""
        good = self.identity
        self.identity = replace(good, secret="not the secret of this client")
        answer = self.request_token(grant_type="refresh_token", refresh_token="none")
        self.identity = good
        if answer.status != 401 or "Basic" not in answer.headers.get("WWW-Authenticate", ""):
            raise stop_at(
                answer,
                f"a wrong secret is answered {answer.status}, where 401 and a challenge of Basic are due",
                "rfc6749 5.2",
                ALL_PATHS,
            )
        return "401 and a challenge"

    def refresh_token(self) -> str:
        """A new token without asking the person."""
        return super().refresh_token() if self.sends_people else _NO_PEOPLE

    def act_for_itself(self) -> str:
        """A token without a person, :rfc:`6749#section-4.4`."""
        if _ITSELF not in self.metadata.get("grant_types_supported", ()):
            return "clients cannot act for themselves: OAUTH2_GRANT_TYPES does not name client_credentials"
        held, self.held = self.held, type(self.held)()
        said = self._ask_for_own()
        if self.view is not None and (answer := self.get_view(self.held.access_token)).status >= 400:
            self.note(
                f"{answer.path} answers {answer.status} to a client that acts for itself, where current_token has no "
                f"user{': ' + answer.raised if answer.raised else ''}"
            )
        self.held = held
        return said

    def _ask_for_own(self) -> str:
        form = {"grant_type": _ITSELF, "scope": self.scope, "resource": self.resource or ""}
        return self.keep(self.request_token(**{name: value for name, value in form.items() if value}))

    def introspect(self) -> str:
        """What the token says, :rfc:`7662`."""
        answer = self._ask_about(self.held.access_token)
        if answer.status != 200 or answer.json.get("active") is not True:
            raise stop_at(
                answer,
                f"the token is good, and introspection answers {answer.status} {answer.text[:60]}",
                "rfc7662 2.2",
                ALL_PATHS,
            )
        return f"it is active, of {answer.json.get('sub') or 'the client itself'}"

    def give_up(self) -> str:
        """Afterwards introspection says so too."""
        said = super().give_up()
        answer = self._ask_about(self.held.access_token)
        if answer.json.get("active") is not False:
            raise stop_at(
                answer, "the token was revoked, and introspection says it is active", "rfc7662 2.2", ALL_PATHS
            )
        return said

    def _ask_about(self, token: str) -> Exchange:
        endpoint = self.metadata.get("introspection_endpoint")
        if not endpoint:
            raise Stop(
                "the metadata has no introspection_endpoint",
                "rfc8414 2",
                "leave introspection_endpoint of the metadata as the provider writes it",
            )
        return self.program("POST", endpoint, form={"token": token}, headers=self.identity.headers)

    steps = (
        ("Read the metadata", RegisteredClient.read_metadata),
        ("Ask for a token with a wrong secret", try_wrong_secret),
        ("Call a view without a good token", RegisteredClient.call_view_without),
        ("Send somebody who is not signed in", sign_in),
        ("Ask the person, and redeem the code", allow),
        ("Call a view", RegisteredClient.call_view),
        ("Refresh the token", refresh_token),
        ("Ask for a token of its own", act_for_itself),
        ("Introspect the token", introspect),
        ("Revoke the token", give_up),
    )
