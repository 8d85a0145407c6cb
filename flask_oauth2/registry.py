"""What an application brings of its own: callbacks, grants, token types and formats, ways to authenticate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

import flask

from .assembly.parts import check_part
from .clients.authentication.base import ClientAuthMethod
from .endpoints import ENDPOINTS, Endpoint
from .errors import ConfigurationError
from .grants.base import ResponseType
from .grants.extension import ExtensionGrant
from .ownership import Ownership
from .tokens.base import TokenGrant, TokenRequest
from .tokens.bindings.base import Binding
from .tokens.formats.base import ReferenceFormat, SelfContainedFormat, TokenFormat
from .tokens.types import TokenType

Callback = TypeVar("Callback", bound=Callable[..., Any])

GrantFunction: TypeAlias = Callable[[TokenRequest], TokenGrant]


class Registry(Ownership):
    """Takes callbacks and parts until the first request. A callback may be asynchronous."""

    def clientgetter(self, function: Callback) -> Callback:
        """Register ``f(client_id)``: the application's own client of that id, None where there is none.

        It may be an object or a dict, see :mod:`flask_oauth2.clients.from_object`.
        """
        return self._set_callback("clientgetter", function)

    def grantgetter(self, function: Callback) -> Callback:
        """Register ``f(client_id=, code=)``: the application's own code; None ends it. ``code`` is a key."""
        return self._set_callback("grantgetter", function)

    def grantsetter(self, function: Callback) -> Callback:
        """Register ``f(client_id, code, request)``, called with each new code; ``code["code"]`` is its key.

        ``request`` has ``user client scopes redirect_uri``, :class:`~flask_oauth2.stores.callbacks.SetterRequest`.
        """
        return self._set_callback("grantsetter", function)

    def tokengetter(self, function: Callback) -> Callback:
        """Register ``f(access_token=None, refresh_token=None)``: the application's own token; None ends it.

        It is called by the name of one of the two, with a key. What it returns may narrow the token by ``scopes`` and
        ``expires``, and has the ``user`` of ``current_token`` where there is no ``userloader``.
        """
        return self._set_callback("tokengetter", function)

    def tokensetter(self, function: Callback) -> Callback:
        """Register ``f(token, request)``, called with each new token, after it was filed.

        ``token`` is a dict with ``access_token`` and ``refresh_token`` (keys), ``token_type``, ``expires_in`` (seconds)
        and ``scope``; ``request`` as for :meth:`grantsetter`.
        """
        return self._set_callback("tokensetter", function)

    def usergetter(self, function: Callback) -> Callback:
        """Register ``f(username, password, client, request)``: the user, or None where name or password is wrong.

        The password grant asks it, :rfc:`6749#section-4.3`.
        """
        self._register("part", "usergetter", synchronous(function))
        return function

    def registration_policy(self, function: Callback) -> Callback:
        """Register ``f(metadata, request)``, asked before a client that registers itself is taken, :rfc:`7591`.

        ``metadata`` is a dict of what would be registered, by the names of section 2. It returns None to let that be,
        or a changed dict, which may go beyond what is offered to all; or it raises :exc:`InvalidClientMetadata` or
        another :exc:`OAuth2Error` to refuse. ``request`` is a :class:`~flask_oauth2.http.messages.Request`.
        """
        self._register("part", "registration_policy", synchronous(function))
        return function

    def developer_policy(self, function: Callback) -> Callback:
        """Register ``f(user)``: whether that :class:`~flask_oauth2.records.User` may register clients on the pages for
        developers, ``OAUTH2_DEVELOPER_PAGES``. Default: whoever is signed in may.
        """
        self._register("part", "developer_policy", synchronous(function))
        return function

    def user_is_active(self, function: Callback) -> Callback:
        """Register ``f(user_id)``: whether the user may still be acted for, such as one who is not suspended.

        If it returns false, the token endpoint answers ``invalid_grant``, no code is issued, and introspection answers
        ``{"active": false}``. Guards call it if ``OAUTH2_GUARD_CHECKS_USER`` is true. Nothing is revoked: see
        :meth:`~flask_oauth2.OAuth2Provider.revoke_user`. Default: a registered ``userloader`` must find the user.
        """
        self._register("part", "user_is_active", synchronous(function))
        return function

    def userloader(self, function: Callback) -> Callback:
        """Register ``f(user_id)``: the user of an id, for ``current_token.user``. Default: Flask-Login's."""
        return self._set_callback("userloader", function)

    def current_user(self, function: Callback) -> Callback:
        """Register ``f()``: who is signed in, None if nobody is. Default: Flask-Login's ``current_user``.

        What it returns is identified by its ``get_id()`` or ``id``, or is itself text or a number. Its ``name`` or
        ``username`` is shown, and its ``auth_time`` (seconds or a datetime, UTC) says when it signed in.
        """
        self._register("provider", "current_user", synchronous(function))
        return function

    def issuergetter(self, function: Callback) -> Callback:
        """Register ``f()``, which returns the :class:`~flask_oauth2.Issuer` of the current request, or None (404).

        It may look at ``flask.request``: its host, or its ``view_args`` if ``url_prefix`` has a variable. Never trust
        the Host header further than to look up one of your issuers. Without it, the application has one issuer.
        """
        self._register("provider", "issuergetter", synchronous(function))
        return function

    def grant_type(
        self, name: str
    ) -> Callable[[Callable[[TokenRequest], TokenGrant]], Callable[[TokenRequest], TokenGrant]]:
        """Register ``f(request)`` as the extension grant ``name``, an absolute URI, :rfc:`6749#section-4.5`.

        It returns a :class:`~flask_oauth2.TokenGrant`. Clients need the name among their ``grant_types``.
        """
        if not urlsplit(name).scheme:
            raise ConfigurationError(f"an extension grant is named by an absolute URI (RFC 6749 section 4.5): {name!r}")

        def decorator(function: GrantFunction) -> GrantFunction:
            self._register("grants", name, ExtensionGrant(name, synchronous(function)))
            return function

        return decorator

    def register_response_type(self, response_type: ResponseType) -> None:
        """Add a response type of the authorization endpoint, :rfc:`6749#section-8.4`. It is asked for alone."""
        check_part(response_type, ResponseType)
        if " " in response_type.name:
            raise ConfigurationError(f"a response type has one name: {response_type.name!r} is several")
        self._register("response_types", response_type.name, response_type, built_in=("code", "token"))

    def register_token_type(self, token_type: TokenType) -> None:
        """Add a token type, :rfc:`6749#section-8.1`: an HTTP authentication scheme for access tokens.

        A binding decides which tokens have it, see :meth:`register_binding`.
        """
        check_part(token_type, TokenType)
        self._register("token_types", token_type.name.lower(), token_type, built_in=("bearer",))

    def register_token_format(self, token_format: TokenFormat) -> None:
        """Add a token format, to be named in ``OAUTH2_ACCESS_TOKEN_FORMAT`` or by a client."""
        check_part(token_format, SelfContainedFormat if hasattr(token_format, "read") else ReferenceFormat)
        self._register("token_formats", token_format.name, token_format, built_in=("opaque", "signed"))

    def register_binding(self, binding: Binding) -> None:
        """Add a way to bind tokens to a key of their holder: a :class:`~flask_oauth2.tokens.bindings.base.Binding`."""
        check_part(binding, Binding)
        self._register("bindings", binding.name, binding)

    def register_answer_members(self, function: Callback) -> Callback:
        """Register ``f(issued)``, which returns further members of a token response, or None.

        It runs after the tokens are generated and before they are saved, so it may still reject the request. ``issued``
        is an :class:`~flask_oauth2.tokens.answers.Issued`.
        """
        self._register("answer_members", getattr(function, "__qualname__", repr(function)), synchronous(function))
        return function

    def register_endpoint(self, endpoint: Endpoint) -> None:
        """Add an endpoint that programs call, see :class:`~flask_oauth2.Endpoint`."""
        if endpoint.respond is None:
            raise ConfigurationError(f"the endpoint {endpoint.name} needs a function that responds")
        self._register("endpoints", endpoint.name, endpoint, built_in=[known.name for known in ENDPOINTS])

    def register_client_auth_method(self, method: ClientAuthMethod) -> None:
        """Add a client authentication method, :rfc:`6749#section-2.3.2`.

        Clients can be registered with its name on the command line and, unless its ``is_registrable`` is False, with
        dynamic registration. Set ``needs_secret`` to True if it verifies a client secret.
        """
        check_part(method, ClientAuthMethod)
        built_in = ("none", "client_secret_basic", "client_secret_post")
        self._register("auth_methods", method.name, method, built_in=built_in)

    def _set_callback(self, name: str, function: Callback) -> Callback:
        self._register("callback", name, synchronous(function))
        return function


def synchronous(function: Callback) -> Callback:
    """A function that may be awaited, as Flask runs an asynchronous view (its extra ``async``)."""
    if not iscoroutinefunction(function) and not iscoroutinefunction(type(function).__call__):
        return function

    async def call(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        run_to_end = flask.current_app.ensure_sync(call)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return run_to_end(*args, **kwargs)
        with ThreadPoolExecutor(1) as thread:  # inside an asynchronous view, whose own loop must not be waited for
            return thread.submit(copy_context().run, run_to_end, *args, **kwargs).result()

    return cast("Callback", run)
