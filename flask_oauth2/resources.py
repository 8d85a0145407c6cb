"""Protected resources: the parts of an application that tokens are for, :rfc:`9728` and :rfc:`8707`.

A resource is named by the URL of its path. Whoever names it by the host in upper case, with a slash at the end or by
the port that its scheme has anyway means the same; so does, where it is the only one, whoever names its origin alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from .http import urls
from .scopes import Scope

WELL_KNOWN = "/.well-known/oauth-protected-resource"

_NO_PERMISSION = frozenset({"offline_access"})
"""Scope values that open nothing: they ask how long the client may act, OpenID Connect Core 1.0 section 11."""

_SLASHES = re.compile("//+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A part of the application, as :meth:`~flask_oauth2.OAuth2Provider.protect_resource` describes it.

    ``scopes`` is what each request needs; ``further`` what some need beside, by the guards of their views or because
    the application says so. ``identifier`` and ``metadata_url`` depend on where the application is mounted.
    With several issuers the path may have variables, such as ``/<tenant>/api``. The server of an issuer replaces them.
    """

    path: str
    scopes: Scope = ()
    further: Scope = ()
    name: str | None = None
    documentation: str | None = None
    policy_uri: str | None = None
    tos_uri: str | None = None
    is_mcp: bool = False
    identifier: str = ""
    metadata_url: str = ""

    @property
    def words(self) -> Scope:
        """All scope words that mean something here."""
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
        """Whether a path of the application belongs to it, however many slashes are in it: routing counts one."""
        path = _SLASHES.sub("/", path)
        if "<" in self.path:
            return _fits(self.path, path)
        return self.path == "/" or path == self.path or path.startswith(f"{self.path}/")


def innermost(described: Iterable[Resource], path: str) -> Resource | None:
    """Of the resources that a path belongs to the one that begins last."""
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


class Resources:
    """The resources of one application, mounted at one place of one origin.

    :param origin: scheme and host, such as ``https://api.example``.
    :param mount: the path below which the application answers.
    :param elsewhere: the scope values of guards that belong to no resource.
    :param is_open_elsewhere: whether a guard that belongs to no resource accepts any token.
    """

    def __init__(
        self,
        described: Iterable[Resource],
        origin: str,
        mount: str = "",
        elsewhere: Iterable[str] = (),
        is_open_elsewhere: bool = False,
    ) -> None:
        self.origin = origin
        self._elsewhere = frozenset(elsewhere)
        self._is_open_elsewhere = is_open_elsewhere
        self._all = [
            replace(
                resource,
                identifier=f"{origin}{mount}{resource.path}".rstrip("/"),
                metadata_url=f"{origin}{WELL_KNOWN}{mount}{resource.path}".rstrip("/"),
            )
            for resource in described
        ]
        self._by_name = {_canonical(resource.identifier): resource for resource in self._all}

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def at(self, path: str) -> Resource | None:
        """The innermost resource that a path of the application belongs to."""
        return innermost(self._all, path)

    def named(self, uri: str) -> Resource | None:
        """The resource of an identifier, None where there is none."""
        name = _canonical(uri)
        found = self._by_name.get(name)
        if found is None and len(self._all) == 1 and name == _canonical(self.origin):
            return self._all[0]
        return found

    def of_scope(self, scope: Scope) -> Sequence[Resource]:
        """Return the resources that a token of this scope is for by default.

        They know all scope values that belong to any resource; values that belong to none do not take part. There is
        none if views that belong to no resource know all values too. A token without scope is for the resources that
        need none.
        """
        words = set(scope) - _NO_PERMISSION
        own = {word for word in words if any(word in resource.words for resource in self._all)}
        if words and words <= self._elsewhere:
            return ()
        if own:
            return [resource for resource in self._all if own.issubset(resource.words)]
        is_of_use = self._is_open_elsewhere or not words.isdisjoint(self._elsewhere)
        return () if is_of_use else [resource for resource in self._all if not resource.scopes]

    def opens_elsewhere(self, scope: Scope) -> bool:
        """Return whether a token that is for no resource of the application can be of use.

        A view that belongs to none may accept it, or another application that asks for it by introspection.
        """
        known = {word for resource in self._all for word in resource.words}
        words = set(scope) - _NO_PERMISSION
        is_unknown = bool(words) and words.isdisjoint(known)
        return self._is_open_elsewhere or is_unknown or not words.isdisjoint(self._elsewhere)

    def scope_at(self, identifier: str, scope: Scope, others: Iterable[str]) -> Scope:
        """What of a scope is for one resource: without the words that only ``others`` know."""
        own = self.named(identifier)
        known = set(own.words if own else ())
        foreign = {word for name in others if (other := self.named(name)) for word in other.words} - known
        return tuple(word for word in scope if word not in foreign)

    @property
    def of_root(self) -> Resource | None:
        """The resource that is described where no path says which is meant: the only one, or the only one for MCP."""
        if len(self._all) == 1:
            return self._all[0]
        at_root = [resource for resource in self._all if resource.path == "/"]
        of_mcp = [resource for resource in self._all if resource.is_mcp]
        return next((found[0] for found in (at_root, of_mcp) if len(found) == 1), None)


def _canonical(uri: str) -> str:
    """A name by which two spellings of one URI are the same: :rfc:`3986#section-6.2.3`, and no slash at the end."""
    parts = urls.parse(uri)
    if parts is None or not parts.hostname or "@" in parts.netloc or uri.endswith("?"):
        return uri
    query = f"?{parts.query}" if parts.query else ""
    return f"{urls.origin(uri)}{parts.path.rstrip('/')}{query}"
