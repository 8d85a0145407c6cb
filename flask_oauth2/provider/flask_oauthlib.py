"""The names and conventions of flask-oauthlib's provider, for applications that used it.

Nothing else that answers requests knows of flask-oauthlib. Its callbacks have the same names and are in
:mod:`.callbacks`; :mod:`flask_oauth2.tools.flask_oauthlib` replaces its ``bind_sqlalchemy``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import signature, unwrap
from typing import Any

from werkzeug.wrappers import Response

from .. import pages
from ..endpoints import REVOCATION, TOKEN
from ..errors import ConfigurationError
from ..tokens.answers import Issued
from ..web import routes
from .callbacks import synchronous
from .guards import ProviderGuards
from .ownership import find_caller

log = logging.getLogger("flask_oauth2")

CONSENT_ARGUMENTS = frozenset({"client_id", "scopes", "redirect_uri", "response_type", "state", "request", "ticket"})
"""The arguments that every consent view receives. It receives others only if its signature names them."""

REMOVED_NAMES = {
    "before_request": "use Flask's app.before_request, which runs before every view",
    "after_request": "connect to signals.token_accepted and signals.request_refused of flask_oauth2",
    "invalid_response": "connect to signals.request_refused; the response follows RFC 6750",
    "exception_handler": "connect to signals.request_refused; error responses follow RFC 6749 section 5.2",
    "verify_request": "guard the view with require_oauth(..., optional=True) and test current_token",
    "confirm_authorization_request": "return True from the authorize_handler",
    "error_uri": "override the template oauth2/error.html",
}
"""Names of flask-oauthlib's provider that do not exist, and their replacements."""


class FlaskOAuthlibNames(ProviderGuards):
    """The decorators of flask-oauthlib for the endpoints, and hints for names that do not exist."""

    _request_attribute = "oauth"
    """``flask.request.oauth`` is ``current_token``."""

    def __init__(self) -> None:
        super().__init__()
        self._scope_arguments: dict[str, None] = {}
        """Guards with several scope arguments, by their scope and place."""

    def authorize_handler(self, function: Callable[..., Any]) -> Callable[..., Response]:
        """Register ``f(**arguments)`` as a custom consent page. It returns the page, or True or False.

        It receives ``client_id scopes redirect_uri response_type state request ticket``. It also receives ``client
        client_host is_unverified resources user host`` if its signature names them. The view runs twice: to show the
        page, and for its form. ``flask.request.method`` is then POST, and the view returns the user's decision. The
        form posts to the authorization endpoint and contains ``ticket``; the provider adds it to forms without one. You
        can add a route to the returned view.
        """
        self._register("provider", "consent_view", _adapt_consent_view(function), "authorize_handler")
        return wraps(function)(routes.page(self, "authorize", pages.authorize))

    def token_handler(self, function: Callable[[], Mapping[str, Any] | None]) -> Callable[..., Response]:
        """Register ``f()``, which may return additional members of a token response. The view is the token endpoint."""
        self._register("answer_members", "OAuth2Provider.token_handler", _ignore_issued(function), "token_handler")
        return wraps(function)(routes.view(self, TOKEN))

    def revoke_handler(self, function: Callable[..., Any]) -> Callable[..., Response]:
        """Return the view of the revocation endpoint. The provider never calls the function, as in flask-oauthlib."""
        return wraps(function)(routes.view(self, REVOCATION))

    def __getattr__(self, name: str) -> Any:
        """Raise :exc:`AttributeError`. For a name of flask-oauthlib, the message names the replacement."""
        if name in REMOVED_NAMES:
            raise AttributeError(f"flask_oauth2 has no {name}: {REMOVED_NAMES[name]}", name=name, obj=self)
        return self.__getattribute__(name)  # raises the original error, which may come from inside a property

    def _record_scope_arguments(self, scope: tuple[str, ...]) -> None:
        """See :meth:`.resource.guard.Guards._record_scope_arguments`."""
        frame = find_caller()
        self._scope_arguments[f"{scope} in {frame.f_code.co_filename}:{frame.f_lineno}"] = None

    def _warn_of_scope_arguments(self) -> None:
        """Log the guards with several scope arguments, which mean something else in flask-oauthlib."""
        for place in self._scope_arguments:
            log.warning(
                "require_oauth%s requires all of these scope values, but flask-oauthlib requires any one of them. If "
                "you need all, pass one string with spaces. If you need any one, pass any_of=[...]",
                place,
            )


def _adapt_consent_view(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a consent view that accepts all arguments and passes the function only those that it expects.

    A view of flask-oauthlib takes ``**kwargs`` and may pass them on with others of the same names.
    """
    accepted = CONSENT_ARGUMENTS.union(signature(function).parameters)
    run = synchronous(function)

    @wraps(function)
    def view(**arguments: Any) -> Any:
        if arguments["authorization_details"] and "authorization_details" not in accepted:
            raise ConfigurationError(
                "your consent page does not show what the client requests: give its function the argument "
                "authorization_details, and show them (RFC 9396 section 3.1)"
            )
        return run(**{name: value for name, value in arguments.items() if name in accepted})

    view.__wrapped__ = unwrap(function)  # tells registrations of the same code apart
    return view


def _ignore_issued(function: Callable[[], Mapping[str, Any] | None]) -> Callable[[Issued], Mapping[str, Any] | None]:
    """Return a function without arguments as one that adds members to a token response."""
    run = synchronous(function)

    @wraps(function)
    def complete(_: Issued) -> Mapping[str, Any] | None:
        return run()

    complete.__wrapped__ = unwrap(function)
    return complete
