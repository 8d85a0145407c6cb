"""The authorization request as a value, :rfc:`6749#section-4.1.1`: the draft that the checks complete, one field each.

It stands below the grants, whose response types read it, and below the endpoint, which says which checks run and when.
"""

from __future__ import annotations

from typing import NamedTuple

from ..http.messages import Params, Request
from ..records import Client, Grant
from ..scopes import Scope

UNKNOWN = Client(client_id="")
"""The client of a draft whose client nobody has looked up yet."""


class AuthorizationRequest(NamedTuple):
    """An authorization request. A *draft* is one whose fields are not all set yet.

    A new parameter is one more field and one more check.
    """

    params: Params
    """The parameters, including those that no check knows. With ``request_uri``, the saved ones."""

    http: Request
    """The HTTP request with which the parameters arrived."""

    is_pushed: bool = False
    """Whether the client sends the request itself and has authenticated, :rfc:`9126#section-2.1`."""

    is_resumed: bool = False
    """Whether a signed ticket proves that this browser began with a saved request before it expired."""

    client: Client = UNKNOWN

    saved: Grant | None = None
    """The saved request that ``request_uri`` names. The answer consumes it."""

    request_uri: str | None = None
    """The name of a saved request, or the URI of a request object."""

    redirect_uri: str = ""
    """The URI that the answer goes to, also if the request names none."""

    state: str | None = None

    response_mode: str = ""
    """``query``, ``fragment`` or ``form_post``. It is set last of the fields that an error response needs."""

    response_types: tuple[str, ...] = ()
    """The response types in the order in which the server issues them, whatever the order in the request."""

    challenge: str | None = None
    """The PKCE code challenge, by S256."""

    scope: Scope = ()

    resource: tuple[str, ...] = ()
    """The identifiers of the protected resources, :rfc:`8707`."""

    prompt: frozenset[str] = frozenset()
