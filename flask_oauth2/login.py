"""Flask-Login, where the application uses it: what it knows in place of callbacks.

Each function raises :exc:`~flask_oauth2.errors.ConfigurationError`, with the cure, where Flask-Login is not set up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask

from .errors import ConfigurationError


def current_user() -> Any:
    """Who is signed in."""
    _login_manager("tell who is signed in: decorate a function with @provider.current_user")
    import flask_login

    return flask_login.current_user


def userloader() -> Callable[[str], Any]:
    """What finds a user by the id."""
    manager = _login_manager("find users by their id: decorate a function with @provider.userloader")
    loader: Callable[[str], Any] | None = manager._user_callback
    if loader is None:
        raise ConfigurationError("decorate a function with @provider.userloader, or with Flask-Login's user_loader")
    return loader


def login_view() -> str:
    """The endpoint or URL of the login page."""
    manager = _login_manager("send users to a login page: set OAUTH2_LOGIN_VIEW to its endpoint")
    if manager.login_view is None:
        raise ConfigurationError(
            "set OAUTH2_LOGIN_VIEW, or Flask-Login's login_view, to the endpoint of the login page"
        )
    return str(manager.login_view)


def _login_manager(purpose: str) -> Any:
    manager = getattr(flask.current_app, "login_manager", None)
    if manager is None:
        raise ConfigurationError(f"flask_oauth2 cannot {purpose} (or install and set up Flask-Login)")
    return manager
