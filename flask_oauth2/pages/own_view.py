"""A consent page of the application's own, ``authorize_handler``: shown, and its form read.

Its form must hold our ticket, which binds it to the person, the browser and the request like that of our own page,
:rfc:`6749#section-10.12`. A page that was written for flask-oauthlib knows of no ticket, so it is put into its forms.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import signature
from typing import TYPE_CHECKING, Any

import flask
from markupsafe import Markup
from werkzeug.wrappers import Response

from .. import uris
from ..clients.documents import find_host
from ..endpoints.authorization import Asked, ConsentNeeded
from ..records import User
from .base import new_answer_id, protect, read_ticket, write_ticket
from .clients import vouched

if TYPE_CHECKING:
    from ..provider import OAuth2Provider
    from ..server import AuthorizationServer

_PURPOSE = "own consent"
"""Of tickets, which our own consent page therefore does not take: a view of the application's own may ask for more."""

_VALUE = r"""(?:[^>"']|"[^"]*"|'[^']*')*"""
_POST_FORM = re.compile(rf"<form\b(?={_VALUE}\bmethod\s*=\s*[\"']?post\b){_VALUE}>", re.IGNORECASE)
_ACTION_ELSEWHERE = re.compile(r"""\baction\s*=\s*["']?\s*(?:[a-z][a-z0-9+.-]*:|[/\\]{2})""", re.IGNORECASE)
"""An action that may lead to another site, which the ticket is not for."""


def is_form() -> bool:
    """Whether the request is the form of such a page, and not an authorization request that is posted."""
    return flask.request.method == "POST" and "ticket" in flask.request.form


def read_form(provider: OAuth2Provider) -> tuple[dict[str, Any], User | None]:
    """The request that the form answers and what was shown of it, and who is signed in.

    Raises :exc:`InvalidRequest`.
    """
    return read_ticket(provider, _PURPOSE, flask.request.form["ticket"])


def ask(
    view: Callable[..., Any], server: AuthorizationServer, needed: ConsentNeeded, asked: Asked, query: str
) -> Response | bool:
    """What the view shows, or what it decided about the request of that ``query``."""
    params, user = asked.params, needed.user
    redirect_uri, scope, resource = needed.shown
    ticket = write_ticket(
        server, _PURPOSE, user, {"query": query, "shown": needed.shown, "answer_id": new_answer_id(server)}
    )
    ours = {
        "client": vouched(server, needed.client, redirect_uri),
        "client_host": find_host(needed.client),
        "is_unverified": not needed.client.is_vetted,
        "resources": resource,
        "user": user,
        "host": uris.origin(redirect_uri),
    }
    named = signature(view).parameters  # a view of flask-oauthlib may pass things of these names on by itself
    shown = view(
        **{name: value for name, value in ours.items() if name in named},
        client_id=needed.client.client_id,
        scopes=list(scope),
        redirect_uri=redirect_uri,
        response_type=params.get("response_type"),
        state=params.get("state"),
        request=asked.request,
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
        return form[0] if _ACTION_ELSEWHERE.search(form[0]) else form[0] + field

    response.set_data(_POST_FORM.sub(add, html))
