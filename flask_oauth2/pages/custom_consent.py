"""The application's own consent page, ``authorize_handler``: show it and read its form.

The form must hold a ticket that binds it to the user, the browser and the request, like the form of the built-in page,
:rfc:`6749#section-10.12`. A view need not know about tickets: the extension adds the ticket to a form without one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import flask
from markupsafe import Markup
from werkzeug.wrappers import Response

from ..clients.documents import find_host
from ..endpoints.authorization import ConsentNeeded
from ..http import urls
from ..records import User
from ..server import AuthorizationServer
from .base import new_answer_id, protect, read_ticket, write_ticket
from .clients import vouched
from .site import Site

_PURPOSE = "custom consent"
"""The purpose of its tickets. The built-in page does not accept them, as a custom view may ask the user for more."""

_VALUE = r"""(?:[^>"']|"[^"]*"|'[^']*')*"""
_POST_FORM = re.compile(rf"<form\b(?={_VALUE}\bmethod\s*=\s*[\"']?post\b){_VALUE}>", re.IGNORECASE)
_CROSS_HOST_ACTION = re.compile(r"""\baction\s*=\s*["']?\s*(?:[a-z][a-z0-9+.-]*:|[/\\]{2})""", re.IGNORECASE)
"""An action that may lead to another site, which must not receive the ticket."""


def is_form() -> bool:
    """Return whether the request is the form of such a page, and not an authorization request that is posted."""
    return flask.request.method == "POST" and "ticket" in flask.request.form


def read_form(provider: Site) -> tuple[dict[str, Any], User | None]:
    """Return the request that the form answers with the prompt that was shown, and the user who is signed in.

    Raise :exc:`~flask_oauth2.errors.InvalidRequest` for the form of another user or browser.
    """
    return read_ticket(provider, _PURPOSE, flask.request.form["ticket"])


def ask(view: Callable[..., Any], server: AuthorizationServer, needed: ConsentNeeded, query: str) -> Response | bool:
    """Return the page of the view, or its decision about the request of that ``query``."""
    request, user = needed.request, needed.user
    client, redirect_uri = request.client, request.redirect_uri
    ticket = write_ticket(
        server, _PURPOSE, user, {"query": query, "shown": needed.prompt, "answer_id": new_answer_id(server)}
    )
    shown = view(
        client=vouched(server, client, redirect_uri),
        client_host=find_host(client),
        is_unverified=client.is_unverified,
        resources=request.resource,
        user=user,
        host=urls.origin(redirect_uri),
        client_id=client.client_id,
        scopes=list(request.scope),
        authorization_details=deepcopy(list(request.authorization_details)),
        redirect_uri=redirect_uri,
        response_type=request.params.get("response_type"),
        state=request.state,
        request=request.http,
        ticket=ticket,
    )
    if isinstance(shown, bool):
        return shown
    response = protect(flask.make_response(shown))
    response.headers.setdefault("Content-Security-Policy", "frame-ancestors 'none'")
    if response.mimetype == "text/html" and not response.is_streamed and "Content-Encoding" not in response.headers:
        _add_ticket(response, ticket)
    return response


def _add_ticket(response: Response, ticket: str) -> None:
    """Put the ticket into the forms of a page that does not hold it."""
    html = response.get_data(as_text=True)
    if ticket in html:
        return
    field = str(Markup('<input type="hidden" name="ticket" value="{}">').format(ticket))

    def add(form: re.Match[str]) -> str:
        return form[0] if _CROSS_HOST_ACTION.search(form[0]) else form[0] + field

    response.set_data(_POST_FORM.sub(add, html))
