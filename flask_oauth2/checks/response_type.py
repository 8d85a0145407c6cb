"""The ``response_type`` parameter, :rfc:`6749#section-3.1.1`."""

from __future__ import annotations

from ..errors import UnauthorizedClient, UnsupportedResponseType, update_client
from ..server import AuthorizationServer
from .request import AuthorizationRequest


def check(draft: AuthorizationRequest, server: AuthorizationServer) -> AuthorizationRequest:
    """Set the response types, in the order in which the server issues them.

    Raise :exc:`~flask_oauth2.errors.InvalidRequest` if the parameter is missing, :exc:`UnsupportedResponseType` if the
    server does not support the types or their combination, and :exc:`UnauthorizedClient` if the client is not
    registered for them.
    """
    # "If [...] missing the "response_type" parameter, [...] MUST return an error response", section 3.1.1
    text, client, offered = draft.params.require("response_type"), draft.client, server.capabilities
    # "the order of values does not matter", section 3.1.1
    wanted = frozenset(text.split(" "))
    types = tuple(filter(wanted.__contains__, offered.response_types))
    if len(types) < len(wanted) or types not in offered.response_type_sets:
        raise UnsupportedResponseType(
            "response_type is not supported",
            expected=f"one of {', '.join(map(' '.join, offered.response_type_sets))}",
            received=text,
            hint="let the client send response_type=code",
        )
    has_type = text in client.response_types or wanted in [set(known.split(" ")) for known in client.response_types]
    if not has_type or not {offered.response_types[name].grant_type for name in types}.issubset(client.grant_types):
        raise UnauthorizedClient(
            "the client may not use this response_type",
            rule="rfc6749 4.1.2.1",
            expected=f"one of {', '.join(client.response_types)}, with its grant type",
            received=text,
            hint=update_client(client.client_id, "--response-type … --grant-type …, with all values of the client"),
        )
    return draft._replace(response_types=types)
