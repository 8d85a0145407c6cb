"""Resource indicators, :rfc:`8707`: the protected resources that a token is for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .. import addresses
from ..errors import InvalidScope, InvalidTarget
from ..http import urls
from ..http.messages import Params
from ..resources import Resources
from ..scopes import Scope
from ..server import AuthorizationServer
from .request import AuthorizationRequest

if TYPE_CHECKING:
    from ..records import Authorization

MOST = 10
"""The maximum number of resources in a request. The server saves the resources with each code and token."""

_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]+\Z")
"""The characters of a URI without a fragment, :rfc:`3986#section-2`."""


def check(draft: AuthorizationRequest, server: AuthorizationServer) -> AuthorizationRequest:
    """Set the protected resources, see :func:`read`.

    If the response contains an access token, raise :exc:`InvalidTarget` for several resources.
    """
    if not server.resources:
        return draft
    resource = read(draft.params, draft.scope, addresses.find_resources(server, draft.http.mount))
    if "token" in draft.response_types:
        reject_several(resource)
    return draft._replace(resource=resource)


def read(params: Params, scope: Scope, resources: Resources) -> tuple[str, ...]:
    """Return the identifiers of the resources that an authorization is for.

    These are the resources that the request names. A request without ``resource`` is for the one resource that uses
    its scope. It is for no resource if views outside all resources use this scope too. Raise :exc:`InvalidTarget` if a
    resource is unknown or malformed (section 2), or if several resources use the scope. Raise :exc:`InvalidScope` if
    no view accepts a token with this scope.
    """
    requested = _named(params, resources)
    if requested:
        return requested
    if not scope and "authorization_details" in params.values:
        return ()  # their locations say what they are for
    known = resources.of_scope(scope)
    if len(known) > 1:
        raise InvalidTarget(
            "several resources use this scope: name one with the resource parameter",
            expected=f"one of {' '.join(resource.identifier for resource in known)}",
            received="no resource",
            hint="let the client send the resource parameter",
        )
    if not known and not resources.opens_elsewhere(scope):
        _reject_useless(scope, resources)
    return tuple(resource.identifier for resource in known)


def _reject_useless(scope: Scope, resources: Resources) -> None:
    """Raise the error of a request whose token every protected resource would reject."""
    names = [resource.identifier for resource in resources.all]
    if any(value in resource.all_scopes for resource in resources.all for value in scope):
        raise InvalidTarget(
            "no single resource uses all of this scope: name the resources with the resource parameter",
            expected=f"some of {' '.join(names)}",
            received="no resource",
            hint="let the client send the resource parameter, or request the scope of one resource only",
        )
    needed = " ".join(dict.fromkeys(value for resource in resources.all for value in resource.scopes))
    raise InvalidScope(
        "no protected resource accepts a token with this scope",
        expected=f"some of {needed}",
        received=" ".join(scope) or "no scope",
        hint="let the client request the scope that it needs, or set it in OAUTH2_DEFAULT_SCOPE",
    )


def choose(
    params: Params, authorization: Authorization, scope: Scope, resources: Resources
) -> tuple[tuple[str, ...], Scope]:
    """Return the audience of an access token (one resource) and the part of the scope that is for it, section 2.2.

    Raise :exc:`InvalidTarget` if the request names a resource that was not granted, or if several resources were
    granted and the request names none.
    """
    # an authorization may be older than the description of the resource: it is for the resource that uses its scope
    allowed = authorization.context.resource
    known = () if allowed else resources.of_scope(authorization.scope)
    granted = allowed or (tuple(resource.identifier for resource in known) if len(known) == 1 else ())
    requested = _named(params, resources) or granted
    beyond = [name for name in requested if name not in granted]
    if beyond:
        raise InvalidTarget(
            "the grant is not for this resource",
            rule="rfc8707 2.2",
            expected=f"one of {' '.join(granted) or 'no resources'}",
            received=beyond[0],
            hint="let the client name a resource of its authorization request",
        )
    reject_several(requested)
    if len(granted) > 1:
        scope = resources.scope_at(requested[0], scope, granted)
    return requested, scope


def reject_several(resource: tuple[str, ...]) -> None:
    """Raise :exc:`InvalidTarget` for several resources: an access token is for one, section 3."""
    if len(resource) > 1:
        raise InvalidTarget(
            "a token is for one resource: name one with the resource parameter",
            rule="rfc8707 2.2",
            expected=f"one of {' '.join(resource)}",
            received=len(resource),
            hint="let the client send one resource with each token request",
        )


def _named(params: Params, resources: Resources) -> tuple[str, ...]:
    """Return the identifiers of the resources that a request names. If the server knows no resources, ignore them."""
    if not resources.all:
        return ()
    named = params.every("resource")
    if len(named) > MOST:
        raise InvalidTarget("the request names too many resources", expected=f"at most {MOST}", received=len(named))
    found = []
    for uri in named:
        parts = urls.parse(uri) if _CHARACTERS.match(uri) else None
        if parts is None or not parts.scheme or not (parts.netloc or parts.path):
            # "Its value MUST be an absolute URI", and "MUST NOT include a fragment component", section 2
            raise InvalidTarget(
                "resource must be an absolute URI without a fragment",
                received=uri,
                hint="let the client send the identifier that the resource metadata names",
            )
        resource = resources.named(uri)
        if resource is None:
            raise InvalidTarget(
                "unknown resource",
                expected=f"one of {' '.join(known.identifier for known in resources.all)}",
                received=uri,
                hint="describe it with provider.protect_resource() or OAUTH2_RESOURCES, or correct the client",
            )
        found.append(resource.identifier)
    return tuple(dict.fromkeys(found))
