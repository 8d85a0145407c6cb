"""Registered clients: they have a client ID, and call a guarded view."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from werkzeug.exceptions import HTTPException

from ... import addresses
from ...clients import rules
from ...clients.secrets import generate_secret
from ...errors import ConfigurationError
from ...records import Client
from ...resource.guard import Guard, find_guards
from ...scopes import Scope, parse_option
from ...web.prefix import fill
from .base import stop_at
from .exchange import Exchange
from .flow import Flow, Identity, bearer


@dataclass(frozen=True, slots=True)
class View:
    """A guarded view that accepts GET."""

    path: str
    scope: Scope


class RegisteredClient(Flow):
    """A client that the simulation registers in its own store, with the scope of the application."""

    redirect_uri = "https://client.example/callback"
    """The redirect URI that the client uses."""

    registered_uri = redirect_uri
    """The registered redirect URI."""

    application_type = "web"
    is_public = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.view = self._find_view()
        settings, described = self.server.settings, addresses.find_resources(self.server, self.sandbox.mount)
        resource = described.at(self.view.path) if self.view else next(iter(described), None)
        self.resource = resource.identifier if resource else None
        if self.requested_scope is not None:
            scope = parse_option(self.requested_scope)
        elif self.view and self.view.scope:
            scope = self.view.scope
        elif resource:
            scope = resource.all_scopes
        else:
            scope = () if len(described) else tuple(settings.scopes)
        self.scope = " ".join(scope)
        clock = self.server.clock
        secret, stored = (None, None) if self.is_public else generate_secret(self.server, clock())
        self.identity = Identity("simulated", self.redirect_uri, secret)
        grant_types = tuple(
            name
            for name in self.server.capabilities.grant_types
            if not (self.is_public and name == "client_credentials")
        )
        self.client = Client(
            client_id=self.identity.client_id,
            name="Simulated client",
            secret=stored,
            auth_method="none" if self.is_public else "client_secret_basic",
            application_type=self.application_type,
            redirect_uris=(self.registered_uri,),
            grant_types=grant_types,
            response_types=rules.default_response_types(grant_types, self.server),
            scope=tuple(dict.fromkeys((*settings.scopes, *scope))),
            created_at=int(clock()),
        )
        self.sandbox.add_client(self.client)

    def read_metadata(self) -> str:
        """Read the authorization server metadata."""
        self.discover(self.server.issuer)
        requested = f"requests {self.scope}" if self.scope else "requests no scope"
        return f"the endpoints of {self.server.issuer}; the client {requested}"

    def sign_in(self) -> str:
        """Open the authorization endpoint in a signed-out browser."""
        return self.visit_signed_out()

    def allow(self) -> str:
        """Let the user grant access and redeem the code."""
        return self.obtain_tokens()

    def call_view(self) -> str:
        """Call the guarded view with the token."""
        if self.view is None:
            return "no guarded view accepts a GET request without arguments: pass --path"
        answer = self.get_view(self.tokens.access_token)
        if answer.status in (401, 403):
            raise stop_at(
                answer,
                f"{answer.path} rejects the token that was issued for it",
                "rfc6750 3.1",
                "guard the view with @provider.require_oauth only, and check what else rejects the request",
            )
        if self.is_expected_failure(answer):
            return "the guard accepts the token, and the view fails"
        if answer.status >= 500:
            raise stop_at(
                answer,
                f"{answer.path} responds with {answer.status}",
                "rfc6750 2.1",
                "if the view looks up its user, pass --user with an existing user",
            )
        if answer.status >= 300:
            self.add_note(f"the view itself responds with {answer.status}")
        return f"{answer.path} accepts the token"

    def call_view_without(self) -> str:
        """Call the view without a token and with an invalid one."""
        if self.view is None:
            return "no view is guarded"
        for token in (None, "invalid-token"):
            answer = self.get_view(token)
            if answer.status != 401 or "WWW-Authenticate" not in answer.headers:
                raise stop_at(
                    answer,
                    f"{answer.path} responds with {answer.status} to a request without a valid token, instead of "
                    "401 and a challenge",
                    "rfc6750 3",
                    "guard the view with @provider.require_oauth, below its route",
                )
        return "401 and a challenge"

    def refresh_token(self) -> str:
        """Refresh the token without the user."""
        learned = self.refresh()
        if self.view is not None and self.get_view(self.tokens.access_token).status == 401:
            raise stop_at(
                self._exchanges[-1],
                "the view rejects the refreshed token",
                "rfc6749 6",
                "guard the view with @provider.require_oauth only, and check what else rejects the request",
            )
        return learned

    def get_view(self, token: str | None) -> Exchange:
        """Call the view, with the Origin header if the client is a page."""
        headers = bearer(token) if token else {}
        if self.origin:
            headers["Origin"] = self.origin
        return self.http("GET", self.url(self.view.path if self.view else "/"), headers=headers)

    def revoke_token(self) -> str:
        """Revoke the token. The view must reject it."""
        token = self.tokens.access_token
        self.revoke(token)
        if self.view is not None and self.get_view(token).status != 401:
            raise stop_at(
                self._exchanges[-1],
                f"the view responds to the revoked token with {self._exchanges[-1].status} instead of 401",
                "rfc7009 2.1",
                "guard the view with @provider.require_oauth",
            )
        return "the token is revoked"

    def _find_view(self) -> View | None:
        app, wanted = self.sandbox.app, self.requested_path
        if wanted is None:
            return next(self._views(), None)
        path = wanted.partition("?")[0]
        try:
            endpoint, _ = app.url_map.bind("localhost").match(path, "GET")
        except HTTPException as error:
            raise ConfigurationError(f"no view accepts GET at {path}: pass --path with another path") from error
        guards = next((guards for _, name, guards in find_guards(app) if name == endpoint), [])
        return View(wanted, self._required_scope(path, guards))

    def _views(self) -> Iterator[View]:
        """Yield the guarded views that a GET request without arguments reaches."""
        described = addresses.find_resources(self.server, self.sandbox.mount)
        for rule, (path, endpoint, guards) in zip(
            self.sandbox.app.url_map.iter_rules(), find_guards(self.sandbox.app), strict=True
        ):
            path = fill(path, self.sandbox.arguments)
            resource = described.at(path)
            is_guarded = bool(guards) or (resource is not None and resource.path != "/")
            is_optional = any(guard.is_optional for guard in guards)
            has_variables = not rule.arguments <= self.sandbox.arguments.keys()
            if has_variables or "GET" not in (rule.methods or ()) or endpoint.startswith(("oauth2.", "mounted at ")):
                continue
            if is_guarded and not is_optional:
                yield View(path, self._required_scope(path, guards))

    def _required_scope(self, path: str, guards: list[Guard]) -> Scope:
        """Return the scope that a request of the view requires."""
        resource = addresses.find_resources(self.server, self.sandbox.mount).at(path)
        scopes = list(resource.scopes) if resource else []
        scopes += [value for guard in guards for alternative in guard.required[:1] for value in alternative]
        return tuple(dict.fromkeys(scopes))
