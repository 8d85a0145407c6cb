"""What the clients have in common that somebody has registered: they come with an id, and call a view with a guard."""

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
from .base import stop_at
from .exchange import Exchange
from .flow import Flow, Identity, bearer


@dataclass(frozen=True, slots=True)
class View:
    """A view with a guard, which answers GET."""

    path: str
    scope: Scope


class RegisteredClient(Flow):
    """A client that the simulation files in its own store, with the scope of the application."""

    redirect_uri = "https://client.example/callback"
    """Where it is sent back to."""

    registered_uri = redirect_uri
    """What is registered for that."""

    application_type = "web"
    is_public = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.view = self._find_view()
        settings, described = self.server.settings, addresses.find_resources(self.server, self.sandbox.mount)
        resource = described.at(self.view.path) if self.view else next(iter(described), None)
        self.resource = resource.identifier if resource else None
        if self.wanted_scope is not None:
            scope = parse_option(self.wanted_scope)
        elif self.view and self.view.scope:
            scope = self.view.scope
        elif resource:
            scope = resource.words
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
        """Where the endpoints are."""
        self.discover(self.server.issuer)
        asked = f"asks for {self.scope}" if self.scope else "asks for no scope"
        return f"the endpoints of {self.server.issuer}; the client {asked}"

    def sign_in(self) -> str:
        """The browser of somebody who is not signed in."""
        return self.look_signed_out()

    def allow(self) -> str:
        """The person allows, and the client redeems the code."""
        return self.redeem_and_keep()

    def call_view(self) -> str:
        """A view with a guard, with the token."""
        if self.view is None:
            return "no view has a guard that a GET without arguments could try: name one by --path"
        answer = self.get_view(self.held.access_token)
        if answer.status in (401, 403):
            raise stop_at(
                answer,
                f"{answer.path} refuses the token that was issued for it",
                "rfc6750 3.1",
                "guard the view by @provider.require_oauth alone, and see what else refuses the request",
            )
        if self.excuse(answer):
            return "the token is taken, and the view fails"
        if answer.status >= 500:
            raise stop_at(
                answer,
                f"{answer.path} answers {answer.status}",
                "rfc6750 2.1",
                "a view that looks its user up needs one that exists: name one by --user",
            )
        if answer.status >= 300:
            self.note(f"the view itself answers {answer.status}")
        return f"{answer.path} takes the token"

    def call_view_without(self) -> str:
        """The same view without a token, and with one that is none."""
        if self.view is None:
            return "no view has a guard"
        for token in (None, "no-token-of-ours"):
            answer = self.get_view(token)
            if answer.status != 401 or "WWW-Authenticate" not in answer.headers:
                raise stop_at(
                    answer,
                    f"{answer.path} answers {answer.status} to who has no good token, and owes 401 and a challenge",
                    "rfc6750 3",
                    "guard the view by @provider.require_oauth, below its route",
                )
        return "401 and a challenge"

    def refresh_token(self) -> str:
        """A new token without asking the person."""
        said = self.refresh()
        if self.view is not None and self.get_view(self.held.access_token).status == 401:
            raise stop_at(
                self._exchanges[-1],
                "the refreshed token is refused",
                "rfc6749 6",
                "guard the view by @provider.require_oauth alone, and see what else refuses the request",
            )
        return said

    def get_view(self, token: str | None) -> Exchange:
        """GET, from a page where the client is one."""
        headers = bearer(token) if token else {}
        if self.origin:
            headers["Origin"] = self.origin
        return self.program("GET", self.url(self.view.path if self.view else "/"), headers=headers)

    def give_up(self) -> str:
        """A token that was revoked is as good as none."""
        token = self.held.access_token
        self.revoke(token)
        if self.view is not None and self.get_view(token).status != 401:
            raise stop_at(
                self._exchanges[-1],
                f"the revoked token is answered {self._exchanges[-1].status}, not 401",
                "rfc7009 2.1",
                "guard the view by @provider.require_oauth",
            )
        return "the token has ended"

    def _find_view(self) -> View | None:
        app, wanted = self.sandbox.app, self.wanted_path
        if wanted is None:
            return next(self._views(), None)
        path = wanted.partition("?")[0]
        try:
            endpoint, _ = app.url_map.bind("localhost").match(path, "GET")
        except HTTPException as error:
            raise ConfigurationError(f"no view answers GET at {path}: name another path by --path") from error
        guards = next((guards for _, name, guards in find_guards(app) if name == endpoint), [])
        return View(wanted, self._demanded(path, guards))

    def _views(self) -> Iterator[View]:
        """Those that a GET without arguments reaches and that need a token."""
        described = addresses.find_resources(self.server, self.sandbox.mount)
        for rule, (path, endpoint, guards) in zip(
            self.sandbox.app.url_map.iter_rules(), find_guards(self.sandbox.app), strict=True
        ):
            resource = described.at(path)
            is_guarded = bool(guards) or (resource is not None and resource.path != "/")
            is_optional = any(guard.is_optional for guard in guards)
            if rule.arguments or "GET" not in (rule.methods or ()) or endpoint.startswith(("oauth2.", "mounted at ")):
                continue
            if is_guarded and not is_optional:
                yield View(path, self._demanded(path, guards))

    def _demanded(self, path: str, guards: list[Guard]) -> Scope:
        """All the words that a request of the view needs."""
        resource = addresses.find_resources(self.server, self.sandbox.mount).at(path)
        words = list(resource.scopes) if resource else []
        words += [word for guard in guards for way in guard.required[:1] for word in way]
        return tuple(dict.fromkeys(words))
