"""The authorization endpoint, :rfc:`6749#section-3.1`: from a request to an answer, or to what is needed first.

Nothing here speaks HTML: the outcome says what a page must do, :mod:`flask_oauth2.pages` does it. Until client and
redirect URI are settled an error is the user's to see; from then on it goes to the client (section 4.1.2.1), with
``state`` and ``iss`` like every answer (:rfc:`9207#section-2`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from .. import signals, uris, values
from ..checks import audience as audience_check
from ..checks import pkce, response_mode
from ..checks import prompt as prompt_check
from ..checks import scope as scope_check
from ..clients.base import is_vschar
from ..clients.documents import find_host, is_elsewhere, is_url
from ..consents import keep_consent
from ..context import Context
from ..errors import (
    AccessDenied,
    ConsentRequired,
    InvalidRequest,
    LoginRequired,
    OAuth2Error,
    TemporarilyUnavailable,
    UnauthorizedClient,
    UnsupportedResponseType,
    update_client,
)
from ..grants.authorization_code import mint_code
from ..grants.base import Approval
from ..messages import Params, Request
from ..records import Authorization, Client, Consent, Grant, Token, User
from ..scopes import Scope
from ..stores.base import widened
from ..tokens.issue import keep

if TYPE_CHECKING:
    from ..grants.base import ResponseType
    from ..server import Server


@dataclass(frozen=True, slots=True)
class LoginNeeded:
    """Somebody must sign in, and the request come again.

    ``client`` is None where nothing is asked of its server before somebody has signed in.
    ``sent_at`` is the time to come back with, where it must be seen that somebody did; None where that is not asked.
    """

    client: Client | None
    user: User | None
    sent_at: int | None = None


class Shown(NamedTuple):
    """What a consent page says: where the answer goes, and what is asked for of which protected resources."""

    redirect_uri: str
    scope: Scope
    resource: tuple[str, ...] = ()

    def covers(self, other: Shown) -> bool:
        """Whether who has seen this has seen all of the other."""
        is_less = set(other.scope) <= set(self.scope) and set(other.resource) <= set(self.resource)
        return is_less and other.redirect_uri == self.redirect_uri


@dataclass(frozen=True, slots=True)
class ConsentNeeded:
    """The user must be asked. ``allowed_before`` is what they let the client have at another time."""

    user: User
    client: Client
    shown: Shown
    allowed_before: Scope = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """Parameters for the client, and how they travel."""

    redirect_uri: str
    mode: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LeaveNeeded:
    """An error for an unverified client: the user says whether to go there with it.

    "[The server] SHOULD only automatically redirect the user agent if it trusts the redirection URI",
    :rfc:`9700#section-4.11.2`.
    """

    client: Client
    error: OAuth2Error
    error_id: str
    answer: Answer


Issued = tuple[Authorization, dict[str, str]]


_TAKEN = re.compile("unique|duplicate", re.IGNORECASE)
"""What a store says of a key that is taken, see :class:`flask_oauth2.testing.StoreContract`."""

_ANSWERED = "answer"
"""The kind of a grant that says that a form has its answer, and that this is no code."""


class AnsweredBefore(InvalidRequest):
    """The user has answered the request, and the client has its answer: there is nothing to tell it again."""

    rule = "rfc9126 4"

    def __init__(self) -> None:
        super().__init__("this request was answered before")


Outcome = LoginNeeded | ConsentNeeded | LeaveNeeded | Answer


@dataclass(frozen=True, slots=True)
class Asked:
    """An authorization request, who makes it and in whose browser.

    ``find_user`` says who is signed in; it is asked once client and redirect URI are settled. ``allowed`` is what the
    user answered on the consent page, None before; ``is_shown`` says that the page was shown and its answer is to come,
    ``shown`` what it said. ``kept`` is the row of a request that was too long for a URL, which the answer spends, and
    ``kept_as`` what names it. ``sent_at`` is when this request sent somebody to the login page. ``answer_id`` is the
    random ID of the form with which the user answered, None if there was none.
    """

    request: Request
    params: Params
    find_user: Callable[[], User | None]
    allowed: bool | None = None
    is_shown: bool = False
    shown: Shown | None = None
    kept: Grant | None = None
    kept_as: str | None = None
    sent_at: int | None = None
    answer_id: str | None = None

    @property
    def is_answered(self) -> bool:
        """Return whether the user pressed a button of a page that says which client it is and where it leads."""
        return self.allowed is not None and self.answer_id is not None


def respond(server: Server, asked: Asked) -> Outcome:
    """Settle the client, the redirect URI and the mode; then answer there, whatever comes.

    Raises an :exc:`OAuth2Error` that the user must see, where the client cannot be trusted with an answer.
    """
    params = asked.params
    client_id = params.require("client_id")
    client = server.store.get_client(client_id) if is_vschar(client_id) else None
    if client is None and server.clients.documents is not None and is_url(client_id):
        # a stranger's server is asked for somebody who has signed in, and for nobody else
        if server.clients.documents.find_kept(client_id) is None and asked.find_user() is None:
            if prompt_check.is_silent(params):
                raise LoginRequired(
                    "nobody is signed in, and prompt is none",
                    cure="let the client repeat the request without prompt=none, so that the user can sign in",
                )
            return _send_to_login(server, params)
        client = server.clients.find_document(client_id, InvalidRequest)
    if client is None:
        raise InvalidRequest("client_id is unknown", rule="rfc6749 4.1.2.1", came=client_id, cure=_cure(client_id))
    redirect_uri = uris.choose(client, params.get("redirect_uri"))
    user = asked.find_user()
    types = [server.offer.response_types.get(name) for name in (params.once("response_type") or "").split(" ")]
    mode = response_mode.read(params, [known.mode for known in types if known])

    def answer(parameters: Mapping[str, str]) -> Answer:
        state = params.once("state")
        return Answer(redirect_uri, mode, {**parameters, **({"state": state} if state else {}), "iss": server.issuer})

    def refuse(error: OAuth2Error, error_id: str) -> Outcome:
        # a stranger's browser is not sent on: "[the server] MUST always authenticate the user first", silent requests
        # aside, :rfc:`9700#section-4.11.2`. An unverified client has an error taken to it by nobody but a user who
        # wants to go there, or who has allowed it before; a silent request is no exception.
        if user is None and not prompt_check.is_silent(params):
            return LoginNeeded(client, user)
        told = answer(error.parameters)
        if isinstance(error, AnsweredBefore):
            return LeaveNeeded(client, error, error_id, told)
        may_go_on = client.is_vetted or asked.is_answered
        if not may_go_on and user is not None and not isinstance(error, TemporarilyUnavailable):
            may_go_on = _has_consented(server, user, client)
        return told if may_go_on else LeaveNeeded(client, error, error_id, told)

    def decide() -> Outcome:
        decided = _decide(server, asked, client, redirect_uri, user)
        return answer(decided) if isinstance(decided, dict) else decided

    return server.answer(decide, refuse)


def _decide(
    server: Server, asked: Asked, client: Client, redirect_uri: str, user: User | None
) -> dict[str, str] | LoginNeeded | ConsentNeeded:
    params, settings = asked.params, server.settings
    params.refuse_repeated()
    response_types = _read_response_types(server, client, params.require("response_type"))
    challenge = None
    if any(response_type.name == "code" for response_type in response_types):
        challenge = pkce.read_challenge(params, client, settings)
    scope = scope_check.read(params, client, settings)
    resource: tuple[str, ...] = ()
    if server.described:
        resource = audience_check.read(params, scope, server.resources(asked.request.mount))
        if any(response_type.name == "token" for response_type in response_types):
            audience_check.refuse_several(resource)
    prompt = prompt_check.read(params)
    now = server.clock()
    is_new = asked.allowed is None and not asked.is_shown
    if user is None or (is_new and prompt_check.must_sign_in(prompt, user, asked.sent_at)):
        if "none" in prompt:
            raise LoginRequired(
                "nobody is signed in, and prompt is none",
                cure="let the client repeat the request without prompt=none, so that the user can sign in",
            )
        return _send_to_login(server, params, client, user)
    consents = server.consents
    consent = consents.get_consent(user.id, client.client_id) if consents else None
    shown, allowed = Shown(redirect_uri, scope, resource), asked.allowed
    if allowed and asked.shown is not None and not asked.shown.covers(shown):
        allowed = None  # a request that leaves its scope to the client is for more by now than they have seen
    if allowed is None:
        is_enough = consent is not None and consent.covers(scope, resource) and _may_remember(client, redirect_uri)
        if asked.is_shown or not is_enough or "consent" in prompt:
            if "none" in prompt:
                raise ConsentRequired(
                    "the user has not allowed this yet, and prompt is none",
                    cure="let the client repeat the request without prompt=none, so that the user can decide",
                )
            before = consent.allowed_at(resource) if consent else ()
            return ConsentNeeded(user, client, shown, before)
    elif not allowed:
        _deny_once(server, asked.answer_id, now)
        server.tell(signals.consent_denied, client_id=client.client_id, user_id=user.id, scope=scope)
        raise AccessDenied("the resource owner said no")
    if not server.is_active(user.id):
        raise AccessDenied("the user is not active", came=f"user {user.id}")
    if asked.kept is not None and asked.kept.used_at is not None:
        return _repeat(server, asked, response_types, now)

    def approve(answer_id: str | None, before: Consent | None) -> tuple[Approval, Consent | None]:
        rests_on = before
        if allowed and consents:
            rests_on = widened(
                before, user.id, client.client_id, scope, max(now, server.last_revocation.first_moment), resource
            )
        authorization = Authorization(
            id=values.new_family(max(now, server.last_revocation.first_moment)),
            client_id=client.client_id,
            user_id=user.id,
            scope=scope,
            consent_id=rests_on.id if rests_on else None,
            context=Context(resource=resource),
        )
        approval = Approval(
            asked.request, params, client, redirect_uri, challenge, authorization, now, answer_id=answer_id
        )
        return approval, rests_on

    def make(
        answer_id: str | None, before: Consent | None
    ) -> tuple[tuple[Authorization, dict[str, str], list[Grant | Token]], Consent | None]:
        approval, rests_on = approve(answer_id, before)
        return (approval.authorization, *_respond(server, response_types, approval)), rests_on

    def issue(answer_id: str | None) -> Issued | None:
        authorization, answer, filed = keep_consent(consents if allowed else None, consent, partial(make, answer_id))
        if answer_id is not None and "code" not in answer:
            filed.append(_answered(server, answer_id, now))
        if "access_token" in answer and client.expires_at is not None:
            keep(server, client)
        return (authorization, answer) if server.store.issue(asked.kept, filed, int(now)) else None

    issued = _issue_once(asked.answer_id, issue)
    if issued is None:
        is_gone = asked.answer_id is not None and _find_code(server, asked.answer_id)[1] is None
        if is_gone and consents and consent is None:  # what the user has taken back stays away
            consents.delete_consent(user.id, client.client_id, server.mark_until(now))
        return _repeat(server, asked, response_types, now)
    authorization, answer = issued
    if consent and not allowed:
        server.note_use(authorization, consent.used_at, now)
    told = {"client_id": client.client_id, "user_id": user.id, "scope": scope, "authorization_id": authorization.id}
    if allowed:
        server.tell(signals.consent_given, **told)
    if "access_token" in answer:
        server.tell(signals.token_issued, **told, grant_type="implicit", token_id=None)
    return answer


def _send_to_login(
    server: Server, params: Params, client: Client | None = None, user: User | None = None
) -> LoginNeeded:
    return LoginNeeded(client, user, int(server.clock()) if prompt_check.asks_for_login(params) else None)


def _issue_once(answer_id: str | None, issue: Callable[[str | None], Issued | None]) -> Issued | None:
    """Return what ``issue`` returns for the answer of the user; None if the same form was sent before."""
    try:
        return issue(answer_id)
    except Exception as error:
        if answer_id is None or not _TAKEN.search(str(error)):
            raise
    return None  # the form has its answer, which may have been revoked since


def _deny_once(server: Server, answer_id: str | None, now: float) -> None:
    """Let a form that was denied give no code. Raises :exc:`AnsweredBefore` if it has given one."""
    if answer_id is None or _claim(server, answer_id, now):
        return
    if server.store.get_grant(mint_code(server, answer_id, 0)[1], _ANSWERED) is None:
        raise AnsweredBefore


def _claim(server: Server, answer_id: str, now: float) -> bool:
    """Save that a form has its answer. Return False if it had one before."""
    try:
        return server.store.issue(None, [_answered(server, answer_id, now)], int(now))
    except Exception as error:
        if not _TAKEN.search(str(error)):
            raise
        return False


def _answered(server: Server, answer_id: str, now: float) -> Grant:
    """Return a record that takes the key of the code of a form which gives none."""
    return Grant(key=mint_code(server, answer_id, 0)[1], kind=_ANSWERED, expires_at=int(now))


def _repeat(server: Server, asked: Asked, response_types: list[ResponseType], now: float) -> dict[str, str]:
    """Return the answer that the same form has had before: a button that is pressed twice gives one code.

    Raises :exc:`AnsweredBefore` if the code has been redeemed or has expired, as its repetition would end its family,
    and if another form was answered.
    """
    if asked.answer_id is None or [known.name for known in response_types] != ["code"]:
        raise AnsweredBefore
    code, grant = _find_code(server, asked.answer_id)
    if grant is None or grant.used_at is not None or grant.expires_at <= now:
        raise AnsweredBefore
    return {"code": code}


def _find_code(server: Server, answer_id: str) -> tuple[str, Grant | None]:
    """Return the code of a form, and its grant unless it is revoked or was never issued."""
    code, key = mint_code(server, answer_id, 0)
    return code, server.store.get_grant(key, "code")


def _has_consented(server: Server, user: User, client: Client) -> bool:
    """Return whether the user has allowed the client something before, and not taken it back."""
    return server.consents is not None and server.consents.get_consent(user.id, client.client_id) is not None


def _respond(
    server: Server, response_types: list[ResponseType], approval: Approval
) -> tuple[dict[str, str], list[Grant | Token]]:
    """What each response type answers, and what is to be filed for it."""
    answer: dict[str, str] = {}
    filed: list[Grant | Token] = []
    for response_type in response_types:
        parameters, rows = response_type.respond(server, approval, answer)
        answer.update(parameters)
        filed.extend(rows)
    return answer, filed


def _read_response_types(server: Server, client: Client, text: str) -> list[ResponseType]:
    """ "the order of response types does not matter", section 3.1.1."""
    wanted, offer = frozenset(text.split(" ")), server.offer
    types = [known for name, known in offer.response_types.items() if name in wanted]
    if len(types) < len(wanted) or tuple(known.name for known in types) not in offer.response_type_sets:
        raise UnsupportedResponseType(
            "response_type is not supported",
            expected=f"one of {', '.join(map(' '.join, offer.response_type_sets))}",
            came=text,
            cure="let the client send response_type=code",
        )
    if wanted not in [frozenset(allowed.split(" ")) for allowed in client.response_types] or any(
        known.grant_type not in client.grant_types for known in types
    ):
        raise UnauthorizedClient(
            "the client may not use this response_type",
            rule="rfc6749 4.1.2.1",
            expected=f"one of {', '.join(client.response_types)}, with the grant of each",
            came=text,
            cure=update_client(client.client_id, "--response-type … --grant-type …, with all"),
        )
    return types


def _cure(client_id: str) -> str | None:
    return "set OAUTH2_CLIENT_ID_DOCUMENTS to True to take clients by their URLs" if is_url(client_id) else None


def _may_remember(client: Client, redirect_uri: str) -> bool:
    """Not where another program could pass for the client, :rfc:`8252#section-8.6`, nor one that nobody vouches for.

    Nor where a client that its host vouches for is at another: its document may have changed since.
    """
    if not client.is_vetted and find_host(client) is None:
        return False
    is_proven = client.is_confidential or not uris.is_interceptable(redirect_uri)
    return is_proven and not is_elsewhere(client, redirect_uri)
