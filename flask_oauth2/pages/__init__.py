"""What people see: where to sign in, what to allow, what went wrong."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import flask
from itsdangerous import BadData, URLSafeTimedSerializer
from werkzeug.wrappers import Response

from .. import uris, values, web
from ..endpoints import authorization
from ..endpoints.authorization import Answer, Asked, ConsentNeeded, LoginNeeded
from ..errors import InvalidRequest, OAuth2Error
from ..messages import Params
from ..records import Grant

if TYPE_CHECKING:
    from ..provider import OAuth2Provider
    from ..server import Server

KEPT = "flask_oauth2_request"
"""The parameter that names a request which was too long for a URL."""

LONGEST_QUERY = 2000
"""Characters of a query that every browser, proxy and server takes."""

LONGEST_KEPT = 16 * 1024
"""Characters of a request that is kept for a person who has to sign in first; anybody can send one."""

PATIENCE = 3600
"""Seconds that a person has to sign in and to decide."""

_SESSION_KEY = "_flask_oauth2"

_HEADERS = {
    "Cache-Control": "no-store",
    "Pragma": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
}


def authorize(provider: OAuth2Provider) -> Response:
    """The authorization endpoint as a person meets it."""
    return provider.server.answer(_answer, _show_error, provider, _read_asked)


def decide(provider: OAuth2Provider) -> Response:
    """What the consent page sends. It is good for the user and the browser that it was shown to, and nobody else."""
    return provider.server.answer(_answer, _show_error, provider, _read_decision)


def _answer(provider: OAuth2Provider, read: Callable[[OAuth2Provider, Server], Asked]) -> Response:
    server = provider.server
    asked = read(provider, server)
    outcome = authorization.respond(server, asked)
    if isinstance(outcome, Answer):
        return _send(outcome)
    if isinstance(outcome, LoginNeeded):
        query = _query(server, asked, LONGEST_QUERY)
        return _redirect(provider.login_url(f"{flask.url_for('oauth2.authorize')}?{query}"))
    return _ask(server, outcome, asked)


def _read_asked(provider: OAuth2Provider, server: Server) -> Asked:
    request = web.read()
    return _take_up(server, Asked(request, request.parameters, provider.get_current_user()))


def _take_up(server: Server, asked: Asked) -> Asked:
    """A request that was kept, in place of its name."""
    name = asked.params.get(KEPT)
    if name is None:
        return asked
    kept = server.store.get_grant(values.key(name), "request")
    if kept is None or kept.expires_at <= server.clock():
        raise InvalidRequest("this request has expired: go back to the application and begin again", rule="rfc9126 4")
    return replace(asked, params=Params(kept.parameters["query"].encode()), kept=kept, kept_as=name)


def _read_decision(provider: OAuth2Provider, server: Server) -> Asked:
    request = web.read()
    stale = InvalidRequest(
        "this page is no longer valid: go back to the application and begin again",
        rule="rfc6749 10.12",
        expected="the consent page of this session and user",
    )
    try:
        ticket = _serializer(server).loads(request.form.require("ticket"), max_age=PATIENCE)
    except BadData:
        raise stale from None
    session = flask.session.get(_SESSION_KEY, "")
    if not hmac.compare_digest(ticket["session"], session):
        raise stale
    user = provider.get_current_user()
    if user is not None and user.id != ticket["user"]:
        raise stale
    decision = request.form.require("decision")
    if decision not in ("allow", "deny"):
        raise InvalidRequest("decision must be allow or deny")
    return _take_up(server, Asked(request, Params(ticket["query"].encode()), user, decision == "allow"))


def _ask(server: Server, needed: ConsentNeeded, asked: Asked) -> Response:
    session = flask.session.setdefault(_SESSION_KEY, secrets.token_urlsafe(16))
    ticket = {"session": session, "user": needed.user.id, "query": _query(server, asked, LONGEST_KEPT)}
    descriptions = server.settings.scopes
    return _page(
        "oauth2/consent.html",
        form_action=f"'self' {uris.form_action(needed.redirect_uri)}",
        client=needed.client,
        host=uris.origin(needed.redirect_uri),
        user=needed.user,
        scopes=[(word, descriptions.get(word, word)) for word in needed.scope],
        ticket=_serializer(server).dumps(ticket),
    )


def _send(answer: Answer) -> Response:
    parameters = answer.parameters.items()
    if answer.mode == "form_post":
        return _page(
            "oauth2/form_post.html",
            form_action=uris.form_action(answer.redirect_uri),
            redirect_uri=answer.redirect_uri,
            parameters=parameters,
        )
    add = uris.add_fragment if answer.mode == "fragment" else uris.add_query
    return _redirect(add(answer.redirect_uri, parameters))


def _show_error(error: OAuth2Error, error_id: str) -> Response:
    status = error.status if error.status >= 402 else 400
    page = _page("oauth2/error.html", status, form_action="'none'", error=error, error_id=error_id)
    page.headers.update(error.headers)
    return page


def _query(server: Server, asked: Asked, longest: int) -> str:
    """The request, to be sent again; where it is too long, the name of a row that keeps it."""
    if asked.kept_as is not None:
        return uris.encode([(KEPT, asked.kept_as)])
    query = uris.encode(asked.params.pairs())
    if len(query) <= longest:
        return query
    if len(query) > LONGEST_KEPT:
        raise InvalidRequest("the request is too long", expected=f"at most {LONGEST_KEPT} characters", status=413)
    now = server.clock()
    name, key = values.mint(server.settings.prefixes["request"], values.stamp(now))
    kept = Grant(key=key, kind="request", parameters={"query": query}, expires_at=int(now) + PATIENCE)
    server.store.issue(None, [kept], int(now))
    return uris.encode([(KEPT, name)])


def _serializer(server: Server) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(list(server.settings.secret_keys), salt="flask_oauth2.consent")


def _redirect(location: str) -> Response:
    # "SHOULD use HTTP status code 303", :rfc:`9700#section-4.12`; 307 would send a form on
    return Response(status=303, headers={**_HEADERS, "Location": location})


def _page(template: str, status: int = 200, *, form_action: str, **context: Any) -> Response:
    response = flask.make_response(flask.render_template(template, **context), status)
    response.headers.update(_HEADERS)
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self'; style-src 'self'; form-action {form_action}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    return response
