"""How an authorization response travels: query, fragment or form_post."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import InvalidRequest
from ..messages import Params

MODES = ("query", "fragment", "form_post")


def read(params: Params, defaults: Iterable[str]) -> str:
    """The mode of all answers to a request, errors too (Multiple Response Types, section 2.1).

    ``defaults`` are those of the response types; where one is ``fragment``, ``query`` would leak what it carries
    (section 3). Raises :exc:`InvalidRequest`, to be shown to the user: the client could not be told.
    """
    default = "fragment" if "fragment" in defaults else "query"
    mode = params.get("response_mode") or default
    if mode not in MODES or (mode == "query" and default == "fragment"):
        raise InvalidRequest(
            "response_mode is not supported here",
            rule="oauth-v2-multiple-response-types-1_0 2.1",
            expected=f"one of {', '.join(MODES)}, and no query for tokens",
            came=mode,
            cure="let the client leave out response_mode, or send one that the metadata document names",
        )
    return mode
