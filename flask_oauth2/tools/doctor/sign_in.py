"""Checks of the sign-in, without which no user can authorize a client, :rfc:`6749#section-3.1`."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from werkzeug.exceptions import HTTPException, NotFound

from ...http import urls
from ...settings import DEVICE_CODE
from ...web import login
from .base import Examined, Finding, error, warning


def current_user(examined: Examined) -> Iterator[Finding]:
    """Report a provider that does not know the signed-in user."""
    if _needs_users(examined) and not examined.provider.has_users:
        yield error(
            "the provider cannot determine the signed-in user, so no user can authorize a client",
            "rfc6749 3.1",
            "decorate a function with @provider.current_user, or set up Flask-Login",
        )


def login_view(examined: Examined) -> Iterator[Finding]:
    """Report a missing or unreachable login page."""
    if not _needs_users(examined):
        return
    view = examined.settings.login_view or login.login_view()
    if view is None:
        if login.has_unauthorized_handler():
            return
        yield error(
            "there is no login page to redirect users to",
            "rfc6749 3.1",
            "set OAUTH2_LOGIN_VIEW, or Flask-Login's login_view, to its endpoint",
        )
    elif urls.scheme_of(view) == "http" and examined.is_public:
        yield error(
            f"the login page is at {view}, which transmits passwords unencrypted", "rfc6749 3.1", "use https://"
        )
    elif view.startswith("/"):
        adapter = examined.app.create_url_adapter(None) or examined.app.url_map.bind("localhost")
        try:
            adapter.match(urlsplit(view).path, "GET")
        except NotFound:
            yield warning(
                f"the login page is {view}, a path that this application does not serve",
                "rfc6749 3.1",
                "set the endpoint of its view, unless another application serves that path",
            )
        except HTTPException:  # Werkzeug redirects, or the view does not accept GET
            pass
    elif "://" not in view and view not in examined.app.view_functions:
        yield error(
            f"the login page is the endpoint {view!r}, which this application does not have",
            "rfc6749 3.1",
            "set the endpoint of its view, with the name of its blueprint in front: auth.login",
        )


def _needs_users(examined: Examined) -> bool:
    return bool(examined.server.capabilities.response_types) or DEVICE_CODE in examined.server.capabilities.grants
