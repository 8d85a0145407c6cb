"""The pages of the verification URI, :rfc:`8628#section-3.3`: the user signs in, names the device, and decides.

An attacker may lead a user here with the code of the attacker's device (section 5.4). So each page says what the
decision means, no page is skipped, and no earlier consent replaces a decision.
"""

from __future__ import annotations

from functools import partial

import flask
from werkzeug.wrappers import Response

from .. import values, web
from ..answering import answer
from ..endpoints import verification
from ..endpoints.verification import Waiting
from ..errors import AccessDenied, InvalidRequest
from ..grants import user_codes
from ..http.messages import Params
from ..records import User
from ..server import AuthorizationServer
from ..settings import DEVICE_CODE
from .base import (
    describe_request,
    page,
    read_ticket,
    redirect,
    send_to_login,
    session_id,
    show_error,
    write_ticket,
)
from .clients import describe_client, name_of
from .site import Site

_CODE, _DECISION = "user code", "device"
"""The purposes of the tickets of the two forms: for the code, and for the decision."""

_DECIDED = "_flask_oauth2_decided"
"""The key of the session under which the decision waits for the page that confirms it."""


def device(provider: Site) -> Response:
    """Show the form for the code or the confirmation (GET), or read the code or the decision (POST)."""
    server = provider.server
    respond = _read if flask.request.method == "POST" else _show
    return answer(server, web.read(), respond, partial(show_error, server), provider, server)


def _show(provider: Site, server: AuthorizationServer) -> Response:
    _require_offer(provider, server)
    text = web.read().parameters.get("user_code") or ""
    user = provider.get_current_user()
    if user is None:
        return send_to_login(provider, _url(text))
    decided = None if text else flask.session.pop(_DECIDED, None)
    if decided is not None:
        return page(
            "oauth2/device_done.html",
            form_action="'none'",
            can_revoke=server.consents is not None,
            user=user,
            **decided,
        )
    # the code of a link is shown and not looked up: any site can make a browser follow links, as often as it likes
    return _ask_for_code(server, user, text)


def _read(provider: Site, server: AuthorizationServer) -> Response:
    _require_offer(provider, server)
    form = web.read().form
    return _decide(provider, server, form) if form.get("decision") else _find(provider, server, form)


def _find(provider: Site, server: AuthorizationServer, form: Params) -> Response:
    """Look up the code that the user typed. Return the consent page of its device, or the form again."""
    _, user = read_ticket(provider, _CODE, form.require("ticket"))
    text = form.get("user_code") or ""
    if user is None:
        return send_to_login(provider, _url(text))
    guesser = {"person": user.id, "browser": session_id(), "address": flask.request.remote_addr or ""}
    waiting = verification.find(server, text, guesser, server.clock())
    if waiting is None:
        return _ask_for_code(server, user, text, is_wrong=True)
    return _ask(provider, server, user, waiting, text)


def _decide(provider: Site, server: AuthorizationServer, form: Params) -> Response:
    """Save the decision about the device of the page that was shown."""
    content, user = read_ticket(provider, _DECISION, form.require("ticket"))
    decision = form.require("decision")
    if decision not in ("allow", "deny"):
        raise InvalidRequest("decision must be allow or deny")
    if user is None:
        return send_to_login(provider, _url(""))
    is_allowed, now = decision == "allow", server.clock()
    client = verification.decide(server, values.from_text(content["key"]), user, is_allowed, now)
    flask.session[_DECIDED] = {
        "client_name": name_of(client, client.client_id),
        "is_unverified": client.is_unverified,
        "is_allowed": is_allowed,
    }
    return redirect(_url(""))


def _ask_for_code(server: AuthorizationServer, user: User, text: str, is_wrong: bool = False) -> Response:
    """Return the form, empty or with the code of a link, which the user compares with that of the device."""
    code = user_codes.read(text)
    return page(
        "oauth2/device.html",
        400 if is_wrong else 200,
        form_action="'self'",
        user=user,
        text="" if code is None else user_codes.show(code),
        is_wrong=is_wrong or (text != "" and code is None),
        ticket=write_ticket(server, _CODE, user, {}),
    )


def _ask(provider: Site, server: AuthorizationServer, user: User, waiting: Waiting, text: str) -> Response:
    """Return the consent page of a device."""
    client, code = waiting.client, user_codes.show(user_codes.read(text) or "")
    consent = server.consents.get_consent(user.id, client.client_id) if server.consents else None
    return page(
        "oauth2/device_consent.html",
        form_action="'self'",
        **describe_client(server, client),
        user=user,
        user_code=code,
        **describe_request(server, client, consent, waiting.scope, waiting.resource, waiting.details, web.read().mount),
        switch_url=provider.login_url(_url(code)) if provider.has_login_view else None,
        can_revoke=server.consents is not None,
        ticket=write_ticket(server, _DECISION, user, {"key": values.text(waiting.grant.key)}),
    )


def _url(text: str) -> str:
    return flask.url_for("oauth2.device", user_code=text[:100] or None)


def _require_offer(provider: Site, server: AuthorizationServer) -> None:
    if DEVICE_CODE not in server.settings.grant_types:
        raise AccessDenied(
            "this site does not support devices",
            rule="rfc8628 3.3",
            hint="add device_code to OAUTH2_GRANT_TYPES to support devices",
            status=404,
        )
    if not provider.has_users:
        raise AccessDenied(
            "this site has no user accounts, so you cannot connect a device",
            rule="rfc8628 3.3",
            hint="decorate a function with @provider.current_user, or set up Flask-Login",
            status=404,
        )
