"""What pages and routes need of the provider."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ..records import User
from ..resource.server_verifier import ServerVerifier
from ..server import AuthorizationServer


class Site(Protocol):
    """The application as its users see it: :class:`~flask_oauth2.OAuth2Provider`."""

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
        """The application's own consent page."""
        ...

    @property
    def has_users(self) -> bool:
        """Whether it is known which user is signed in."""
        ...

    @property
    def has_login_view(self) -> bool:
        """Whether it is known where users sign in."""
        ...

    def get_current_user(self) -> User | None:
        """Return the user who is signed in."""
        ...

    def login_url(self, back: str) -> str:
        """Return the URL of the login page, which sends the user back to the path ``back``."""
        ...
