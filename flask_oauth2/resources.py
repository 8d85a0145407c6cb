"""Protected resources: what access tokens are for, :rfc:`9728` and :rfc:`8707`.

A resource is a part of the application, or the URL of another server.

The identifier of a resource is the URL of its path. Clients may write the host in upper case, append a slash or add the
default port. If the application has only one resource, clients may also use the origin as its identifier.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .http import urls
from .scopes import Scope, parse_option

WELL_KNOWN = "/.well-known/oauth-protected-resource"

_NO_PERMISSION = frozenset({"offline_access"})
"""Scope values that grant no access: ``offline_access`` requests a refresh token, OpenID Connect Core section 11."""

_SLASHES = re.compile("//+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A part of the application that :meth:`~flask_oauth2.OAuth2Provider.protect_resource` describes, or a server.

    ``scopes`` are required by every request, ``further`` by some requests: the guards of their views or the application
    name them. ``identifier`` and ``metadata_url`` depend on the path at which the application is mounted. If the
    application has several issuers, the path may have variables, such as ``/<tenant>/api``. The server of an issuer
    replaces them.

    The resource of another server, see :meth:`~flask_oauth2.OAuth2Provider.add_resource`, has no ``path``. Its
    ``identifier`` is its URL. ``format`` is the format of its tokens. With ``is_prefix``, clients may also name any URL
    below it. ``encryption_key`` is the JWK to which its tokens are encrypted.
    """

    path: str
    scopes: Scope = ()
    further: Scope = ()
    name: str | None = None
    documentation: str | None = None
    policy_uri: str | None = None
    tos_uri: str | None = None
    is_mcp: bool = False
    format: str | None = None
    is_prefix: bool = False
    encryption_key: Mapping[str, Any] | None = field(default=None, hash=False)
    identifier: str = ""
    metadata_url: str = ""

    @property
    def all_scopes(self) -> Scope:
        """All scope values that requests to this resource may need."""
        return tuple(dict.fromkeys((*self.scopes, *self.further)))

    @property
    def has_variables(self) -> bool:
        """Return whether the path has variables."""
        return "<" in self.path

    def read_variables(self, path: str) -> dict[str, str]:
        """Return the values of the variables in a path that the resource covers."""
        segments = zip(self.path.split("/"), _SLASHES.sub("/", path).split("/"), strict=False)
        return {name[1:-1]: segment for name, segment in segments if name.startswith("<")}

    def covers(self, path: str) -> bool:
        """Return whether a path of the application belongs to this resource.

        Repeated slashes count as one, as in Flask's routing.
        """
        path = _SLASHES.sub("/", path)
        if "<" in self.path:
            return _fits(self.path, path)
        return self.path == "/" or path == self.path or path.startswith(f"{self.path}/")


def innermost(described: Iterable[Resource], path: str) -> Resource | None:
    """Return the resource with the longest path that covers a path, or None."""
    around = (resource for resource in described if resource.covers(path))
    return max(around, key=_depth, default=None)


def _depth(resource: Resource) -> tuple[int, bool, int]:
    """Return a key that grows with the depth of a resource. A path without variables is deeper than one with them."""
    path = resource.path
    return path.count("/"), "<" not in path, len(path)


def _fits(template: str, path: str) -> bool:
    """Return whether a path begins with the segments of a template. A variable stands for any one segment."""
    wanted, given = template.split("/"), path.split("/")
    return len(given) >= len(wanted) and all(
        segment != "" if name.startswith("<") else segment == name for name, segment in zip(wanted, given, strict=False)
    )


_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9\-._~:/?\[\]!$&'()*+,;=%]+\Z")
"""An absolute URI without user information and fragment."""


def describe_server(
    url: str,
    scopes: str | Iterable[str] = (),
    *,
    format: str | None = None,  # noqa: A002  the name of the option
    prefix: bool = False,
    name: str | None = None,
    encryption_key: Mapping[str, Any] | None = None,
) -> Resource:
    """Return the resource of another server.

    Raises :exc:`TypeError` or :exc:`ValueError` for a wrong argument.

    :param url: its identifier, such as ``https://files.example``. Resource servers compare it with ``aud``.
    :param scopes: the scope values that it uses.
    :param format: the format of its access tokens, such as ``jwt``. Default: that of the client or of the settings.
    :param prefix: whether clients may name URLs below ``url`` too.
    :param name: the name that users see.
    :param encryption_key: the public JWK to which JSON Web Tokens are encrypted.
    """
    if not _is_uri(url):
        raise ValueError(f"{url!r} is not the URL of a resource. Use an absolute URL such as https://files.example")
    if not isinstance(prefix, bool) or (prefix and ("?" in url or not urls.is_web(url))):
        raise ValueError(f"prefix of {url} must be True or False. True needs an http or https URL without a query")
    if not all(text is None or (text and isinstance(text, str)) for text in (format, name)):
        raise ValueError(f"format and name of {url} must be text")
    if encryption_key is not None and (not isinstance(encryption_key, Mapping) or format != "jwt"):
        raise ValueError(f"encryption_key of {url} must be a JWK, and needs the format jwt")
    return Resource(
        path="",
        identifier=url,
        scopes=parse_option(scopes),
        name=name,
        format=format,
        is_prefix=prefix,
        encryption_key=encryption_key,
    )


def _is_uri(url: object) -> bool:
    """Return whether a value is an absolute URI without user information and fragment."""
    if not isinstance(url, str) or not _URI.match(url) or urls.parse(url) is None:
        return False
    return not urls.is_web(url) or urls.find_host_fault(url) is None


class Resources:
    """The protected resources of an application at one origin and mount path, and those of other servers.

    Iterating yields the parts of the application.

    :param origin: scheme and host, such as ``https://api.example``.
    :param mount: the path at which the application is mounted.
    :param outside_scopes: the scope values that guards outside all resources require.
    :param is_open_outside: whether a guard outside all resources accepts tokens with any scope.
    """

    def __init__(
        self,
        described: Iterable[Resource],
        origin: str,
        mount: str = "",
        outside_scopes: Iterable[str] = (),
        is_open_outside: bool = False,
    ) -> None:
        self.origin = origin
        self._outside_scopes = frozenset(outside_scopes)
        self._is_open_outside = is_open_outside
        described = list(described)
        self._own = [
            replace(
                resource,
                identifier=f"{origin}{mount}{resource.path}".rstrip("/"),
                metadata_url=f"{origin}{WELL_KNOWN}{mount}{resource.path}".rstrip("/"),
            )
            for resource in described
            if resource.path
        ]
        self.all: Sequence[Resource] = [*(resource for resource in described if not resource.path), *self._own]
        """The parts of the application, and the resources of other servers."""
        self._by_name = {_canonical(resource.identifier): resource for resource in self.all}
        self._prefixes = [resource for resource in self.all if resource.is_prefix]

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)

    def at(self, path: str) -> Resource | None:
        """Return the innermost resource that covers a path of the application, or None."""
        return innermost(self._own, path)

    def named(self, uri: str) -> Resource | None:
        """Return the resource with an identifier, or None. A URL below a prefix is an identifier of its own."""
        name = _canonical(uri)
        found = self._by_name.get(name)
        if found is None and len(self._own) == 1 and name == _canonical(self.origin):
            return self._own[0]
        if found is None and self._prefixes and not _has_dots(name):
            around = [one for one in self._prefixes if name.startswith(f"{_canonical(one.identifier)}/")]
            if around:
                return replace(max(around, key=lambda one: len(one.identifier)), identifier=name)
        return found

    def of_scope(self, scope: Scope) -> Sequence[Resource]:
        """Return the resources that a token with this scope is for by default.

        These are the resources that use all values of the scope that any resource uses. If views outside all resources
        use all values too, the token is for no resource. A token without scope is for the resources that require none.
        """
        requested = set(scope) - _NO_PERMISSION
        own = {value for value in requested if any(value in resource.all_scopes for resource in self.all)}
        if requested and requested <= self._outside_scopes:
            return ()
        if own:
            return [resource for resource in self.all if own.issubset(resource.all_scopes)]
        is_of_use = self._is_open_outside or not requested.isdisjoint(self._outside_scopes)
        return () if is_of_use else [resource for resource in self.all if not resource.scopes]

    def opens_elsewhere(self, scope: Scope) -> bool:
        """Return whether a token that is for no resource of the application can be of use.

        A view outside all resources may accept it, or another application that uses introspection.
        """
        known = {value for resource in self.all for value in resource.all_scopes}
        requested = set(scope) - _NO_PERMISSION
        is_unknown = bool(requested) and requested.isdisjoint(known)
        return self._is_open_outside or is_unknown or not requested.isdisjoint(self._outside_scopes)

    def scope_at(self, identifier: str, scope: Scope, others: Iterable[str]) -> Scope:
        """Return the part of a scope that is for one resource: without the values that only ``others`` use."""
        own = self.named(identifier)
        known = set(own.all_scopes if own else ())
        foreign = {value for name in others if (other := self.named(name)) for value in other.all_scopes} - known
        return tuple(value for value in scope if value not in foreign)

    @property
    def of_root(self) -> Resource | None:
        """The resource for metadata requests without a path: the only one, the one at ``/``, or the only MCP server."""
        if len(self._own) == 1:
            return self._own[0]
        at_root = [resource for resource in self._own if resource.path == "/"]
        of_mcp = [resource for resource in self._own if resource.is_mcp]
        return next((found[0] for found in (at_root, of_mcp) if len(found) == 1), None)


def is_same(one: str, other: str) -> bool:
    """Return whether two URIs identify the same resource."""
    return one == other or _canonical(one) == _canonical(other)


def _has_dots(uri: str) -> bool:
    """Return whether a path has dot segments or encoded characters that a server may read as such segments."""
    path = uri.partition("?")[0].lower()
    return "%2e" in path or "%2f" in path or "%5c" in path or not {".", ".."}.isdisjoint(path.split("/"))


def _canonical(uri: str) -> str:
    """Return a normalized URI for comparison: :rfc:`3986#section-6.2.3`, and without a trailing slash."""
    parts = urls.parse(uri)
    if parts is None or not parts.hostname or "@" in parts.netloc or uri.endswith("?"):
        return uri
    query = f"?{parts.query}" if parts.query else ""
    return f"{urls.origin(uri)}{parts.path.rstrip('/')}{query}"
