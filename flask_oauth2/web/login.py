"""Flask-Login: the default for the callbacks that find users and the login page.

Functions that need Flask-Login raise :exc:`~flask_oauth2.errors.ConfigurationError` if the application does not use it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from io import BytesIO
from typing import Any, cast
from urllib.parse import unquote_to_bytes, urlsplit

import flask
from flask.ctx import RequestContext

from .. import web
from ..errors import ConfigurationError


def is_set_up() -> bool:
    """Return whether the application uses Flask-Login."""
    return getattr(flask.current_app, "login_manager", None) is not None


def current_user() -> Any:
    """Return Flask-Login's user, who may be anonymous. Raise :exc:`ConfigurationError` without Flask-Login."""
    _login_manager("find the signed-in user. Decorate a function with @provider.current_user")
    import flask_login

    return flask_login.current_user


AUTH_TIME = "_flask_oauth2_auth_time"
"""The session key for the time when the user signed in with Flask-Login."""


def auth_time() -> int | None:
    """Return the time when the user signed in with Flask-Login, in seconds since the epoch.

    It is 0 for a session that Flask-Login's remember cookie restored. Return None without Flask-Login.
    """
    if not flask.has_request_context() or not is_set_up():
        return None
    return int(flask.session.get(AUTH_TIME, 0)) if flask.session.get("_fresh") else 0


def record_auth_times(app: flask.Flask, clock: Callable[[], float]) -> None:
    """Save the time of each login with Flask-Login in the session, if Flask-Login is installed."""
    if find_spec("flask_login"):
        from flask_login import user_logged_in, user_login_confirmed

        def record(sender: object, **_: object) -> None:
            flask.session[AUTH_TIME] = int(clock())

        app.extensions[AUTH_TIME] = record  # signals have weak references to their receivers
        for signal in (user_logged_in, user_login_confirmed):
            signal.connect(record, app)


def userloader() -> Callable[[str], Any]:
    """Return Flask-Login's ``user_loader``. Raise :exc:`ConfigurationError` if there is none."""
    manager = _login_manager("find users by ID. Decorate a function with @provider.userloader")
    loader: Callable[[str], Any] | None = manager._user_callback
    if loader is None:
        raise ConfigurationError(
            "flask_oauth2 cannot find users by ID. Decorate a function with @provider.userloader or with Flask-Login's "
            "user_loader"
        )
    return loader


def login_view() -> str | None:
    """Return the endpoint or URL of Flask-Login's login page, or None.

    This is the ``login_view`` of the blueprint ``oauth2`` or of the application. If the application sets only login
    views of blueprints and all are the same, it is this one.
    """
    manager = getattr(flask.current_app, "login_manager", None)
    if manager is None:
        return None
    of_blueprints: dict[str, str] = manager.blueprint_login_views
    view: str | None = of_blueprints.get("oauth2") or manager.login_view
    views = set(of_blueprints.values())
    return views.pop() if view is None and len(views) == 1 else view


def remember_next(back: str) -> None:
    """Save the URL to return to in the session, as Flask-Login does with ``USE_SESSION_FOR_NEXT``."""
    if is_set_up() and flask.current_app.config.get("USE_SESSION_FOR_NEXT", False):
        manager: Any = flask.current_app.login_manager  # type: ignore[attr-defined]
        flask.session["_id"] = manager._session_identifier_generator()  # else session protection deletes next
        flask.session["next"] = back


def has_unauthorized_handler() -> bool:
    """Return whether Flask-Login has an ``unauthorized_handler``."""
    return getattr(getattr(flask.current_app, "login_manager", None), "unauthorized_callback", None) is not None


def call_unauthorized_handler(back: str) -> flask.Response:
    """Return the response of Flask-Login's ``unauthorized_handler`` to a GET request for the path ``back``.

    The handler reads the URL to return to from the request, so it runs in a request for ``back`` in the same session.
    """
    manager: Any = flask.current_app.login_manager  # type: ignore[attr-defined]
    app, parts = web.current_app(), urlsplit(back)
    environ = {name: value for name, value in flask.request.environ.items() if not name.startswith("werkzeug.request")}
    path = unquote_to_bytes(parts.path).decode("latin-1").removeprefix(environ.get("SCRIPT_NAME", ""))
    environ |= {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": parts.query, "REQUEST_URI": back}
    environ |= {"RAW_URI": back, "wsgi.input": BytesIO(), "CONTENT_LENGTH": "0", "CONTENT_TYPE": ""}
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    with RequestContext(app, environ, session=cast(Any, flask.session)._get_current_object()):
        return app.make_response(manager.unauthorized())


def _login_manager(purpose: str) -> Any:
    manager = getattr(flask.current_app, "login_manager", None)
    if manager is None:
        raise ConfigurationError(f"flask_oauth2 cannot {purpose}, or set up Flask-Login")
    return manager
