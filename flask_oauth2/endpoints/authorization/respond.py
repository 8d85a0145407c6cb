"""The answer to an authorization request, :rfc:`6749#section-4.1.2`: its parameters, and how they travel."""

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
    """Parameters for the client, and how they travel."""

    redirect_uri: str
    mode: str
    parameters: Mapping[str, str]

    @property
    def location(self) -> str:
        """The redirect URI with the parameters in its query or fragment."""
        # "The redirection endpoint URI MAY include [...] query component, which MUST be retained", section 3.1.2
        add = urls.add_fragment if self.mode == "fragment" else urls.add_query
        return add(self.redirect_uri, self.parameters.items())


def respond(server: AuthorizationServer, approval: Approval) -> tuple[dict[str, str], list[Grant | Token]]:
    """Return the parameters that each response type of the request adds, and the rows to save for them."""
    answer: dict[str, str] = {}
    rows: list[Grant | Token] = []
    for name in approval.request.response_types:
        parameters, more = server.capabilities.response_types[name].respond(server, approval, answer)
        answer.update(parameters)
        rows.extend(more)
    return answer, rows


def address(server: AuthorizationServer, request: AuthorizationRequest, parameters: Mapping[str, str]) -> Answer:
    """Return the answer with these parameters, or the error."""
    told = dict(parameters)
    if request.state is not None:
        # "REQUIRED if the "state" parameter was present in the client authorization request. The exact value"
        told["state"] = request.state
    # "MUST indicate its identity", in error responses too, :rfc:`9207#section-2`
    told["iss"] = server.issuer
    return Answer(request.redirect_uri, request.response_mode, told)
