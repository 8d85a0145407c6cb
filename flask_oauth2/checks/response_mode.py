"""The ``response_mode`` parameter: the encoding of the authorization response as query, fragment or form post."""

from __future__ import annotations

from ..errors import InvalidRequest
from ..server import AuthorizationServer
from .request import AuthorizationRequest

MODES = ("query", "fragment", "form_post")


def check(draft: AuthorizationRequest, server: AuthorizationServer) -> AuthorizationRequest:
    """Set the mode of the response, including error responses, OAuth 2.0 Multiple Response Types 1.0 section 2.1.

    The default depends on the response types. Raise :exc:`InvalidRequest` for an unsupported mode. The user sees this
    error, because the client cannot receive it.
    """
    offered, names = server.capabilities.response_types, (draft.params.once("response_type") or "").split(" ")
    default = "query"
    for name in names:
        if name in offered and offered[name].mode == "fragment":
            default = "fragment"
    mode = draft.params.get("response_mode") or default
    # if the default is the fragment encoding, "the query encoding MUST NOT be used", section 5
    if mode not in MODES or (mode == "query" and default == "fragment"):
        raise InvalidRequest(
            "response_mode is not supported",
            rule="oauth-v2-multiple-response-types-1_0 2.1",
            expected=f"one of {', '.join(MODES)}, but not query for tokens",
            received=mode,
            hint="let the client omit response_mode or send a value of response_modes_supported",
        )
    return draft._replace(response_mode=mode)
