"""``current_token``: the access token that the guard of a view has accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

import flask
from werkzeug.local import LocalProxy

from .. import scopes, web
from ..errors import ConfigurationError, OAuth2Error
from ..http.messages import Request
from ..records import AccessToken, Claims
from ..scopes import Scope
from .authentication import parse_authentication, verify_authentication
from .verify import Alternatives, TokenVerifier, Verified, verify_scope


def _find_nothing(_: AccessToken) -> Any:
    raise ConfigurationError(
        "current_token has no user, client and access_token here, because the application is no provider: look the "
        "user up by current_token.user_id"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Owners:
    """Loads the client and the user of a token. Each function receives the token."""

    find_user: Callable[[AccessToken], Any] = _find_nothing
    find_client: Callable[[AccessToken], Any] = _find_nothing
    find_own_token: Callable[[AccessToken], Any] = _find_nothing
    """The application's own token."""


class CurrentToken:
    """The access token of the current request."""

    def __init__(self, verified: Verified, verifier: TokenVerifier, request: Request, owners: Owners) -> None:
        self._verified = verified
        self._access = verified.access
        self._verifier = verifier
        self._request = request
        self._owners = owners

    @property
    def client_id(self) -> str:
        """The ID of the client that holds the token."""
        return self._access.client_id

    @property
    def user_id(self) -> str | None:
        """The ID of the user who authorized the client; None if the client acts for itself."""
        return self._access.user_id

    @property
    def scope(self) -> Scope:
        """The scope values of the token."""
        return self._access.scope

    @property
    def expires_at(self) -> int:
        """When the token expires, in seconds since the epoch, UTC."""
        return self._access.expires_at

    @property
    def claims(self) -> Claims:
        """A copy of the facts that the grant saved with the authorization."""
        return deepcopy(dict(self._access.context.claims))

    @property
    def scopes(self) -> list[str]:
        """The scope values as a list."""
        return list(self._access.scope)

    @property
    def audience(self) -> tuple[str, ...]:
        """The protected resources that may accept the token; empty if it is for none in particular."""
        return self._access.audience

    @property
    def authorization_details(self) -> list[dict[str, Any]]:
        """A copy of the authorization details of the token, :rfc:`9396`: permissions that a scope cannot express."""
        return deepcopy(list(self._access.context.details))

    @property
    def auth_time(self) -> int | None:
        """When the user signed in, in seconds since the epoch, UTC. None if that is unknown."""
        return self._access.context.auth_time

    @property
    def acr(self) -> str | None:
        """The authentication context class with which the user signed in, such as ``urn:example:two-factor``."""
        return self._access.context.acr

    def require(
        self,
        scope: str | Iterable[str] | None = None,
        *,
        acr: str | Iterable[str] | None = None,
        max_age: int | None = None,
    ) -> None:
        """End the request with a challenge unless the token has all values of a scope (403) and its user was
        authenticated as required (401), see :meth:`~flask_oauth2.OAuth2Provider.require_oauth`.

        For views whose requirement depends on the request, such as on the tool that it calls.
        """
        required, authentication = parse_requirement(scope, None), parse_authentication(acr, max_age)
        try:
            if authentication is not None:
                verify_authentication(self._verified, authentication)
            verify_scope(self._access, required)
        except OAuth2Error as error:
            flask.abort(web.write(self._verifier.refuse(error, self._request, [required])))

    @property
    def access_token(self) -> Any:
        """The application's own token, as its ``tokengetter`` returns it; None without one."""
        return self._owners.find_own_token(self._access)

    @property
    def client(self) -> Any:
        """The client, which is looked up at each use: that of the ``clientgetter``, or a :class:`.records.Client`."""
        return self._owners.find_client(self._access)

    @property
    def user(self) -> Any:
        """The user, as the application's ``userloader`` returns it; None if the client acts for itself.

        Without a ``userloader``, the ``user`` of the application's own token, or else Flask-Login's.
        """
        return None if self._access.user_id is None else self._owners.find_user(self._access)


def _find_current() -> CurrentToken | None:
    try:
        token: CurrentToken | None = web.current_request().environ[web.TOKEN][1]
    except KeyError:
        raise RuntimeError("there is no current_token: guard the view with @provider.require_oauth()") from None
    return token


class _Current(LocalProxy[Any]):
    """The access token of the current request. Attributes are read from it directly, because views read many."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            token = web.current_request().environ[web.TOKEN][1]
        except KeyError:
            token = _find_current()  # says what is missing
        return getattr(token, name)


current_token: CurrentToken = cast(CurrentToken, _Current(_find_current))
"""The token that the guard accepted; it is false if the guard is optional and the request has none."""


def parse_requirement(scope: str | Iterable[str] | None, any_of: Iterable[str] | None) -> Alternatives:
    """Return what a guard requires, from its arguments.

    Raises :exc:`TypeError` for both arguments at once, :exc:`ValueError` for an empty one: it would accept any token.
    """
    if isinstance(any_of, str):
        raise TypeError(f"any_of takes a list of alternatives, such as {any_of.split()}")
    if any_of is None:
        if scope is None:
            return ()
        alternatives = [scopes.parse_option(scope)]
    elif scope is None:
        alternatives = [scopes.parse_option(values) for values in any_of]
    else:
        raise TypeError("require_oauth takes scopes that are all demanded, or any_of=, not both")
    if not alternatives or not all(alternatives):
        raise ValueError("require_oauth was given an empty scope: leave it out to accept any token")
    return tuple(alternatives)
