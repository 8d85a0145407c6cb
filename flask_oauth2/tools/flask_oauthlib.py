"""An adapter for applications that used ``flask_oauthlib.contrib.oauth2``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ..records import is_nobody, is_user
from ..web import login

if TYPE_CHECKING:
    from ..provider import OAuth2Provider

GRANT_LIFETIME = 100
"""The lifetime of a row of a code, in seconds. The code itself may expire earlier."""


def bind_sqlalchemy(
    provider: OAuth2Provider,
    session: Any,
    user: Any = None,
    client: Any = None,
    token: Any = None,
    grant: Any = None,
    current_user: Callable[[], Any] | None = None,
) -> None:
    """Register callbacks that look up and add rows of the application's own mapped classes.

    The rows of tokens and codes contain digests. Unlike flask-oauthlib, a new token does not delete other tokens.

    :param user: has ``username`` and ``check_password(password)``, for the password grant. The provider finds users by
        their primary key, or with Flask-Login if it is set up.
    :param client: has ``client_id``, see :mod:`flask_oauth2.clients.from_object`.
    :param token: has ``access_token refresh_token token_type client_id user_id expires`` and ``scope`` or ``_scopes``.
    :param grant: has ``client_id code redirect_uri user_id expires`` and ``scope`` or ``_scopes``.
    :param current_user: ``f()``, which returns the signed-in user. ``grant`` requires it, as in flask-oauthlib.
    """
    if grant is not None and current_user is None:
        raise ConfigurationError(
            "bind_sqlalchemy(grant=...) requires current_user=, a function that returns the signed-in user"
        )
    if current_user is not None:
        provider.current_user(current_user)

    def find(model: Any, **fields: Any) -> Any:
        return session.query(model).filter_by(**fields).first()

    def add(model: Any, scope: str, **fields: Any) -> None:
        fields["scope" if hasattr(model, "scope") else "_scopes"] = scope
        session.add(model(**fields))
        session.commit()

    def find_user(username: str, password: str, *_: Any) -> Any:
        found = find(user, username=username)
        return found if found is not None and found.check_password(password) else None

    def load_user(user_id: str) -> Any:
        found = login.userloader()(user_id) if login.is_set_up() else None
        is_found = not is_nobody(found) and (isinstance(found, str) or is_user(found, user_id))
        return found if is_found else session.get(user, _primary_key(user)(user_id))

    def find_client(client_id: str) -> Any:
        return find(client, client_id=client_id)

    def find_token(access_token: str | None = None, refresh_token: str | None = None) -> Any:
        return find(token, access_token=access_token) if access_token else find(token, refresh_token=refresh_token)

    def add_token(content: dict[str, Any], request: Any) -> None:
        add(
            token,
            content["scope"],
            access_token=content["access_token"],
            refresh_token=content.get("refresh_token"),
            token_type=content["token_type"],
            expires=_naive_utc_in(content["expires_in"]),
            client_id=request.client_id,
            user_id=request.user_id,
        )

    def find_grant(client_id: str, code: str) -> Any:
        return find(grant, client_id=client_id, code=code)

    def add_grant(client_id: str, code: dict[str, str], request: Any) -> None:
        add(
            grant,
            " ".join(request.scopes),
            client_id=client_id,
            code=code["code"],
            redirect_uri=request.redirect_uri,
            expires=_naive_utc_in(GRANT_LIFETIME),
            user_id=request.user_id,
        )

    if user is not None:
        provider.usergetter(find_user)
        provider.userloader(load_user)
    if client is not None:
        provider.clientgetter(find_client)
    if token is not None:
        provider.tokengetter(find_token)
        provider.tokensetter(add_token)
    if grant is not None:
        provider.grantgetter(find_grant)
        provider.grantsetter(add_grant)


def _primary_key(model: Any) -> Callable[[str], Any]:
    """Return the Python type of a model's primary key, which converts its text."""
    [column] = model.__mapper__.primary_key
    python_type: Callable[[str], Any] = column.type.python_type
    return python_type


def _naive_utc_in(seconds: int) -> datetime:
    """Return the naive UTC time in ``seconds`` seconds."""
    return datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=seconds)
