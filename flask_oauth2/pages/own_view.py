"""A consent page of the application's own, ``authorize_handler``: shown, and its form read.

A form that holds our ticket is bound to the person and the browser like that of our own page. A form that was written
for flask-oauthlib holds none. For such a page the session keeps what was shown to whom, by client and ``state``, and
the form must come from this site and ask for nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from inspect import signature
from typing import TYPE_CHECKING, Any

import flask
from werkzeug.wrappers import Response

from .. import uris
from ..endpoints.authorization import Asked, ConsentNeeded
from ..messages import Params
from ..records import User
from .base import LONGEST_KEPT, PATIENCE, protect, read_ticket, stale, write_ticket

if TYPE_CHECKING:
    from ..provider import OAuth2Provider
    from ..server import Server

_PURPOSE = "own consent"
"""Of tickets, which our own consent page therefore does not take: a view of the application's own may ask for more."""

_SHOWN = "_flask_oauth2_shown"
"""Where the session keeps the requests that pages without our ticket were shown for."""

_MOST_SHOWN = 3

_LONGEST = 1000
"""Characters of a request in the session; a longer one is kept as a row."""

_CURE = 'put <input type="hidden" name="ticket" value="{{ ticket }}"> into the form of the consent page'


def is_form() -> bool:
    """Whether the request is the form of such a page, and not an authorization request that is posted."""
    request = flask.request
    return request.method == "POST" and ("ticket" in request.form or _name_of_form() in flask.session.get(_SHOWN, {}))


def read_form(provider: OAuth2Provider) -> tuple[str, User | None]:
    """The request that the form answers, as a query, and who is signed in. Raises :exc:`InvalidRequest`."""
    if "ticket" in flask.request.form:
        content, user = read_ticket(provider, _PURPOSE, flask.request.form["ticket"])
        return str(content["query"]), user
    shown, user = flask.session[_SHOWN][_name_of_form()], provider.get_current_user()
    if shown is None or not _is_from_here():
        raise stale(_CURE)
    query, _, fields, user_id, shown_at = shown
    is_late = shown_at + PATIENCE < provider.server.clock()
    if is_late or (user is not None and user.id != user_id) or _contradicts(fields):
        raise stale(_CURE)
    return str(query), user


def ask(
    view: Callable[..., Any], server: Server, needed: ConsentNeeded, asked: Asked, write_query: Callable[[int], str]
) -> Response | bool:
    """What the view shows, or what it decided.

    :param write_query: writes the request as a query of at most so many characters.
    """
    params, user, client_id = asked.params, needed.user, needed.client.client_id
    ticket = write_ticket(server, _PURPOSE, user, {"query": write_query(LONGEST_KEPT)})
    ours = {"client": needed.client, "user": user, "host": uris.origin(needed.redirect_uri)}
    named = signature(view).parameters  # a view of flask-oauthlib may pass things of these names on by itself
    shown = view(
        **{name: value for name, value in ours.items() if name in named},
        client_id=client_id,
        scopes=list(needed.scope),
        redirect_uri=needed.redirect_uri,
        response_type=params.get("response_type"),
        state=params.get("state"),
        request=asked.request,
        ticket=ticket,
    )
    if isinstance(shown, bool):
        return shown
    response = flask.make_response(shown)
    if response.is_streamed or ticket not in response.get_data(as_text=True):
        _remember(server, needed, params, write_query)
    # browsers then name our own origin with the form, which no other site's form has
    response.headers.setdefault("Referrer-Policy", "same-origin")
    response.headers.setdefault("Content-Security-Policy", "frame-ancestors 'none'")
    return protect(response)


def _remember(server: Server, needed: ConsentNeeded, params: Params, write_query: Callable[[int], str]) -> None:
    """What the page was shown for. Where a form could be of two pages that differ, only the ticket tells them apart."""
    before = dict(flask.session.get(_SHOWN, {}))
    name = _name(needed.client.client_id, params.get("state"))
    digest = sha256(uris.encode(params.pairs()).encode()).hexdigest()[:16]
    known = before.pop(name, [None, digest])
    shown = None
    if known is not None and known[1] == digest:
        fields = {"scope": list(needed.scope), "redirect_uri": needed.redirect_uri}
        shown = [write_query(_LONGEST), digest, fields, needed.user.id, int(server.clock())]
    flask.session[_SHOWN] = dict([*before.items(), (name, shown)][-_MOST_SHOWN:])


def _contradicts(fields: dict[str, Any]) -> bool:
    """Whether the form asks for something else than was shown."""
    form = flask.request.form
    scope, redirect_uri = form.get("scope"), form.get("redirect_uri")
    return (scope is not None and set(scope.split()) != set(fields["scope"])) or (
        redirect_uri is not None and redirect_uri != fields["redirect_uri"]
    )


def _is_from_here() -> bool:
    """Whether the browser says that a page of this site sent the form, :rfc:`6749#section-10.12`."""
    headers = flask.request.headers
    fetched_from = headers.get("Sec-Fetch-Site")
    if fetched_from is not None:
        return fetched_from == "same-origin"
    return headers.get("Origin", "") == flask.request.host_url.rstrip("/")


def _name_of_form() -> str:
    return _name(flask.request.values.get("client_id"), flask.request.values.get("state"))


def _name(client_id: str | None, state: str | None) -> str:
    return sha256(json.dumps([client_id, state or ""]).encode()).hexdigest()[:16]
