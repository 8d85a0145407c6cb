"""The authorization request, :rfc:`6749#section-4.1.1`: a value whose fields the checks set, one field each.

The layer of this module is below the grants, whose response types read the request, and below the authorization
endpoint, which defines the order of the checks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..http.messages import Params, Request
from ..records import Client, Grant
from ..scopes import Scope

UNKNOWN = Client(client_id="")
"""The client of a draft before the client is looked up."""


class AuthorizationRequest(NamedTuple):
    """An authorization request. A *draft* is one whose fields are not all set yet.

    A new parameter is one more field and one more check.
    """

    params: Params
    """The parameters, including unknown ones. If the request has a ``request_uri``, the saved parameters."""

    http: Request
    """The HTTP request with which the parameters arrived."""

    is_pushed: bool = False
    """True if the client pushed the request and authenticated, :rfc:`9126#section-2.1`."""

    is_resumed: bool = False
    """True if a signed ticket proves that this browser opened the saved request before it expired."""

    client: Client = UNKNOWN

    saved: Grant | None = None
    """The saved request that ``request_uri`` names. The authorization response consumes it."""

    request_uri: str | None = None
    """The ``request_uri`` of a saved request, or the URI of a request object."""

    redirect_uri: str = ""
    """The URI that receives the response. If the request names none, the only registered one."""

    state: str | None = None

    response_mode: str = ""
    """``query``, ``fragment`` or ``form_post``. Of the fields that an error response needs, it is set last."""

    response_types: tuple[str, ...] = ()
    """The response types in the order in which the server issues them, regardless of their order in the request."""

    challenge: str | None = None
    """The PKCE code challenge, computed with S256."""

    scope: Scope = ()

    resource: tuple[str, ...] = ()
    """The identifiers of the protected resources, :rfc:`8707`."""

    authorization_details: tuple[dict[str, Any], ...] = ()
    """The permissions of :rfc:`9396`."""

    prompt: frozenset[str] = frozenset()

    max_age: int | None = None
    """The maximum number of seconds since the user signed in."""

    acr_values: tuple[str, ...] = ()
    """The accepted authentication context classes."""
