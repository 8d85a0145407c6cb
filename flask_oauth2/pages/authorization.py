"""The authorization endpoint as a person meets it: sign in, decide, go back to the client."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import flask
from itsdangerous import BadData
from werkzeug.wrappers import Response

from .. import uris, values, web
from ..answering import answer
from ..clients import lookup
from ..clients.documents import find_host, is_elsewhere
from ..endpoints import authorization
from ..endpoints.authorization import Answer, AnsweredBefore, Asked, ConsentNeeded, LeaveNeeded, LoginNeeded, Shown
from ..errors import InvalidRequest, TemporarilyUnavailable
from ..messages import Params
from ..records import Client
from . import own_view
from .base import (
    LONGEST_KEPT,
    PATIENCE,
    ClientRedirect,
    describe,
    describe_error,
    describe_resources,
    is_of_session,
    keep,
    new_answer_id,
    page,
    protect,
    read_ticket,
    redirect,
    send_to_login,
    serializer,
    session_id,
    show_error,
    write_ticket,
)
from .clients import describe_client, vouched

if TYPE_CHECKING:
    from ..provider import OAuth2Provider
    from ..server import AuthorizationServer

KEPT = "flask_oauth2_request"
"""The parameter that names a request which was too long for a URL."""

SENT_AT = "flask_oauth2_sent_at"
"""The parameter that says when the request sent somebody to the login page, by ``prompt``."""

LONGEST_QUERY = 2000
"""Characters of a query that every browser, proxy and server takes."""

_PURPOSE = "consent"


def authorize(provider: OAuth2Provider) -> Response:
    """The authorization endpoint."""
    is_own_form = provider.consent_view is not None and own_view.is_form()
    return _respond(provider, _read_own_form if is_own_form else _read_asked)


def decide(provider: OAuth2Provider) -> Response:
    """What our consent page sends. It is good for the user and the browser that it was shown to, and nobody else."""
    return _respond(provider, _read_decision)


def asking_client(provider: OAuth2Provider) -> Client | None:
    """Return the client of the request that the login page sends back to with ``next``, as a page may show it."""
    try:
        parts = urlsplit(flask.request.args.get("next", ""))
    except ValueError:
        return None
    client_id = parse_qs(parts.query).get("client_id", [""])[0]
    is_ours = parts.path == flask.url_for("oauth2.authorize") and not parts.netloc
    client = lookup.find_known_client(provider.server, client_id) if is_ours and client_id else None
    return None if client is None else vouched(provider.server, client)


def _respond(provider: OAuth2Provider, read: Callable[[OAuth2Provider, AuthorizationServer], Asked]) -> Response:
    server = provider.server
    return answer(
        server, web.read(), lambda: _go_on(provider, server, read(provider, server)), partial(show_error, server)
    )


def _go_on(provider: OAuth2Provider, server: AuthorizationServer, asked: Asked) -> Response:
    """The answer to the client, or the page that is needed first."""
    outcome = authorization.respond(server, asked)
    if isinstance(outcome, Answer):
        return _send(outcome)
    if isinstance(outcome, LoginNeeded):
        return _hand_off(provider, server, outcome, asked)
    if isinstance(outcome, LeaveNeeded):
        # the first has its answer, the second can be tried again here
        is_ours = isinstance(outcome.error, AnsweredBefore | TemporarilyUnavailable)
        return show_error(server, outcome.error, outcome.error_id) if is_ours else _ask_to_leave(server, outcome)
    if provider.consent_view is None:
        return _ask(provider, server, outcome, asked)
    if flask.request.method == "HEAD":  # a view would take it for a decision, as it would a request that is posted
        return protect(flask.Response())
    if flask.request.method == "POST" and (asked.allowed or not asked.is_shown):
        return redirect(_again(server, asked))
    shown = own_view.ask(provider.consent_view, server, outcome, asked, _write_query(server, asked, LONGEST_KEPT))
    if not isinstance(shown, bool):
        return shown
    # what a form answers is what its page has said; a view that asks nobody has seen what is asked for now
    seen = asked.shown if asked.is_shown else outcome.shown
    return _go_on(provider, server, replace(asked, allowed=shown, shown=seen))


def _read_asked(provider: OAuth2Provider, server: AuthorizationServer) -> Asked:
    request = web.read()
    params = request.parameters
    return _take_up(server, Asked(request, params, provider.get_current_user, sent_at=_read_sent_at(server, params)))


def _read_sent_at(server: AuthorizationServer, params: Params) -> int | None:
    ticket = params.once(SENT_AT)
    if ticket is None:
        return None
    try:
        session, digest, sent_at = serializer(server, SENT_AT).loads(ticket, max_age=PATIENCE)
    except BadData:
        return None
    is_ours = is_of_session(session) and digest == _digest(_encode(params))
    return int(sent_at) if is_ours else None


def _take_up(server: AuthorizationServer, asked: Asked) -> Asked:
    """A request that was kept, in place of its name."""
    name = asked.params.get(KEPT)
    if name is None:
        return asked
    kept = server.store.get_grant(values.key(name), "request")
    if kept is None or kept.is_expired(server.clock()):
        raise InvalidRequest("this request has expired: go back to the application and begin again", rule="rfc9126 4")
    return replace(asked, params=Params(kept.parameters["query"].encode()), kept=kept, kept_as=name)


def _read_decision(provider: OAuth2Provider, server: AuthorizationServer) -> Asked:
    request = web.read()
    content, user = read_ticket(provider, _PURPOSE, request.form.require("ticket"))
    decision = request.form.require("decision")
    if decision not in ("allow", "deny"):
        raise InvalidRequest("decision must be allow or deny")
    params = Params(content["query"].encode())
    allowed, shown = decision == "allow", Shown(*content["shown"])
    asked = Asked(request, params, lambda: user, allowed, shown=shown, answer_id=content.get("answer_id"))
    return _take_up(server, asked)


def _read_own_form(provider: OAuth2Provider, server: AuthorizationServer) -> Asked:
    content, user = own_view.read_form(provider)
    params, shown = Params(content["query"].encode()), Shown(*content["shown"])
    asked = Asked(web.read(), params, lambda: user, is_shown=True, shown=shown, answer_id=content.get("answer_id"))
    return _take_up(server, asked)


def _hand_off(provider: OAuth2Provider, server: AuthorizationServer, needed: LoginNeeded, asked: Asked) -> Response:
    """To the login page. Who came back from there as they went is told why, or could go round for ever."""
    back = _again(server, replace(asked, sent_at=needed.sent_at))
    client = needed.client
    if client is None or needed.user is None or asked.sent_at is None:
        return send_to_login(provider, back)
    # without a login view, the request goes to the unauthorized_handler again, as if nobody had been there
    is_known = provider.has_login_view
    return page(
        "oauth2/sign_in.html",
        form_action="'none'",
        **describe_client(server, client),
        user=needed.user,
        login_url=provider.login_url(back) if is_known else _again(server, replace(asked, sent_at=None)),
    )


def _ask(provider: OAuth2Provider, server: AuthorizationServer, needed: ConsentNeeded, asked: Asked) -> Response:
    """Our own consent page."""
    client, user = needed.client, needed.user
    redirect_uri, scope, resource = needed.shown
    # somebody else may take over a request that fits into a URL; to keep one for each page shown would be too much
    fits = asked.kept is not None or len(uris.encode(asked.params.pairs())) <= LONGEST_QUERY
    return page(
        "oauth2/consent.html",
        form_action=None,
        **describe_client(server, client, redirect_uri),
        is_unproven=find_host(client) is not None and uris.is_interceptable(redirect_uri),
        is_elsewhere=is_elsewhere(client, redirect_uri),
        host=uris.origin(redirect_uri),
        user=user,
        resources=describe_resources(server, resource, asked.request.mount),
        scopes=describe(server, scope),
        asks_again=bool(needed.allowed_before),
        new_scopes=set(scope) - set(needed.allowed_before),
        switch_url=provider.login_url(_again(server, asked)) if fits and provider.has_login_view else None,
        can_end=server.consents is not None,
        ticket=write_ticket(
            server,
            _PURPOSE,
            user,
            {
                "query": _write_query(server, asked, LONGEST_KEPT),
                "shown": needed.shown,
                "answer_id": new_answer_id(server),
            },
        ),
    )


def _ask_to_leave(server: AuthorizationServer, needed: LeaveNeeded) -> Response:
    """Where somebody would have been sent whom nobody knows here, to a page that may look like one of this site."""
    answer, is_form = needed.answer, needed.answer.mode == "form_post"
    return page(
        "oauth2/leave.html",
        400,
        form_action=None if is_form else "'none'",
        **describe_client(server, needed.client, answer.redirect_uri),
        host=uris.origin(answer.redirect_uri),
        url=answer.redirect_uri if is_form else _locate(answer),
        parameters=answer.parameters.items() if is_form else (),
        **describe_error(server, needed.error, needed.error_id),
    )


def _send(answer: Answer) -> Response:
    if answer.mode == "form_post":
        return page(
            "oauth2/form_post.html",
            form_action=None,
            redirect_uri=answer.redirect_uri,
            parameters=answer.parameters.items(),
        )
    return ClientRedirect(_locate(answer))


def _locate(answer: Answer) -> str:
    add = uris.add_fragment if answer.mode == "fragment" else uris.add_query
    return add(answer.redirect_uri, answer.parameters.items())


def _again(server: AuthorizationServer, asked: Asked) -> str:
    """The URL of the same request."""
    query = _write_query(server, asked, LONGEST_QUERY)
    if asked.sent_at is not None:
        ticket = serializer(server, SENT_AT).dumps([session_id(), _digest(query), asked.sent_at])
        query = f"{query}&{SENT_AT}={ticket}"
    return f"{flask.url_for('oauth2.authorize')}?{query}"


def _encode(params: Params) -> str:
    return uris.encode([pair for pair in params.pairs() if pair[0] != SENT_AT])


def _digest(query: str) -> str:
    """Tells a request from others: nobody has signed in for another one."""
    return sha256(query.encode()).hexdigest()


def _write_query(server: AuthorizationServer, asked: Asked, longest: int) -> str:
    """The request, to be sent again; where it is too long, the name of a row that is filed to keep it."""
    if asked.kept_as is not None:
        return uris.encode([(KEPT, asked.kept_as)])
    query = _encode(asked.params)
    if len(query) <= longest:
        return query
    if len(query) > LONGEST_KEPT:
        raise InvalidRequest("the request is too long", expected=f"at most {LONGEST_KEPT} characters", status=413)
    return uris.encode([(KEPT, keep(server, "request", {"query": query}, asked.request.address))])
