"""The interface of the provider that pages and routes use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ..records import User
from ..resource.server_verifier import ServerVerifier
from ..server import AuthorizationServer


class Site(Protocol):
    """An application with pages for users. :class:`~flask_oauth2.OAuth2Provider` implements it."""

    @property
    def server(self) -> AuthorizationServer:
        """The authorization server of the current application."""
        ...

    @property
    def verifier(self) -> ServerVerifier:
        """The token verifier of the current application."""
        ...

    @property
    def consent_view(self) -> Callable[..., Any] | None:
        """The custom consent page of the application, or None."""
        ...

    @property
    def has_users(self) -> bool:
        """True if the provider can find the signed-in user."""
        ...

    @property
    def has_login_view(self) -> bool:
        """True if the provider knows the login page."""
        ...

    def get_current_user(self) -> User | None:
        """Return the signed-in user, or None."""
        ...

    def login_url(self, back: str) -> str:
        """Return the URL of the login page, which redirects back to the path ``back``."""
        ...
