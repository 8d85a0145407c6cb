"""The state of a provider in an application. It builds the authorization servers and finds that of a request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

import flask
from flask.ctx import RequestContext
from werkzeug.exceptions import NotFound

from .. import web
from ..assembly import Servers, build, view_of_issuer
from ..assembly.extensions import Extensions
from ..assembly.issuers import check_issuer
from ..endpoints import metadata
from ..errors import ConfigurationError
from ..http import deployment
from ..processes import Once
from ..records import Issuer
from ..resource.protect import collect_scopes, is_canonical
from ..resource.server_verifier import ServerVerifier
from ..resources import Resource
from ..server import AuthorizationServer
from ..settings import Settings
from ..stores.base import Store
from ..web.choose_store import Storage
from ..web.prefix import Prefix
from .ownership import EXTENSION, Ownership, Registered

log = logging.getLogger("flask_oauth2")

_ISSUER = "flask_oauth2.issuer"
"""The key in the environ of a request for the verifier of its issuer, and the issuer."""

_NO_ISSUER: tuple[None, None, None] = (None, None, None)


@dataclass(slots=True)
class Installed:
    """The provider's state for one application, ``app.extensions["flask_oauth2"]``."""

    provider: Any
    """The :class:`~flask_oauth2.OAuth2Provider`."""
    app: flask.Flask
    registered: Registered
    storage: Storage
    prefix: Prefix
    on_start: Callable[[], None]
    """Runs once, after the first server is built."""
    servers: Servers | None = None
    """The servers; None before the first use, which ends the time for registrations."""
    building: Once = field(default_factory=Once)

    def start(self) -> Servers:
        """Return the servers of the application. Build them at the first call."""
        return self.servers or self.building.run(lambda: self.servers, self._build_servers)

    def find_verifier(self) -> ServerVerifier:
        """Return the token verifier of the issuer of the current request, or else of the only issuer."""
        servers = self.servers or self.start()
        if self.registered.issuergetter is not None:
            return self._find_verifier_of_issuer(self.registered.issuergetter, servers)
        if servers.has_issuer or not flask.has_request_context():
            return servers.verifier
        return servers.at(web.find_issuer(flask.request.environ, self.app.debug or self.app.testing))

    def _find_verifier_of_issuer(self, issuergetter: Callable[[], Issuer | None], servers: Servers) -> ServerVerifier:
        """Return the token verifier of the issuer of the current request. End the request with 404 if it has none."""
        if not flask.has_request_context():
            raise ConfigurationError(
                "this application has several issuers: name one with flask oauth2 --issuer URL, or in your code with "
                "provider.issuer_context(URL)"
            )
        request = web.current_request()
        reader, known, _ = request.environ.get(_ISSUER, _NO_ISSUER)
        if reader is request:
            return cast(ServerVerifier, known)
        issuer = issuergetter()
        if issuer is None:
            flask.abort(404)
        if not (isinstance(issuer, Issuer) and isinstance(issuer.id, str)):
            check_issuer(issuer)
        verifier = servers.of(issuer)
        request.environ[_ISSUER] = request, verifier, issuer
        return verifier

    def find_issuer(self) -> Issuer | None:
        """Return the issuer of the current request if the application has several, or None."""
        self.find_verifier()
        issuer: Issuer | None = web.current_request().environ.get(_ISSUER, _NO_ISSUER)[2]
        return issuer

    def find_arguments(self) -> Mapping[str, str]:
        """Return the values of the variables of ``url_prefix`` for the issuer of the current request."""
        issuer = self.find_issuer()
        return {} if issuer is None else self.prefix.arguments_of(issuer)

    def add_arguments(self, endpoint: str, values: dict[str, Any]) -> None:
        """Add the variables of ``url_prefix`` to the URL of an endpoint or a page, for the issuer of the request."""
        if not endpoint.startswith("oauth2.") or not flask.has_request_context():
            return
        arguments = self.find_arguments()
        for name in self.prefix.variables:
            if name in arguments and self.app.url_map.is_endpoint_expecting(endpoint, name):
                values.setdefault(name, arguments[name])

    def issuer_context(self, url: str) -> RequestContext:
        """Return a request context of an issuer. See :meth:`.CurrentServer.issuer_context`."""
        parts = urlsplit(url)
        make_context = partial(
            self.app.test_request_context,
            metadata.WELL_KNOWN + parts.path,
            base_url=f"{parts.scheme}://{parts.netloc}",
        )
        with make_context():
            try:
                found = self.find_verifier().server.issuer
            except NotFound:
                found = ""
        if found != url:
            raise ConfigurationError(
                f"there is no issuer {url}: pass the URL of an issuer as the issuergetter returns it"
            )
        return make_context()

    def build_server(
        self,
        settings: Settings,
        open_store: Callable[[], Store],
        extensions: Extensions,
        issuer: Issuer | None = None,
        **options: Any,
    ) -> AuthorizationServer:
        """Build a server on a store, with the protected resources and guards of the application.

        :param issuer: the issuer of the server, if the application has several.
        :param options: further arguments of :func:`flask_oauth2.assembly.build`.
        """
        if not settings.secret_keys:
            raise ConfigurationError(
                "flask_oauth2 needs the application's SECRET_KEY, which protects its pages: set one"
            )
        resources = self.registered.resources.values()
        described, outside_scopes, is_open_outside = collect_scopes(self.app, [resource for resource, _ in resources])
        if issuer is not None:
            described = [self._resource_of(issuer, resource) for resource in described]
            options |= {"url_prefix": self.prefix.path_of(issuer), "issuer_id": issuer.id}
        elif self.registered.issuergetter is None:
            _reject_variables(described)
        return build(
            settings,
            open_store,
            extensions,
            described=described,
            outside_scopes=outside_scopes,
            is_open_outside=is_open_outside,
            sender=self.app,
            **{"url_prefix": self.prefix.path, **options},
        )

    def _resource_of(self, issuer: Issuer, resource: Resource) -> Resource:
        """Return a protected resource with the path that it has at an issuer."""
        if not resource.has_variables:
            return resource
        path = self.prefix.fill_for(issuer, resource.path, f"the resource {resource.path}")
        if not is_canonical(path) or path.count("/") != resource.path.count("/"):
            raise ConfigurationError(
                f"the issuer {issuer.id} has a value for a variable of the resource {resource.path} that is no segment "
                "of a path: use letters, digits and - . _ ~ in Issuer(arguments={...})"
            )
        return replace(resource, path=path)

    def _build_servers(self) -> Servers:
        first = self._build_first()
        self.servers = Servers(first, partial(self._build_issuer, first))
        return self.servers

    def _build_first(self) -> AuthorizationServer:
        """Build the server of the only issuer, or for work on the rows of all issuers."""
        app, parts = self.app, self.registered.parts
        settings = Settings.load(app.config, warns=False)
        if flask.has_request_context():
            unseen = deployment.find_unseen_mount(settings.issuer, flask.request.script_root)
            if unseen:
                log.warning("%s", unseen)
        # the store opens with the first request that needs it, so only that request fails if the database is down
        open_store = self.storage.choose_store(app, settings)
        replica = self.storage.choose_replica(app, settings)
        server = self.build_server(settings, open_store, parts, replica=replica)
        if parts.usergetter is not None and "password" not in settings.grant_types:
            log.warning(
                "the usergetter has no effect, because OAUTH2_GRANT_TYPES does not contain password, a grant type that "
                "RFC 9700 section 2.4 forbids; remove the usergetter"
            )
        if parts.developer_policy is not None and not settings.developer_pages:
            log.warning("the developer_policy has no effect, because OAUTH2_DEVELOPER_PAGES is not True; set it")
        self.on_start()
        return server

    def _build_issuer(self, first: AuthorizationServer, issuer: Issuer) -> AuthorizationServer:
        """Build the server of one of several issuers, on its rows in the store of the application."""
        config = {**self.app.config, **issuer.settings, "OAUTH2_ISSUER": issuer.url}

        def open_store() -> Store:
            store: Store = view_of_issuer(first.own_store, issuer.id)
            return store

        replica = first.opening.replica
        try:
            settings = Settings.load(config, warns=False)
        except ConfigurationError as error:
            raise ConfigurationError(f"the issuer {issuer.id}: {error}") from None
        return self.build_server(
            settings,
            open_store,
            self.registered.parts,
            issuer,
            replica=None if replica is None else view_of_issuer(replica, issuer.id),
            events=first.events,
        )


def _reject_variables(described: Iterable[Resource]) -> None:
    """Raise :exc:`ConfigurationError` for a path with variables in an application with one issuer."""
    for resource in described:
        if resource.has_variables:
            raise ConfigurationError(
                f"the resource {resource.path} has a variable, but this application has one issuer: register an "
                "issuergetter, or describe a path without variables"
            )


class CurrentServer(Ownership):
    """The authorization server of the current application, and of the issuer of the current request."""

    @property
    def server(self) -> AuthorizationServer:
        """The authorization server of the current request, which is built at the first use."""
        return self.verifier.server

    @property
    def verifier(self) -> ServerVerifier:
        """The token verifier of the current request."""
        installed: Installed | None = web.current_app().extensions.get(EXTENSION)
        if installed is None:
            raise ConfigurationError("this application has no OAuth2Provider: call provider.init_app(app)")
        servers = installed.servers
        if servers is not None and servers.has_issuer and installed.registered.issuergetter is None:
            return servers.verifier  # without a further call, because every request passes here
        return installed.find_verifier()

    def issuer_context(self, url: str) -> RequestContext:
        """Return a request context of an issuer, for work outside of requests.

        Raises :exc:`ConfigurationError` if the ``issuergetter`` does not return this issuer for its URL.
        """
        installed: Installed = web.current_app().extensions[EXTENSION]
        return installed.issuer_context(url)

    def _server_of_all_issuers(self) -> AuthorizationServer:
        """Return a server for work on the rows of all issuers, such as purge. It answers no request."""
        installed: Installed = web.current_app().extensions[EXTENSION]
        return installed.start().first
