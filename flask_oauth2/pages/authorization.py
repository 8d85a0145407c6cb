"""The authorization endpoint as a person meets it: sign in, decide, go back to the client."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from inspect import signature
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import flask
from werkzeug.wrappers import Response

from .. import uris, values, web
from ..endpoints import authorization
from ..endpoints.authorization import Answer, Asked, ConsentNeeded, LoginNeeded
from ..errors import InvalidRequest, OAuth2Error
from ..messages import Params
from ..records import Client, Grant
from ..stores.base import find_consents
from .base import HEADERS, PATIENCE, describe, name_of, page, read_ticket, redirect, show_error, stale, write_ticket

if TYPE_CHECKING:
    from ..provider import OAuth2Provider
    from ..server import Server

KEPT = "flask_oauth2_request"
"""The parameter that names a request which was too long for a URL."""

SENT_AT = "flask_oauth2_sent_at"
"""The parameter that says when the request sent somebody to the login page, by ``prompt``."""

LONGEST_QUERY = 2000
"""Characters of a query that every browser, proxy and server takes."""

LONGEST_KEPT = 16 * 1024
"""Characters of a request that is kept for a person who has to sign in first; anybody can send one."""

_PURPOSE = "consent"

_OWN_FORMS = "_flask_oauth2_forms"
"""Where the session keeps for which requests the application's own consent page was shown."""

_MOST_OWN_FORMS = 3


def authorize(provider: OAuth2Provider) -> Response:
    """The authorization endpoint."""
    request = flask.request
    is_own_form = (
        request.method == "POST"
        and provider.consent_view is not None
        and ("ticket" in request.form or _find_own_form() is not None)
    )
    return _respond(provider, _read_own_form if is_own_form else _read_asked)


def decide(provider: OAuth2Provider) -> Response:
    """What our consent page sends. It is good for the user and the browser that it was shown to, and nobody else."""
    return _respond(provider, _read_decision)


def asking_client(provider: OAuth2Provider) -> Client | None:
    """The client of the request that the login page sends back to by ``next``."""
    parts = urlsplit(flask.request.args.get("next", ""))
    client_id = parse_qs(parts.query).get("client_id", [""])[0]
    is_ours = parts.path == flask.url_for("oauth2.authorize") and not parts.netloc
    return provider.server.store.get_client(client_id) if is_ours and client_id else None


def _respond(provider: OAuth2Provider, read: Callable[[OAuth2Provider, Server], Asked]) -> Response:
    server = provider.server

    def refuse(error: OAuth2Error, error_id: str) -> Response:
        return show_error(server, error, error_id)

    return server.answer(_answer, refuse, provider, server, read)


def _answer(provider: OAuth2Provider, server: Server, read: Callable[[OAuth2Provider, Server], Asked]) -> Response:
    asked = read(provider, server)
    outcome = authorization.respond(server, asked)
    if isinstance(outcome, ConsentNeeded):
        if provider.consent_view is None:
            return _ask(provider, server, outcome, asked)
        if flask.request.method == "POST" and read is _read_asked:  # the view would take it for a decision
            return redirect(_again(server, asked))
        shown = _ask_by(provider.consent_view, server, outcome, asked)
        if not isinstance(shown, bool):
            return shown
        outcome = authorization.respond(server, replace(asked, allowed=shown))
    if isinstance(outcome, Answer):
        return _send(outcome)
    sent_at = outcome.sent_at if isinstance(outcome, LoginNeeded) else None
    return redirect(provider.login_url(_again(server, replace(asked, sent_at=sent_at))))


def _read_asked(provider: OAuth2Provider, server: Server) -> Asked:
    request = web.read()
    params = request.parameters
    sent_at = params.once(SENT_AT) or ""
    asked = Asked(request, params, provider.get_current_user(), sent_at=int(sent_at) if sent_at.isdecimal() else None)
    return _take_up(server, asked)


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
    content, user = read_ticket(provider, _PURPOSE, request.form.require("ticket"))
    decision = request.form.require("decision")
    if decision not in ("allow", "deny"):
        raise InvalidRequest("decision must be allow or deny")
    return _take_up(server, Asked(request, Params(content["query"].encode()), user, decision == "allow"))


def _ask(provider: OAuth2Provider, server: Server, needed: ConsentNeeded, asked: Asked) -> Response:
    """Our own consent page."""
    client = needed.client
    return page(
        "oauth2/consent.html",
        form_action=f"'self' {uris.form_action(needed.redirect_uri)}",
        images=(client.metadata.get("logo_uri"),),
        client=client,
        client_name=name_of(client, client.client_id),
        host=uris.origin(needed.redirect_uri),
        user=needed.user,
        scopes=describe(server, needed.scope),
        asks_again=bool(needed.allowed_before),
        new_scopes=set(needed.scope) - set(needed.allowed_before),
        switch_url=provider.login_url(_again(server, asked)) if provider.has_login_view else None,
        can_end=find_consents(server.store) is not None,
        ticket=_ticket(server, needed, asked),
    )


def _ask_by(view: Callable[..., Any], server: Server, needed: ConsentNeeded, asked: Asked) -> Response | bool:
    """The application's own consent page, or what it decided."""
    params = asked.params
    ours = {"client": needed.client, "user": needed.user, "host": uris.origin(needed.redirect_uri)}
    named = signature(view).parameters  # a view of flask-oauthlib may pass things of these names on by itself
    shown = view(
        **{name: value for name, value in ours.items() if name in named},
        client_id=needed.client.client_id,
        scopes=list(needed.scope),
        redirect_uri=needed.redirect_uri,
        response_type=params.get("response_type"),
        state=params.get("state"),
        request=asked.request,
        ticket=_ticket(server, needed, asked),
    )
    if isinstance(shown, bool):
        return shown
    own_forms = flask.session.get(_OWN_FORMS, {})
    form = [_query(server, asked, LONGEST_QUERY // 2), asked.sent_at]
    kept = {_form_name(needed.client.client_id, params.get("state")): form}
    flask.session[_OWN_FORMS] = dict([*own_forms.items(), *kept.items()][-_MOST_OWN_FORMS:])
    response = flask.make_response(shown)
    # browsers then name our own origin with the form, which no other site's form has
    for name, value in {**HEADERS, "Referrer-Policy": "same-origin"}.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Content-Security-Policy", "frame-ancestors 'none'")
    return response


def _find_own_form() -> list[Any] | None:
    """The request for which the application's own consent page was shown, by the fields of an older form."""
    form = flask.request.values
    kept: list[Any] | None = flask.session.get(_OWN_FORMS, {}).get(_form_name(form.get("client_id"), form.get("state")))
    return kept


def _read_own_form(provider: OAuth2Provider, server: Server) -> Asked:
    """A form with our ticket; or one of an older page without, which must come from this site."""
    if "ticket" in flask.request.form:
        content, user = read_ticket(provider, _PURPOSE, flask.request.form["ticket"])
        query, sent_at = content["query"], content["sent_at"]
    else:
        query, sent_at = _find_own_form() or ("", None)
        user = provider.get_current_user()
        if not _is_from_here():
            raise stale('put <input type="hidden" name="ticket" value="{{ ticket }}"> into the form of the page')
    return _take_up(server, Asked(web.read(), Params(query.encode()), user, sent_at=sent_at))


def _is_from_here() -> bool:
    """Whether the browser says that a page of this site sent the form, :rfc:`6749#section-10.12`."""
    headers = flask.request.headers
    fetched_from = headers.get("Sec-Fetch-Site")
    if fetched_from is not None:
        return fetched_from == "same-origin"
    return urlsplit(headers.get("Origin", "")).netloc == flask.request.host


def _form_name(client_id: str | None, state: str | None) -> str:
    return sha256(f"{client_id} {state or ''}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _ticket(server: Server, needed: ConsentNeeded, asked: Asked) -> str:
    return write_ticket(
        server, _PURPOSE, needed.user, {"query": _query(server, asked, LONGEST_KEPT), "sent_at": asked.sent_at}
    )


def _send(answer: Answer) -> Response:
    parameters = answer.parameters.items()
    if answer.mode == "form_post":
        return page(
            "oauth2/form_post.html",
            form_action=uris.form_action(answer.redirect_uri),
            redirect_uri=answer.redirect_uri,
            parameters=parameters,
        )
    add = uris.add_fragment if answer.mode == "fragment" else uris.add_query
    return redirect(add(answer.redirect_uri, parameters))


def _again(server: Server, asked: Asked) -> str:
    """The URL of the same request."""
    query = _query(server, asked, LONGEST_QUERY)
    if asked.sent_at is not None:
        query = f"{query}&{SENT_AT}={asked.sent_at}"
    return f"{flask.url_for('oauth2.authorize')}?{query}"


def _query(server: Server, asked: Asked, longest: int) -> str:
    """The request, to be sent again; where it is too long, the name of a row that keeps it."""
    if asked.kept_as is not None:
        return uris.encode([(KEPT, asked.kept_as)])
    query = uris.encode([pair for pair in asked.params.pairs() if pair[0] != SENT_AT])
    if len(query) <= longest:
        return query
    if len(query) > LONGEST_KEPT:
        raise InvalidRequest("the request is too long", expected=f"at most {LONGEST_KEPT} characters", status=413)
    now = server.clock()
    name, key = values.mint(server.settings.prefixes["request"], values.stamp(now))
    kept = Grant(key=key, kind="request", parameters={"query": query}, expires_at=int(now) + PATIENCE)
    server.store.issue(None, [kept], int(now))
    return uris.encode([(KEPT, name)])
