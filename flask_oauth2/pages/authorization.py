"""The pages of the authorization endpoint: the user signs in, decides, and returns to the client."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import flask
from itsdangerous import BadData
from werkzeug.wrappers import Response

from .. import web
from ..answering import answer
from ..checks import request_uri
from ..checks.request_uri import INTERACTION_LIFETIME, is_saved
from ..clients import lookup
from ..clients.documents import find_host, is_cross_host
from ..endpoints import authorization
from ..endpoints.authorization import (
    Answer,
    AnsweredBefore,
    ConfirmationNeeded,
    ConsentNeeded,
    ConsentPrompt,
    LoginNeeded,
    Submission,
)
from ..endpoints.authorization.saved import LONGEST_SAVED, save_for_browser
from ..errors import InvalidRequest, TemporarilyUnavailable
from ..http import redirects, urls
from ..http.messages import Params, Request
from ..records import Client
from ..server import AuthorizationServer
from . import custom_consent
from .base import (
    ClientRedirect,
    describe_error,
    describe_request,
    is_of_session,
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
from .site import Site

SENT_AT = "flask_oauth2_sent_at"
"""The parameter with the ticket of a request that returns from the login page: it was sent by this browser before, and
when, if ``prompt`` asks for a login."""

LONGEST_QUERY = 2000
"""Characters of a query that every browser, proxy and server accepts."""

_PURPOSE = "consent"


def authorize(provider: Site) -> Response:
    """Answer a request to the authorization endpoint."""
    is_custom_form = custom_consent.is_form() and provider.consent_view is not None
    return _respond(provider, _read_custom_form if is_custom_form else _read_submission)


def decide(provider: Site) -> Response:
    """Answer the form of the built-in consent page. Only the user and the browser that it was shown to can send it."""
    return _respond(provider, _read_decision)


def requesting_client(provider: Site) -> Client | None:
    """Return the client of the request that the login page sends back to with ``next``, as a page may show it."""
    client_id = _find_interrupted().get("client_id", "")
    client = lookup.find_known_client(provider.server, client_id) if client_id else None
    return None if client is None else vouched(provider.server, client)


def requested_acr_values(provider: Site) -> tuple[str, ...]:
    """Return the authentication context classes of that request that the server supports."""
    server, params = provider.server, _find_interrupted()
    saved = request_uri.find(server, params.get("request_uri", ""), params.get("client_id", ""))
    if saved is not None:
        params = dict(parse_qsl(saved.parameters["query"]))
    return tuple(value for value in params.get("acr_values", "").split() if value in server.settings.acr_values)


def _find_interrupted() -> dict[str, str]:
    """Return the parameters of the authorization request to which the login page sends back with ``next``."""
    try:
        parts = urlsplit(flask.request.args.get("next", ""))
        is_ours = parts.path == flask.url_for("oauth2.authorize") and not parts.netloc
        return dict(parse_qsl(parts.query)) if is_ours else {}
    except ValueError:
        return {}


def _respond(provider: Site, read: Callable[[Site, AuthorizationServer, Request], Submission]) -> Response:
    server = provider.verifier.server
    request = web.read(server.settings)

    def respond() -> Response:
        return _show(provider, server, read(provider, server, request))

    return answer(server, request, respond, partial(show_error, server))


def _show(provider: Site, server: AuthorizationServer, submission: Submission) -> Response:
    """Return the answer to the client, or the page that the user must see first."""
    outcome = authorization.authorize(server, submission)
    if isinstance(outcome, Answer):
        return _send(outcome)
    if isinstance(outcome, LoginNeeded):
        return _hand_off(provider, server, outcome, submission)
    if isinstance(outcome, ConfirmationNeeded):
        # an answered request stays answered, and the user can try again later: there is no reason to leave this site
        is_for_user = isinstance(outcome.error, AnsweredBefore | TemporarilyUnavailable)
        return show_error(server, outcome.error, outcome.error_id) if is_for_user else _warn(server, outcome)
    view = provider.consent_view
    if view is None:
        return _ask(provider, server, outcome, submission)
    return _ask_by_view(view, provider, server, outcome, submission)


def _ask_by_view(
    view: Callable[..., Any],
    provider: Site,
    server: AuthorizationServer,
    needed: ConsentNeeded,
    submission: Submission,
) -> Response:
    """Return the custom consent page, or what follows from the decision of its view."""
    method = flask.request.method
    # a view would take the method of these requests for a decision
    if method == "HEAD":
        return protect(flask.Response())
    if method == "POST" and (submission.is_allowed or not submission.is_shown):
        return redirect(_url_of(server, submission))
    result = custom_consent.ask(view, server, needed, _write_query(server, submission))
    if not isinstance(result, bool):
        return result
    # a form answers the prompt of its page; a view that shows no page has read the prompt of this request
    prompt = submission.shown_prompt if submission.is_shown else needed.prompt
    return _show(provider, server, replace(submission, is_allowed=result, shown_prompt=prompt))


def _read_submission(provider: Site, server: AuthorizationServer, http: Request) -> Submission:
    params = http.parameters
    submission = Submission(http, params, provider.get_current_user)
    ticket = params.once(SENT_AT)
    return submission if ticket is None else _read_sent_at(server, submission, ticket)


def _read_sent_at(server: AuthorizationServer, submission: Submission, ticket: str) -> Submission:
    """Return the submission as its ticket describes it, if the ticket is of this browser and request."""
    try:
        session, digest, sent_at = serializer(server, SENT_AT).loads(ticket, max_age=INTERACTION_LIFETIME)
    except BadData:
        return submission
    if not is_of_session(session) or digest != _digest(_encode(submission.params)):
        return submission
    return replace(submission, is_resumed=True, sent_at=sent_at)


def _read_decision(provider: Site, server: AuthorizationServer, http: Request) -> Submission:
    content, user = read_ticket(provider, _PURPOSE, http.form.require("ticket"))
    decision = http.form.require("decision")
    if decision not in ("allow", "deny"):
        raise InvalidRequest("decision must be allow or deny")
    return Submission(
        http,
        Params(content["query"].encode()),
        lambda: user,
        is_resumed=True,
        is_allowed=decision == "allow",
        shown_prompt=ConsentPrompt(*content["shown"]),
        answer_id=content.get("answer_id"),
    )


def _read_custom_form(provider: Site, _: AuthorizationServer, http: Request) -> Submission:
    content, user = custom_consent.read_form(provider)
    return Submission(
        http,
        Params(content["query"].encode()),
        lambda: user,
        is_resumed=True,
        is_shown=True,
        shown_prompt=ConsentPrompt(*content["shown"]),
        answer_id=content.get("answer_id"),
    )


def _hand_off(provider: Site, server: AuthorizationServer, needed: LoginNeeded, submission: Submission) -> Response:
    """Send the user to the login page. A user who returned from there without a new login reads why, to end a loop."""
    back = _url_of(server, submission, needed.sent_at)
    client = needed.client
    if client is None or needed.user is None or submission.sent_at is None:
        return send_to_login(provider, back)
    # without a login view, the request goes to the unauthorized_handler again, as if the user had not been there
    is_known = provider.has_login_view
    return page(
        "oauth2/sign_in.html",
        form_action="'none'",
        **describe_client(server, client),
        user=needed.user,
        login_url=provider.login_url(back) if is_known else _url_of(server, submission),
    )


def _ask(provider: Site, server: AuthorizationServer, needed: ConsentNeeded, submission: Submission) -> Response:
    """Return the built-in consent page."""
    request, user = needed.request, needed.user
    client, redirect_uri = request.client, request.redirect_uri
    # another user may continue a request that fits into a URL; the server saves none for each page it shows
    fits = len(_encode(submission.params)) <= LONGEST_QUERY
    return page(
        "oauth2/consent.html",
        form_action=None,
        **describe_client(server, client, redirect_uri),
        is_unauthenticated=find_host(client) is not None and redirects.is_interceptable(redirect_uri),
        is_cross_host=is_cross_host(client, redirect_uri),
        host=urls.origin(redirect_uri),
        user=user,
        **describe_request(
            server,
            client,
            needed.consent,
            request.scope,
            request.resource,
            request.authorization_details,
            request.http.mount,
        ),
        switch_url=provider.login_url(_url_of(server, submission)) if fits and provider.has_login_view else None,
        can_revoke=server.consents is not None,
        ticket=write_ticket(
            server,
            _PURPOSE,
            user,
            {
                "query": _write_query(server, submission),
                "shown": needed.prompt,
                "answer_id": new_answer_id(server),
            },
        ),
    )


def _warn(server: AuthorizationServer, needed: ConfirmationNeeded) -> Response:
    """Return the warning page before a redirect to an unverified client, which may imitate this site."""
    answer, is_form = needed.answer, needed.answer.mode == "form_post"
    return page(
        "oauth2/redirect_warning.html",
        400,
        form_action=None if is_form else "'none'",
        **describe_client(server, needed.client, answer.redirect_uri),
        host=urls.origin(answer.redirect_uri),
        url=answer.redirect_uri if is_form else answer.location,
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
    return ClientRedirect(answer.location)


def _url_of(server: AuthorizationServer, submission: Submission, sent_at: int | None = None) -> str:
    """Return the URL of the same request. ``sent_at`` is when it sends the user to the login page because of prompt."""
    query = _write_query(server, submission, LONGEST_QUERY)
    if sent_at is not None or is_saved(submission.params):
        ticket = serializer(server, SENT_AT).dumps([session_id(), _digest(query), sent_at])
        query = f"{query}&{SENT_AT}={ticket}"
    return f"{flask.url_for('oauth2.authorize')}?{query}"


def _write_query(server: AuthorizationServer, submission: Submission, longest: int = LONGEST_SAVED) -> str:
    """Return the request as a query. If that is too long, save the request and return a query that names it."""
    query = _encode(submission.params)
    if len(query) <= longest:
        return query
    params = Params(query.encode())
    request_uri = save_for_browser(server, params, submission.http.address)
    return urls.encode([("client_id", params.require("client_id")), ("request_uri", request_uri)])


def _encode(params: Params) -> str:
    """Return the parameters as a query, without those that do not belong to the request."""
    pairs = [pair for pair in params.pairs() if pair[0] != SENT_AT]
    if is_saved(params):
        pairs = [pair for pair in pairs if pair[0] in ("client_id", "request_uri")]
    return urls.encode(pairs)


def _digest(query: str) -> str:
    """Return what tells a request from others: a login for one does not count for another."""
    return sha256(query.encode()).hexdigest()
