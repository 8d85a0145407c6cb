"""Flask-Login, where the application uses it: what it knows in place of callbacks.

What cannot do without it raises :exc:`~flask_oauth2.errors.ConfigurationError`, with the cure.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import flask

from .errors import ConfigurationError


def is_set_up() -> bool:
    """Whether the application uses Flask-Login."""
    return getattr(flask.current_app, "login_manager", None) is not None


def current_user() -> Any:
    """Who is signed in."""
    _login_manager("tell who is signed in: decorate a function with @provider.current_user")
    import flask_login

    return flask_login.current_user


AUTH_TIME = "_flask_oauth2_auth_time"
"""Where the session keeps when somebody signed in by Flask-Login."""


def auth_time() -> int | None:
    """When who is signed in by Flask-Login did so: zero where it is only remembered. None without Flask-Login."""
    if not flask.has_request_context() or not is_set_up():
        return None
    return int(flask.session.get(AUTH_TIME, 0)) if flask.session.get("_fresh") else 0


def note_auth_times(app: flask.Flask, clock: Callable[[], float]) -> None:
    """Note in the session when somebody signs in by Flask-Login, where that is installed."""
    if find_spec("flask_login"):
        from flask_login import user_logged_in, user_login_confirmed

        def note(sender: object, **_: object) -> None:
            flask.session[AUTH_TIME] = int(clock())

        app.extensions[AUTH_TIME] = note  # kept there: a signal outlives the application
        for signal in (user_logged_in, user_login_confirmed):
            signal.connect(note, app)


def userloader() -> Callable[[str], Any]:
    """What finds a user by the id."""
    manager = _login_manager("find users by their id: decorate a function with @provider.userloader")
    loader: Callable[[str], Any] | None = manager._user_callback
    if loader is None:
        raise ConfigurationError("decorate a function with @provider.userloader, or with Flask-Login's user_loader")
    return loader


def login_view() -> str | None:
    """The endpoint or URL of the login page; None where Flask-Login knows none."""
    view: str | None = getattr(getattr(flask.current_app, "login_manager", None), "login_view", None)
    return view


def _login_manager(purpose: str) -> Any:
    manager = getattr(flask.current_app, "login_manager", None)
    if manager is None:
        raise ConfigurationError(f"flask_oauth2 cannot {purpose} (or install and set up Flask-Login)")
    return manager
