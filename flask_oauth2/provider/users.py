"""Users of the application: the signed-in user, users by ID, and the login page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import flask
from werkzeug.local import LocalProxy

from .. import pages, revocation
from ..errors import ConfigurationError
from ..http import urls
from ..records import Client, User, find, identify, is_nobody, seconds
from ..web import login
from .servers import CurrentServer


class Users(CurrentServer):
    """The users of the current application, from its callbacks or from Flask-Login."""

    def get_current_user(self) -> User | None:
        """Return the signed-in user, or None."""
        find_user = self._current_user
        user = (find_user or login.current_user)()
        is_proxy = isinstance(user, LocalProxy)  # such as Flask-Login's current_user
        if is_proxy:
            user = user._get_current_object()
        if is_nobody(user) or getattr(user, "is_authenticated", True) is False:
            return None
        if isinstance(user, User):
            return user
        if isinstance(user, str | int):
            user_id = identify(user)
            return User(id=user_id, name=user_id)
        found = _read_user(user)
        if found.auth_time is None and (is_proxy or find_user is None):
            return replace(found, auth_time=login.auth_time())
        return found

    def load_user(self, user_id: str) -> Any:
        """Return the application's user with an ID, or the result of the ``userloader`` if there is none.

        Raises :exc:`ConfigurationError` if Flask-Login's ``user_loader`` returns another user: it expects ``get_id()``.
        """
        own = self._parts.callbacks.userloader
        if own is not None:
            return own(user_id)
        user = login.userloader()(user_id)
        if not is_nobody(user) and identify(user) != user_id:
            raise ConfigurationError(
                "Flask-Login's user_loader found another user, because get_id() of your users differs from their id: "
                "register a function that finds users by their id with @provider.userloader"
            )
        return user

    def revoke_user(self, user: object) -> None:
        """Revoke all codes, device codes, tokens and consents of a user, for example after an account takeover.

        This includes everything that is issued for authorizations in progress, in all workers. The user can authorize
        clients again afterwards. Sessions of your application are not affected: end them yourself.

        :param user: the user or the user's ID.
        """
        revocation.revoke_user(self.server, identify(user))

    def requesting_client(self) -> Client | None:
        """Return the client that requests authorization, for your login page, or None without such a request.

        The login page can name the client: "Sign in to continue to …".
        """
        return pages.requesting_client(self)

    def requested_acr_values(self) -> tuple[str, ...]:
        """Return how the client that requests authorization wants the user to sign in, for your login page.

        The user needs one of these values of ``OAUTH2_ACR_VALUES``, the preferred one first. Empty: any way.
        :meth:`current_user` returns the one with which the user signed in.
        """
        return pages.requested_acr_values(self)

    def login_url(self, back: str) -> str:
        """Return the URL of the application's login page, with the path ``back`` in its query parameter ``next``."""
        view = self.server.settings.login_view or login.login_view()
        if view is None:
            raise ConfigurationError(
                "there is no login page for users: set OAUTH2_LOGIN_VIEW, or Flask-Login's login_view or "
                'blueprint_login_views["oauth2"], to its endpoint'
            )
        login.remember_next(back)
        if view.startswith("/") or urls.is_web(view):
            return urls.add_query(view, [("next", back)])
        return flask.url_for(view, next=back)

    @property
    def has_users(self) -> bool:
        """Return whether the provider can find the signed-in user."""
        return self._current_user is not None or login.is_set_up()

    @property
    def has_login_view(self) -> bool:
        """Return whether the provider knows the login page."""
        return bool(self.server.settings.login_view or login.login_view())


def _read_user(user: Any) -> User:
    """Return the user of an object or a dict of the application."""
    user_id = identify(user)
    name, acr = find(user, "name", "username") or user_id, find(user, "acr")
    return User(
        id=user_id,
        name=str(name),
        auth_time=seconds(find(user, "auth_time")),
        acr=None if acr is None else str(acr),
    )
