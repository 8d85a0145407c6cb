"""The decorators and methods with which an application registers callbacks and extensions of the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

import flask

from ..assembly.parts import check_part, check_synchronous
from ..authorization_details import AuthorizationDetailsType, Describe
from ..clients.authentication.base import ClientAuthMethod
from ..endpoints import ENDPOINTS, Endpoint
from ..errors import ConfigurationError
from ..grants.base import ResponseType
from ..grants.extension import ExtensionGrant
from ..resources import describe_server
from ..tokens.base import TokenGrant, TokenRequest
from ..tokens.bindings.base import Binding
from ..tokens.formats import BUILT_IN
from ..tokens.formats.base import ReferenceFormat, SelfContainedFormat, TokenFormat
from ..tokens.types import TokenType
from .ownership import Ownership

Callback = TypeVar("Callback", bound=Callable[..., Any])

GrantFunction: TypeAlias = Callable[[TokenRequest], TokenGrant]


class CallbackRegistry(Ownership):
    """The registration methods of the provider. Call them before the first request. A callback may be asynchronous."""

    def clientgetter(self, function: Callback) -> Callback:
        """Register ``f(client_id)``, which returns the application's own client with this ID, or None.

        The client may be an object or a dict, see :mod:`flask_oauth2.clients.from_object`.
        """
        return self._set_callback("clientgetter", function)

    def grantgetter(self, function: Callback) -> Callback:
        """Register ``f(client_id=, code=)``, which returns the application's own row of a code. None revokes the code.

        The argument ``code`` is the digest of the code.
        """
        return self._set_callback("grantgetter", function)

    def grantsetter(self, function: Callback) -> Callback:
        """Register ``f(client_id, code, request)``, which saves a new code. ``code["code"]`` is its digest.

        ``request`` has ``user client scopes redirect_uri``, :class:`~flask_oauth2.stores.callbacks.SetterRequest`.
        """
        return self._set_callback("grantsetter", function)

    def tokengetter(self, function: Callback) -> Callback:
        """Register ``f(access_token=None, refresh_token=None)``, which returns the application's own row of a token.

        It receives the digest of one of the two tokens, as a keyword argument. None revokes the token. The ``scopes``
        and ``expires`` of the row may narrow the token. Without a ``userloader``, ``current_token.user`` is the
        ``user`` of the row.
        """
        return self._set_callback("tokengetter", function)

    def tokensetter(self, function: Callback) -> Callback:
        """Register ``f(token, request)``, which receives each new token after the provider has saved it.

        ``token`` is a dict with ``access_token`` and ``refresh_token`` (digests), ``token_type``, ``expires_in``
        (seconds) and ``scope``. ``request`` is the same as for :meth:`grantsetter`.
        """
        return self._set_callback("tokensetter", function)

    def usergetter(self, function: Callback) -> Callback:
        """Register ``f(username, password, client, request)``, which returns the user, or None for wrong credentials.

        The password grant calls it, :rfc:`6749#section-4.3`.
        """
        self._register("part", "usergetter", synchronous(function))
        return function

    def registration_policy(self, function: Callback) -> Callback:
        """Register ``f(metadata, request)``, which runs before dynamic client registration saves a client, :rfc:`7591`.

        ``metadata`` is a dict of the client metadata that would be registered, with the names of section 2. Return None
        to accept it, or a changed dict, which may contain more than the settings allow. Raise
        :exc:`InvalidClientMetadata` or another :exc:`OAuth2Error` to reject the client. ``request`` is a
        :class:`~flask_oauth2.http.messages.Request`.
        """
        self._register("part", "registration_policy", synchronous(function))
        return function

    def developer_policy(self, function: Callback) -> Callback:
        """Register ``f(user)``, which returns whether a user may register clients on the developer pages.

        ``user`` is a :class:`~flask_oauth2.records.User`. See ``OAUTH2_DEVELOPER_PAGES``. By default, every signed-in
        user may.
        """
        self._register("part", "developer_policy", synchronous(function))
        return function

    def user_is_active(self, function: Callback) -> Callback:
        """Register ``f(user_id)``, which returns whether a user is active, for example not suspended.

        If it returns false, the token endpoint answers ``invalid_grant``, no code is issued, and introspection answers
        ``{"active": false}``. Guards call it if ``OAUTH2_GUARD_CHECKS_USER`` is true. Nothing is revoked: see
        :meth:`~flask_oauth2.OAuth2Provider.revoke_user`. Default: a registered ``userloader`` must find the user.
        """
        self._register("part", "user_is_active", synchronous(function))
        return function

    def access_token_claims(self, function: Callback) -> Callback:
        """Register ``f(access, client)``, which returns further claims of a JSON Web Token as a dict, or None.

        It runs when the token is issued. ``access`` is the :class:`~flask_oauth2.AccessToken`: ``access.user_id`` names
        the user, and is None if the client acts for itself. ``client`` is the :class:`~flask_oauth2.Client`.
        :data:`~flask_oauth2.tokens.formats.jwt.RESERVED` lists the claims that only the server sets. With one of them
        no token is issued, and the error is logged.
        """
        self._register("part", "access_token_claims", synchronous(function))
        return function

    def userloader(self, function: Callback) -> Callback:
        """Register ``f(user_id)``, which returns a user, for ``current_token.user``. Default: that of Flask-Login."""
        return self._set_callback("userloader", function)

    def current_user(self, function: Callback) -> Callback:
        """Register ``f()``, which returns the signed-in user, or None. Default: Flask-Login's ``current_user``.

        The user is an object with ``get_id()`` or ``id``, or the ID itself (text or a number). Pages show its ``name``
        or ``username``. Its ``auth_time`` (seconds or a datetime, UTC) is the time of the sign-in, and its ``acr`` the
        authentication context class.
        """
        self._register("provider", "current_user", synchronous(function))
        return function

    def issuergetter(self, function: Callback) -> Callback:
        """Register ``f()``, which returns the :class:`~flask_oauth2.Issuer` of the current request, or None (404).

        It may read ``flask.request``: its host, or its ``view_args`` if ``url_prefix`` has a variable. Use the Host
        header only to look up one of your issuers. Without an ``issuergetter``, the application has one issuer.
        """
        self._register("provider", "issuergetter", synchronous(function))
        return function

    def grant_type(
        self, name: str
    ) -> Callable[[Callable[[TokenRequest], TokenGrant]], Callable[[TokenRequest], TokenGrant]]:
        """Register ``f(request)`` as the extension grant ``name``, an absolute URI, :rfc:`6749#section-4.5`.

        It returns a :class:`~flask_oauth2.TokenGrant`. Only clients with this name in their ``grant_types`` can use it.
        """
        if not urlsplit(name).scheme:
            raise ConfigurationError(
                f"the name of an extension grant must be an absolute URI (RFC 6749 section 4.5), not {name!r}"
            )

        def decorator(function: GrantFunction) -> GrantFunction:
            self._register("grants", name, ExtensionGrant(name, synchronous(function)))
            return function

        return decorator

    def authorization_details(
        self,
        name: str,
        *,
        required: Mapping[str, type],
        optional: Mapping[str, type] | None = None,
        is_remembered: bool = True,
    ) -> Callable[[Describe], AuthorizationDetailsType]:
        """Register ``f(detail, client)`` for a type of authorization details, :rfc:`9396#section-2`.

        The function returns the text that the consent page shows for a detail, which is a dict. It raises
        :exc:`ValueError` with the reason for an invalid detail. The decorator returns an
        :class:`~flask_oauth2.AuthorizationDetailsType`, whose ``enrich`` and ``covers`` register further functions.

        :param name: the type, such as ``payment_initiation`` or a URL.
        :param required: the fields that each detail has, and their types: str, int, float, bool, list or dict.
        :param optional: further fields. A detail with other fields is rejected, section 5.
        :param is_remembered: whether an earlier consent to the same detail replaces the consent page. False for
            permissions that are used once, such as payments.
        """

        def decorator(function: Describe) -> AuthorizationDetailsType:
            kind = AuthorizationDetailsType(name, synchronous(function), required, optional or {}, is_remembered)
            self._register("details_types", name, kind, f"the authorization_details {name}")
            return kind

        return decorator

    def register_response_type(self, response_type: ResponseType) -> None:
        """Add a response type of the authorization endpoint, :rfc:`6749#section-8.4`. Clients cannot combine it."""
        check_part(response_type, ResponseType)
        if " " in response_type.name:
            raise ConfigurationError(f"the name of a response type must not contain spaces: {response_type.name!r}")
        self._register("response_types", response_type.name, response_type, built_in=("code", "token"))

    def register_token_type(self, token_type: TokenType) -> None:
        """Add a token type, :rfc:`6749#section-8.1`: an HTTP authentication scheme for access tokens.

        A binding decides which tokens have it, see :meth:`register_binding`.
        """
        check_part(token_type, TokenType)
        self._register("token_types", token_type.name.lower(), token_type, built_in=("bearer",))

    def register_token_format(self, token_format: TokenFormat) -> None:
        """Add a token format. Choose it with ``OAUTH2_ACCESS_TOKEN_FORMAT``, or for single clients."""
        check_part(token_format, SelfContainedFormat if hasattr(token_format, "read") else ReferenceFormat)
        self._register("token_formats", token_format.name, token_format, built_in=BUILT_IN)

    def add_resource(
        self,
        url: str,
        scopes: str | Iterable[str] = (),
        *,
        format: str | None = None,  # noqa: A002  the name of the option
        prefix: bool = False,
        name: str | None = None,
        encryption_key: Mapping[str, Any] | None = None,
    ) -> None:
        """Add a protected resource of another server, like an element of ``OAUTH2_RESOURCES``, :rfc:`8707`.

        :param url: its identifier. It becomes the audience of access tokens.
        :param scopes: the scope values that it uses.
        :param format: the format of its access tokens, such as ``jwt``. Default: that of the client or of the settings.
        :param prefix: True if clients may name URLs below ``url`` too.
        :param name: the name that users see.
        :param encryption_key: the public JWK to which JSON Web Tokens are encrypted.
        """
        try:
            resource = describe_server(
                url, scopes, format=format, prefix=prefix, name=name, encryption_key=encryption_key
            )
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"add_resource: {error}") from None
        self._register("other_resources", url, resource, f"the resource {url}")

    def register_binding(self, binding: Binding) -> None:
        """Add a :class:`~flask_oauth2.tokens.bindings.base.Binding`, which binds tokens to a key of the client."""
        check_part(binding, Binding)
        self._register("bindings", binding.name, binding)

    def register_answer_members(self, function: Callback) -> Callback:
        """Register ``f(issued)``, which returns additional members of a token response, or None.

        It runs after the tokens are generated and before they are saved, so it may still reject the request. ``issued``
        is an :class:`~flask_oauth2.tokens.answers.Issued`.
        """
        self._register("answer_members", getattr(function, "__qualname__", repr(function)), synchronous(function))
        return function

    def register_endpoint(self, endpoint: Endpoint) -> None:
        """Add an endpoint for clients, see :class:`~flask_oauth2.Endpoint`."""
        if endpoint.respond is None:
            raise ConfigurationError(f"the endpoint {endpoint.name} needs a respond function: Endpoint(respond=...)")
        for name in ("respond", "is_offered", "describe"):
            check_synchronous(getattr(endpoint, name), f"{name} of the endpoint {endpoint.name}")
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
    """Return a synchronous function for one that may be asynchronous. It needs Flask's extra ``async`` for that."""
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
        with ThreadPoolExecutor(
            1
        ) as thread:  # a thread with its own loop, because an asynchronous view must not block its loop
            return thread.submit(copy_context().run, run_to_end, *args, **kwargs).result()

    return cast("Callback", run)
