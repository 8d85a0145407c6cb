"""Carry out the decision of the user: one authorization response for each submitted form.

If a user double-clicks a button, the browser submits the form twice. Both requests receive the same authorization code,
which is derived from the ID of the form. The store saves it once. The first decision is final.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ... import revocation, signals
from ...checks import authorization_details
from ...checks.request import AuthorizationRequest
from ...errors import AccessDenied, InvalidRequest
from ...grants.authorization_code import generate_code
from ...grants.base import Approval
from ...people import consents, users
from ...people.consents import Permission
from ...records import Authorization, Grant, Token
from ...server import AuthorizationServer
from ...tokens.issue import retain_client
from .interaction import Decision
from .respond import respond

_KEY_IS_TAKEN = re.compile("unique|duplicate", re.IGNORECASE)
"""The error of a store for a second row with the same key, see :class:`flask_oauth2.testing.StoreContract`."""

_ANSWERED = "answer"
"""The kind of a grant that records that a form was submitted and led to no authorization code."""


class AnsweredBefore(InvalidRequest):
    """The authorization request has been completed. The client receives no second response."""

    rule = "rfc9126 4"

    def __init__(self) -> None:
        super().__init__("this authorization request has already been completed")


class _Issued(NamedTuple):
    """An authorization, the response parameters for the client, and the rows to save."""

    authorization: Authorization
    answer: dict[str, str]
    rows: list[Grant | Token]


def carry_out(
    server: AuthorizationServer, request: AuthorizationRequest, decision: Decision, answer_id: str | None
) -> dict[str, str]:
    """Issue the codes and tokens that the user has allowed. Return the response parameters for the client.

    Raise :exc:`AccessDenied` if the user has denied the request or is not active. Raise :exc:`AnsweredBefore` if the
    same form or the same saved request has led to another response.
    """
    now = server.clock()
    if decision.is_allowed is False:
        raise _deny(server, request, decision, answer_id, now)
    if not users.is_active(server, decision.user.id):
        raise AccessDenied("the user is not active", received=f"user {decision.user.id}")
    # "Authorization servers SHOULD treat "request_uri" values as one-time use", RFC 9126 4
    if request.saved is not None and request.saved.used_at is not None:
        return _repeat(server, request, answer_id, now)
    issued = _issue(server, request, decision, answer_id, now)
    if issued is None:
        if answer_id is not None:
            _delete_repeated_consent(server, request, decision, answer_id, now)
        return _repeat(server, request, answer_id, now)
    _emit(server, decision, issued, now)
    return issued.answer


def _issue(
    server: AuthorizationServer, request: AuthorizationRequest, decision: Decision, answer_id: str | None, now: float
) -> _Issued | None:
    """Save the consent and the issued codes and tokens. Return None if the request has been completed before."""

    def make(authorization: Authorization) -> _Issued:
        answer, rows = respond(server, Approval(request, authorization, now, answer_id))
        return _Issued(authorization, answer, rows)

    client, user, details = request.client, decision.user, request.authorization_details
    permission = Permission(
        user.id,
        client.client_id,
        request.scope,
        request.resource,
        user.auth_time,
        user.acr,
        authorization_details.grant(server, client, details, user.id) if details else (),
        authorization_details.to_remember(server, details) if details else (),
    )
    issued = consents.authorize(server, permission, decision.consent, make, now, is_new=decision.is_allowed is not None)
    if answer_id is not None and "code" not in issued.answer:
        issued.rows.append(_completed_form(server, answer_id, now))
    if "access_token" in issued.answer and client.expires_at is not None:
        retain_client(server, client)
    try:
        is_saved = server.store.issue(request.saved, issued.rows, int(now))
    except Exception as error:
        if answer_id is None or not _KEY_IS_TAKEN.search(str(error)):
            raise
        return None  # the form was submitted before; its code may have been revoked since
    return issued if is_saved else None


def _emit(server: AuthorizationServer, decision: Decision, issued: _Issued, now: float) -> None:
    """Send the signals of a response, and record the use of the stored consent."""
    authorization = issued.authorization
    if decision.consent is not None and not decision.is_allowed:
        consents.record_use(server, authorization, decision.consent.used_at, now)
    fields = {
        "client_id": authorization.client_id,
        "user_id": authorization.user_id,
        "scope": authorization.scope,
        "authorization_id": authorization.id,
    }
    if decision.is_allowed:
        server.events.emit(signals.consent_given, **fields)
    if "access_token" in issued.answer:
        server.events.emit(signals.token_issued, **fields, grant_type="implicit", token_id=None)


def _deny(
    server: AuthorizationServer, request: AuthorizationRequest, decision: Decision, answer_id: str | None, now: float
) -> AccessDenied:
    """Save that the user denied a form, so that it cannot issue a code. Raise :exc:`AnsweredBefore` if it has."""
    if answer_id is not None and not _claim(server, answer_id, now):
        raise AnsweredBefore
    server.events.emit(
        signals.consent_denied, client_id=request.client.client_id, user_id=decision.user.id, scope=request.scope
    )
    return AccessDenied("the resource owner denied the request")


def _claim(server: AuthorizationServer, answer_id: str, now: float) -> bool:
    """Save that the user denied a form. Return False if it has issued a code before."""
    try:
        is_saved = server.store.issue(None, [_completed_form(server, answer_id, now)], int(now))
    except Exception as error:
        if not _KEY_IS_TAKEN.search(str(error)):
            raise
        is_saved = False
    return is_saved or server.store.get_grant(generate_code(server, answer_id, 0)[1], _ANSWERED) is not None


def _completed_form(server: AuthorizationServer, answer_id: str, now: float) -> Grant:
    """Return a grant with the key that the code of a form would have, so that the form cannot issue a code."""
    return Grant(key=generate_code(server, answer_id, 0)[1], kind=_ANSWERED, expires_at=int(now))


def _repeat(
    server: AuthorizationServer, request: AuthorizationRequest, answer_id: str | None, now: float
) -> dict[str, str]:
    """Return the response that the same form received before.

    Raise :exc:`AnsweredBefore` if the code has been redeemed or has expired, because a repeated code would revoke the
    authorization. Raise it also if another form completed the request.
    """
    if answer_id is None or request.response_types != ("code",):
        raise AnsweredBefore
    code, grant = _find_code(server, answer_id)
    if grant is None or grant.used_at is not None or grant.expires_at <= now:
        raise AnsweredBefore
    return {"code": code}


def _delete_repeated_consent(
    server: AuthorizationServer, request: AuthorizationRequest, decision: Decision, answer_id: str, now: float
) -> None:
    """Delete a consent that a repeated form saved after the user had withdrawn it."""
    is_revoked = _find_code(server, answer_id)[1] is None
    if is_revoked and server.consents is not None and decision.consent is None:
        server.consents.delete_consent(decision.user.id, request.client.client_id, revocation.expires_at(server, now))


def _find_code(server: AuthorizationServer, answer_id: str) -> tuple[str, Grant | None]:
    """Return the code of a form, and its grant, or None if it is revoked or was never issued."""
    code, key = generate_code(server, answer_id, 0)
    return code, server.store.get_grant(key, "code")
