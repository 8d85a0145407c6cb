"""The ``response_mode`` parameter: how an authorization response travels, by query, fragment or form_post."""

from __future__ import annotations

from ..errors import InvalidRequest
from ..server import AuthorizationServer
from .request import AuthorizationRequest

MODES = ("query", "fragment", "form_post")


def check(draft: AuthorizationRequest, server: AuthorizationServer) -> AuthorizationRequest:
    """Read the mode of all answers to the request, of errors too (Multiple Response Types, section 2.1).

    The default is that of the response types. Raise :exc:`InvalidRequest`, which the user sees, as the client could not
    receive it.
    """
    offered, names = server.capabilities.response_types, (draft.params.once("response_type") or "").split(" ")
    default = "query"
    for name in names:
        if name in offered and offered[name].mode == "fragment":
            default = "fragment"
    mode = draft.params.get("response_mode") or default
    # for response types whose default is the fragment, "the query encoding MUST NOT be used", section 5
    if mode not in MODES or (mode == "query" and default == "fragment"):
        raise InvalidRequest(
            "response_mode is not supported here",
            rule="oauth-v2-multiple-response-types-1_0 2.1",
            expected=f"one of {', '.join(MODES)}, and no query for tokens",
            received=mode,
            hint="let the client leave out response_mode, or send one that the metadata document names",
        )
    return draft._replace(response_mode=mode)
