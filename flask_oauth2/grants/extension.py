"""A grant that an application adds, :rfc:`6749#section-4.5`: a function from token request to :class:`TokenGrant`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from ..errors import ConfigurationError
from ..records import Authorization, Grant, Token
from ..tokens.base import TokenGrant, TokenRequest


@dataclass(frozen=True, slots=True)
class ExtensionGrant:
    """A function that implements a grant type. Its name is an absolute URI."""

    name: str
    function: Callable[[TokenRequest], TokenGrant]

    def authorize(self, request: TokenRequest) -> TokenGrant:
        """Return the result of the function.

        Raise :exc:`ConfigurationError` if it is not a :class:`TokenGrant`, or has a wrong field.
        """
        grant: object = self.function(request)
        if not isinstance(grant, TokenGrant):
            raise ConfigurationError(f"the grant {self.name} must return a TokenGrant, not {type(grant).__name__}")
        if (problem := _find_problem(grant, request)) is not None:
            raise ConfigurationError(f"the grant {self.name} returned a TokenGrant with a wrong field: {problem}")
        return grant


def _find_problem(grant: TokenGrant, request: TokenRequest) -> str | None:
    """Return a description of the first wrong field of a token grant, or None. It contains no value of a user."""
    authorization, lifetime = grant.authorization, grant.lifetime
    if not isinstance(authorization, Authorization):
        return f"authorization must be an Authorization, not {type(authorization).__name__}"
    if authorization.client_id != request.client.client_id:
        return "authorization must be of the client that sent the request: use request.authorization()"
    types: dict[str, Any] = {
        "spend": Grant | Token | None,
        "refresh": bool,
        "format": str | None,
        "answer": Mapping,
        "confirmation": Mapping | None,
    }
    for name, expected in types.items():
        if not isinstance(value := getattr(grant, name), expected):
            names = [kind.__name__ for kind in get_args(expected) or (expected,)]
            shown = " | ".join(names).replace("NoneType", "None")
            return f"{name} must be {shown}, not {type(value).__name__}"
    if lifetime is not None and (not isinstance(lifetime, int) or isinstance(lifetime, bool) or lifetime < 0):
        return "lifetime must be a number of seconds, or None"
    return _find_scope_problem(grant) or _find_json_problem(grant)


def _find_scope_problem(grant: TokenGrant) -> str | None:
    authorization = grant.authorization
    for name, scope in (("scope", grant.scope), ("the scope of authorization", authorization.scope)):
        if scope is not None and not (isinstance(scope, tuple) and all(isinstance(value, str) for value in scope)):
            return f"{name} must be a tuple of scope values, such as ('profile',)"
    beyond = set(grant.scope or ()).difference(authorization.scope)
    return f"scope exceeds that of the authorization by {' '.join(sorted(beyond))}" if beyond else None


def _find_json_problem(grant: TokenGrant) -> str | None:
    """Look for values that cannot be saved or sent. The credential is not consumed yet."""
    for name, members in (("answer", grant.answer), ("claims of authorization", grant.authorization.context.claims)):
        try:
            json.dumps(dict(members), allow_nan=False)
        except (TypeError, ValueError) as error:
            return f"{name} must have JSON values: {error}"
    return None
