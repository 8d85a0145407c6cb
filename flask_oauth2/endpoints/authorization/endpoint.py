"""The authorization endpoint, :rfc:`6749#section-3.1`: from a request to an answer, or to what the user must do first.

No HTML is written here: the outcome says which page to show, and :mod:`flask_oauth2.pages` shows it. Until the client
and the redirect URI are verified, the user sees the errors; afterwards the client receives them (section 4.1.2.1), with
``state`` and ``iss`` like every answer (:rfc:`9207#section-2`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...answering import answer
from ...checks import request_uri
from ...checks.prompt import is_prompt_none
from ...checks.request import AuthorizationRequest
from ...clients.authentication.base import is_vschar
from ...clients.documents import is_url
from ...clients.validators import LONGEST_ID
from ...errors import OAuth2Error, TemporarilyUnavailable
from ...record import record
from ...records import Client, User
from ...server import AuthorizationServer
from .checks import ADDRESSED, CHECKS, run
from .decision import AnsweredBefore, carry_out
from .interaction import ConsentNeeded, Decision, LoginNeeded, Submission, interaction, request_login
from .respond import Answer, address

if TYPE_CHECKING:
    from ...clients.document_cache import Documents


@record(frozen=True, slots=True)
class ConfirmationNeeded:
    """An error for an unverified client: the user decides whether the browser takes it there.

    "[The server] SHOULD only automatically redirect the user agent if it trusts the redirection URI",
    :rfc:`9700#section-4.11.2`.
    """

    client: Client
    error: OAuth2Error
    error_id: str
    answer: Answer


Outcome = LoginNeeded | ConsentNeeded | ConfirmationNeeded | Answer


def authorize(server: AuthorizationServer, submission: Submission) -> Outcome:
    """Answer an authorization request, or return what the user must do first.

    Raise an :exc:`OAuth2Error` that the user must see, if no client can receive it.
    """
    draft = AuthorizationRequest(submission.params, submission.http, is_resumed=submission.is_resumed)
    if server.documents is not None and _is_fetched_for_stranger(server, server.documents, submission):
        known = draft._replace(client=Client(client_id=submission.params.require("client_id")))
        return request_login(server, request_uri.check(known, server).params)
    draft = run(CHECKS[:ADDRESSED], draft, server)
    user = submission.find_user()
    reject = partial(_reject, server, submission, draft, user)
    return answer(server, submission.http, _decide, reject, server, submission, draft, user)


def _decide(
    server: AuthorizationServer, submission: Submission, draft: AuthorizationRequest, user: User | None
) -> Outcome:
    """Run the remaining checks, find out what the user must do, and carry out the decision."""
    request = run(CHECKS[ADDRESSED:], draft, server)
    needed = interaction(server, request, submission, user)
    if not isinstance(needed, Decision):
        return needed
    return address(server, request, carry_out(server, request, needed, submission.answer_id))


def _reject(
    server: AuthorizationServer,
    submission: Submission,
    draft: AuthorizationRequest,
    user: User | None,
    error: OAuth2Error,
    error_id: str,
) -> Outcome:
    """Return the error as the answer, or what must happen before the browser takes it to the client."""
    client = draft.client
    # "[the server] MUST always authenticate the user first", except for silent requests, :rfc:`9700#section-4.11.2`
    if user is None and not is_prompt_none(draft.params):
        return LoginNeeded(client, user)
    answer = address(server, draft, error.parameters)
    if not isinstance(error, AnsweredBefore) and _is_trusted(server, submission, client, user, error):
        return answer
    return ConfirmationNeeded(client, error, error_id, answer)


def _is_trusted(
    server: AuthorizationServer, submission: Submission, client: Client, user: User | None, error: OAuth2Error
) -> bool:
    """Return whether an error goes to the client without a page that warns the user.

    An unverified client receives one only from a user who has seen its name on a page or has allowed it before. A
    silent request is no exception.
    """
    if not client.is_unverified or submission.is_answered:
        return True
    consents = server.consents
    if user is None or consents is None or isinstance(error, TemporarilyUnavailable):
        return False
    return consents.get_consent(user.id, client.client_id) is not None


def _is_fetched_for_stranger(server: AuthorizationServer, documents: Documents, submission: Submission) -> bool:
    """Return whether a metadata document would be fetched for a visitor who has not signed in.

    The server sends requests to servers of strangers only for users who have signed in.
    """
    client_id = submission.params.once("client_id")
    if client_id is None or not is_url(client_id) or len(client_id) > LONGEST_ID:
        return False
    if documents.find_cached(client_id) is not None:
        return False
    is_registered = is_vschar(client_id) and server.store.get_client(client_id) is not None
    return not is_registered and submission.find_user() is None
