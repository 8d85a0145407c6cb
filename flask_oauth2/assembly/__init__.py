"""Builds an authorization server from settings and extensions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from .. import revocation, values
from ..clients import developer, registration
from ..clients.from_object import read_client
from ..clients.lookup import open_documents
from ..errors import ConfigurationError
from ..events import Events
from ..metrics import Metrics, open_recorder
from ..records import Issuer
from ..resource.server_verifier import ServerVerifier
from ..resource.token_cache import TokenCache
from ..resources import Resource, describe_server
from ..server import AuthorizationServer, Policies
from ..settings import Settings
from ..stores.base import IssuerStore, Store, Stores
from ..stores.callbacks import CallbackStore
from ..stores.lazy import LazyStore
from ..stores.replica import TokenReader
from .capabilities import add_formats, collect, renew_formats
from .extensions import Extensions

_MCP_GRACE_PERIOD = 10
"""Seconds: MCP clients run several processes that share one refresh token."""

_MAX_ADDRESSES = 16
"""Names and ports under which programs of this machine reach an application."""

_MAX_ISSUERS = 1000
"""Servers of issuers in memory; the one that was built first makes room."""


def build(
    settings: Settings,
    open_store: Callable[[], Store],
    extensions: Extensions | None = None,
    *,
    clock: Callable[[], float] = values.clock,
    url_prefix: str = "/oauth",
    sender: object = None,
    replica: TokenReader | None = None,
    described: Sequence[Resource] = (),
    outside_scopes: Iterable[str] = (),
    is_open_outside: bool = False,
    issuer_id: str = "",
    events: Events | None = None,
) -> AuthorizationServer:
    """Return a server. Its store opens with the first use.

    Raises :exc:`ConfigurationError` for settings that name a missing part or a missing option.
    """
    extensions = extensions or Extensions()
    callbacks = extensions.callbacks
    is_for_mcp = any(resource.is_mcp for resource in described)
    grace_period = settings.refresh_token_grace_period_public
    checks_users = extensions.user_is_active is not None or callbacks.userloader is not None
    if settings.guard_checks_user and not checks_users:
        raise ConfigurationError(
            "OAUTH2_GUARD_CHECKS_USER needs a function that says whether a user is active: decorate one with "
            "@provider.user_is_active"
        )
    elsewhere = _describe_servers(settings, extensions)
    _check_scopes(settings, (*described, *elsewhere))
    if events is None:
        events = Events(sender, Metrics(open_recorder(settings.metrics), sender) if settings.metrics else None)
    server: AuthorizationServer
    server = AuthorizationServer(
        settings=settings,
        issuer=settings.issuer or "",
        capabilities=collect(settings, extensions),
        opening=LazyStore(open_store, lambda store: _wrap(server, store), replica),
        events=events.for_issuer(settings.issuer or ""),
        clock=clock,
        issuer_id=issuer_id,
        url_prefix=url_prefix,
        callbacks=callbacks,
        policies=Policies(
            registration=extensions.registration_policy,
            developer=extensions.developer_policy,
            user_is_active=extensions.user_is_active,
        ),
        registration=registration.choose(settings, callbacks, is_for_mcp),
        described=described,
        resources=(*described, *elsewhere),
        outside_scopes=frozenset(outside_scopes),
        is_open_outside=is_open_outside,
        is_for_mcp=is_for_mcp,
        longest_lifetime=settings.longest_lifetime,
        refresh_token_grace_period_public=grace_period
        if grace_period is not None
        else _MCP_GRACE_PERIOD
        if is_for_mcp
        else 0,
        checks_users=checks_users,
        saves_every_token=callbacks.follow_tokens,
        access_token_claims=extensions.access_token_claims,
    )
    add_formats(server, extensions)
    server.opening.on_open.append(partial(_check_store, server))
    server.documents = open_documents(server)
    if settings.signing_keys:
        _ = server.keys  # raises for a key that cannot be used
    if settings.developer_pages:
        developer.check_settings(server)
    return server


class Servers:
    """The authorization servers of an application, as token verifiers.

    An application has one issuer; or it follows the loopback address of a request, if no option names the issuer; or it
    has several, such as tenants, if it has an ``issuergetter``.

    :param build_issuer: builds the server of one of several issuers.
    """

    def __init__(
        self, server: AuthorizationServer, build_issuer: Callable[[Issuer], AuthorizationServer] | None = None
    ) -> None:
        self.first = server
        self.verifier = _make_verifier(server)
        self.has_issuer = bool(server.issuer)
        self._build_issuer = build_issuer
        self._by_url: dict[str, ServerVerifier] = {}
        self._by_id: dict[str, tuple[Issuer, ServerVerifier]] = {}

    def at(self, url: str) -> ServerVerifier:
        """Return the server under the loopback address of a request. It shares everything but its URLs."""
        found = self._by_url.get(url)
        if found is None:
            first = self.first
            server = replace(
                first,
                issuer=url,
                events=first.events.for_issuer(url),
                clock=lambda: first.clock(),
                resources_by_mount={},
                built_metadata={},
            )
            renew_formats(server)
            server.documents = open_documents(server)
            found = ServerVerifier(server, self.verifier.cache)
            if len(self._by_url) < _MAX_ADDRESSES:
                self._by_url[url] = found
        return found

    def of(self, issuer: Issuer) -> ServerVerifier:
        """Return the server of one of several issuers. Build it again if its settings have changed."""
        known, verifier = self._by_id.get(issuer.id, (None, None))
        if verifier is not None and (known is issuer or known == issuer):
            return verifier
        if self._build_issuer is None:
            raise ConfigurationError("this application has no issuergetter: register one with @provider.issuergetter")
        verifier = _make_verifier(self._build_issuer(issuer))
        while len(self._by_id) >= _MAX_ISSUERS:
            self._by_id.pop(next(iter(self._by_id)), None)
        self._by_id[issuer.id] = issuer, verifier
        return verifier


def _make_verifier(server: AuthorizationServer) -> ServerVerifier:
    """Return the token verifier of a server, with the cache that its settings ask for."""
    seconds = server.settings.token_cache_ttl
    if not seconds:
        return ServerVerifier(server)
    cache = TokenCache(seconds)
    server.revocation_listeners.append(cache.on_revoked)
    server.opening.on_open.append(partial(_subscribe, cache))
    return ServerVerifier(server, cache)


def view_of_issuer(store: Any, issuer_id: str) -> Any:
    """Return the view of a store, or of a replica, on the rows of one issuer."""
    if not isinstance(store, IssuerStore):
        raise ConfigurationError(
            "this store saves the rows of one issuer only: give it the method for_issuer() of IssuerStore"
        )
    return store.for_issuer(issuer_id)


def _subscribe(cache: TokenCache, stores: Stores) -> None:
    """Subscribe a cache to the revocations of other processes."""
    if stores.pubsub is not None:
        cache.subscribe(partial(stores.pubsub.subscribe, cache.on_published))


def _describe_servers(settings: Settings, extensions: Extensions) -> list[Resource]:
    """Return the resources of other servers, from the settings and from the application."""
    found = dict(extensions.other_resources)
    for url, options in settings.resources.items():
        if url in found:
            raise ConfigurationError(f"OAUTH2_RESOURCES and add_resource() both name {url}: remove one of them")
        try:
            found[url] = describe_server(url, **options)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"OAUTH2_RESOURCES: {error}") from None
    return list(found.values())


def _check_scopes(settings: Settings, described: Iterable[Resource]) -> None:
    needed = {f"the resource {resource.path or resource.identifier}": resource.all_scopes for resource in described}
    for name, scope in (("OAUTH2_REGISTRATION_SCOPES", settings.registration_scopes), *needed.items()):
        unknown = [value for value in scope if settings.scopes and value not in settings.scopes]
        if unknown:
            raise ConfigurationError(
                f"{name} needs the scope {' '.join(unknown)}, which OAUTH2_SCOPES does not describe. Add it to "
                "OAUTH2_SCOPES"
            )


def _check_store(server: AuthorizationServer, stores: Stores) -> None:
    accepts_clients = server.registration != "off" or server.settings.developer_pages
    if accepts_clients and stores.registration is None:
        raise ConfigurationError(
            "clients cannot be registered in this store: give it the methods of RegistrationStore, or say "
            "OAUTH2_DYNAMIC_REGISTRATION = 'off' and leave OAUTH2_DEVELOPER_PAGES out"
        )


def _wrap(server: AuthorizationServer, store: Any) -> Any:
    """Wrap the store in the application's callbacks, if any are registered."""
    if not server.callbacks.are_registered:
        return store

    def revoke_undelivered(own: Store, family: str, now: float) -> None:
        own.revoke(family, revocation.expires_at(server, now))
        revocation.forget(server, family)

    return CallbackStore(store, server.callbacks, read_client, revoke_undelivered)
