"""The authorization response, :rfc:`6749#section-4.1.2`: its parameters and its response mode."""

from __future__ import annotations

from collections.abc import Mapping

from ...checks.request import AuthorizationRequest
from ...grants.base import Approval
from ...http import urls
from ...record import record
from ...records import Grant, Token
from ...server import AuthorizationServer


@record(frozen=True, slots=True)
class Answer:
    """An authorization response: parameters, redirect URI and response mode."""

    redirect_uri: str
    mode: str
    parameters: Mapping[str, str]

    @property
    def location(self) -> str:
        """The redirect URI with the parameters in its query or fragment."""
        # "query component [...], which MUST be retained when adding additional query parameters", RFC 6749 3.1.2
        add = urls.add_fragment if self.mode == "fragment" else urls.add_query
        return add(self.redirect_uri, self.parameters.items())


def respond(server: AuthorizationServer, approval: Approval) -> tuple[dict[str, str], list[Grant | Token]]:
    """Return the parameters that the response types of the request add, and the rows to save for them."""
    answer: dict[str, str] = {}
    rows: list[Grant | Token] = []
    for name in approval.request.response_types:
        parameters, more = server.capabilities.response_types[name].respond(server, approval, answer)
        answer.update(parameters)
        rows.extend(more)
    return answer, rows


def address(server: AuthorizationServer, request: AuthorizationRequest, parameters: Mapping[str, str]) -> Answer:
    """Return a successful response or an error response to the client, with ``state`` and ``iss``."""
    members = dict(parameters)
    if request.state is not None:
        # "REQUIRED if the "state" parameter was present in the client authorization request", RFC 6749 4.1.2
        members["state"] = request.state
    # "an authorization server [...] MUST indicate its identity", in error responses too, RFC 9207 2
    members["iss"] = server.issuer
    return Answer(request.redirect_uri, request.response_mode, members)
