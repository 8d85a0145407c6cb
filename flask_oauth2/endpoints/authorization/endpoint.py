"""The authorization endpoint, :rfc:`6749#section-3.1`: respond to a request, or return the needed user interaction.

This module writes no HTML: :mod:`flask_oauth2.pages` shows the page for the outcome. Until the client and the redirect
URI are verified, the user sees the errors. Afterwards the client receives them (section 4.1.2.1), with ``state`` and
``iss`` like every authorization response (:rfc:`9207#section-2`).
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
    """An error for an unverified client: the user must confirm the redirect to the client.

    "[The server] SHOULD only automatically redirect the user agent if it trusts the redirection URI",
    :rfc:`9700#section-4.11.2`.
    """

    client: Client
    error: OAuth2Error
    error_id: str
    answer: Answer


Outcome = LoginNeeded | ConsentNeeded | ConfirmationNeeded | Answer


def authorize(server: AuthorizationServer, submission: Submission) -> Outcome:
    """Return the response to an authorization request, or the interaction that the user must complete first.

    Raise an :exc:`OAuth2Error` that the user must see if the client or the redirect URI is not verified.
    """
    draft = AuthorizationRequest(submission.params, submission.http, is_resumed=submission.is_resumed)
    if server.documents is not None and _must_sign_in_before_fetch(server, server.documents, submission):
        known = draft._replace(client=Client(client_id=submission.params.require("client_id")))
        return request_login(server, request_uri.check(known, server).params)
    draft = run(CHECKS[:ADDRESSED], draft, server)
    user = submission.find_user()
    reject = partial(_reject, server, submission, draft, user)
    return answer(server, submission.http, _finish, reject, server, submission, draft, user)


def _finish(
    server: AuthorizationServer, submission: Submission, draft: AuthorizationRequest, user: User | None
) -> Outcome:
    """Run the remaining checks. Return the interaction that the user must complete, or carry out the decision."""
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
    """Return the error response, or the interaction that the user must complete before the redirect."""
    client = draft.client
    # "MUST always authenticate the user first", except for prompt=none requests, RFC 9700 4.11.2
    if user is None and not is_prompt_none(draft.params):
        return LoginNeeded(client, user)
    answer = address(server, draft, error.parameters)
    if not isinstance(error, AnsweredBefore) and _is_trusted(server, submission, client, user, error):
        return answer
    return ConfirmationNeeded(client, error, error_id, answer)


def _is_trusted(
    server: AuthorizationServer, submission: Submission, client: Client, user: User | None, error: OAuth2Error
) -> bool:
    """Return whether the server may redirect an error to the client without a warning page.

    For an unverified client, the user must have seen a page with its name or have given consent before. This also
    applies to requests with ``prompt=none``.
    """
    if not client.is_unverified or submission.is_answered:
        return True
    consents = server.consents
    if user is None or consents is None or isinstance(error, TemporarilyUnavailable):
        return False
    return consents.get_consent(user.id, client.client_id) is not None


def _must_sign_in_before_fetch(server: AuthorizationServer, documents: Documents, submission: Submission) -> bool:
    """Return whether the user must sign in before the server fetches the metadata document of the client.

    The server sends requests to unknown hosts only for signed-in users.
    """
    client_id = submission.params.once("client_id")
    if client_id is None or not is_url(client_id) or len(client_id) > LONGEST_ID:
        return False
    if documents.find_cached(client_id) is not None:
        return False
    is_registered = is_vschar(client_id) and server.store.get_client(client_id) is not None
    return not is_registered and submission.find_user() is None
