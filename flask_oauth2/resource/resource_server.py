"""The extension of an application that is no authorization server: :class:`ResourceServer`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import flask

from .. import resources
from ..endpoints.metadata import HEADERS, write_resource
from ..errors import ConfigurationError
from ..events import Events
from ..http import urls
from ..processes import cached
from ..resources import Resource, Resources
from .issuer_metadata import IssuerMetadata, load_fetch
from .protect import Protection, collect_scopes
from .remote_verifier import RemoteVerifier
from .sources import IntrospectionSource, KeySetSource
from .token_cache import TokenCache
from .verify import TokenVerifier

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

KEY_SET_TTL = 900
"""Seconds for which a token that was verified with keys is remembered. Copies of a JWK set are used as long."""

INTROSPECTION_TTL = 30
"""Seconds for which an introspection response is remembered."""


class ResourceServer(Protection):
    """Guards the views of an application that is no authorization server.

    Verifies JSON Web Tokens with the JWK set of the authorization server, :rfc:`9068`, or tokens of any format with its
    introspection endpoint, :rfc:`7662`. The document of :rfc:`9728` names the authorization server for clients.

    :param app: the application; or a custom :class:`~.resource.verify.TokenVerifier`, and no further arguments.
    :param issuer: the issuer identifier of the authorization server. Its metadata name all further URLs.
    :param audience: the URL of this application. Tokens must have it as their audience.
    :param scopes: the scope values of the application, for the document.
    :param name: the name of the application, for the document.
    :param introspection: whether to introspect tokens. Requires ``client_id`` and ``client_secret``.
    :param jwks_uri: the URL of the JWK set, if the metadata are not to be fetched.
    :param decryption_keys: private JWKs. Tokens must then be encrypted to one of them.
    :param introspection_endpoint: the URL of the introspection endpoint, if the metadata are not to be fetched.
    :param cache_ttl: seconds for which a verified token is remembered, but never longer than it is valid. Default: 900,
        or 30 with introspection. 0: each request verifies the token.
    :param realm: the realm of challenges.
    """

    def __init__(
        self,
        app: flask.Flask | TokenVerifier,
        *,
        issuer: str | None = None,
        audience: str | None = None,
        scopes: tuple[str, ...] | list[str] = (),
        name: str | None = None,
        introspection: bool = False,
        client_id: str | None = None,
        client_secret: str | None = None,
        jwks_uri: str | None = None,
        decryption_keys: Sequence[Mapping[str, Any]] = (),
        introspection_endpoint: str | None = None,
        cache_ttl: int | None = None,
        realm: str = "oauth2",
    ) -> None:
        self._resources: dict[str, tuple[Resource, WSGIApplication | None]] = {}
        if not isinstance(app, flask.Flask):
            self._app: flask.Flask | None = None
            self._verifier: TokenVerifier = app
            return
        self._app = app
        self._issuer, self._audience = _check_url("issuer", issuer), _check_url("audience", audience).rstrip("/")
        self._whole = Resource(path="/", further=tuple(scopes), name=name)
        load_fetch()  # raises if it is not installed
        metadata = IssuerMetadata(self._issuer)
        if introspection:
            if not client_id or not client_secret:
                raise ConfigurationError("ResourceServer(introspection=True) needs client_id= and client_secret=")
            source: IntrospectionSource | KeySetSource = IntrospectionSource(
                metadata, client_id, client_secret, introspection_endpoint
            )
        else:
            source = KeySetSource(metadata, jwks_uri, decryption_keys)
        seconds = cache_ttl if cache_ttl is not None else INTROSPECTION_TTL if introspection else KEY_SET_TTL
        self._verifier = RemoteVerifier(
            source,
            lambda: self._described,
            cache=TokenCache(seconds) if seconds else None,
            events=Events(app, issuer=self._issuer),
            realm=realm,
        )
        for path in ("", "/<path:path>"):
            app.add_url_rule(
                f"{resources.WELL_KNOWN}{path}",
                "oauth2_protected_resource",
                self._show_document,
                provide_automatic_options=True,
            )

    @property
    def verifier(self) -> TokenVerifier:
        """The verifier of all guards."""
        return self._verifier

    @cached
    def _described(self) -> Resources:
        """The protected resources, which are fixed from the first request on."""
        described = [self._whole, *(resource for resource, _ in self._resources.values())]
        collected, _, _ = collect_scopes(cast("flask.Flask", self._app), described)
        return Resources(collected, urls.origin(self._audience), urlsplit(self._audience).path)

    def _show_document(self, path: str = "") -> flask.Response:
        """Respond with the metadata of a protected resource, :rfc:`9728#section-3`."""
        described = self._described
        wanted = f"{urls.origin(self._audience)}/{path}".rstrip("/")
        found = described.named(wanted)
        if found is None and not path:
            found = described.of_root
        if found is None:
            flask.abort(404)
        return flask.Response(write_resource(self._issuer, found), 200, HEADERS)

    def _register_resource(self, resource: Resource, wsgi_app: WSGIApplication | None) -> None:
        """See :meth:`.protect.Protection._register_resource`."""
        if self._app is None:
            raise ConfigurationError(
                "protect_resource() and protect_mcp() need ResourceServer(app, issuer=, audience=)"
            )
        if resource.has_variables or resource.path in self._resources or resource.path == "/":
            raise ConfigurationError(f"{resource.path} is described already, or has variables. Describe each path once")
        self._resources[resource.path] = resource, wsgi_app
        self._mount(self._app, resource.path)

    def _resources_of(self, app: flask.Flask) -> Mapping[str, tuple[Resource, WSGIApplication | None]]:
        """See :meth:`.protect.Protection._resources_of`."""
        return self._resources

    def _path_of(self, resource: Resource) -> str:
        """See :meth:`.protect.Protection._path_of`."""
        return resource.path


def _check_url(name: str, url: str | None) -> str:
    parts = None if url is None else urls.parse(url)
    if (
        url is None
        or parts is None
        or not (urls.is_https(url) or urls.is_loopback(url))
        or not set("?#@").isdisjoint(url)
    ):
        raise ConfigurationError(
            f"ResourceServer needs {name}=, an https URL without query and fragment, such as https://login.example"
        )
    return url
