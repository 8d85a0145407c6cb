"""What the user must do before an authorization request is answered: sign in, or decide on a consent page."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ...checks import prompt
from ...checks.request import AuthorizationRequest
from ...clients.documents import find_host, is_cross_host
from ...errors import ConsentRequired, LoginRequired
from ...http import redirects
from ...http.messages import Params, Request
from ...record import record
from ...records import Client, Consent, User
from ...scopes import Scope
from ...server import AuthorizationServer


class ConsentPrompt(NamedTuple):
    """What a consent page asks: where the answer goes, and the scope at the protected resources."""

    redirect_uri: str
    scope: Scope
    resource: tuple[str, ...] = ()

    def covers(self, other: ConsentPrompt) -> bool:
        """Return whether a user who has seen this prompt has seen all of the other."""
        is_within = set(other.scope) <= set(self.scope) and set(other.resource) <= set(self.resource)
        return is_within and other.redirect_uri == self.redirect_uri


@record(frozen=True, slots=True)
class Submission:
    """An authorization request as a browser sends it, and how far its user has come with it."""

    http: Request

    params: Params
    """The parameters that the browser sends. ``request_uri`` may stand for others."""

    find_user: Callable[[], User | None]
    """Return the user who is signed in. It is called once the client and the redirect URI are verified."""

    is_resumed: bool = False
    """Whether a signed ticket proves that the browser returns with the request from a login or a consent page."""

    is_allowed: bool | None = None
    """The decision of the user on a consent page; None without one."""

    is_shown: bool = False
    """Whether a custom consent page was shown whose form the application has not read yet."""

    shown: ConsentPrompt | None = None
    """The prompt of the page whose form the user has sent."""

    sent_at: int | None = None
    """When this request sent the user to the login page; None if it did not."""

    answer_id: str | None = None
    """The random ID of the form that the user has sent; None without one."""

    @property
    def is_answered(self) -> bool:
        """Return whether the user pressed a button of a page that names the client and the host it leads to."""
        return self.is_allowed is not None and self.answer_id is not None


@record(frozen=True, slots=True)
class LoginNeeded:
    """The user must sign in, and the browser must send the request again.

    ``client`` is None if the metadata document of the client is fetched only for a user who has signed in. ``sent_at``
    is the time to return with, if the server must find out that the user signed in since; otherwise None.
    """

    client: Client | None
    user: User | None
    sent_at: int | None = None


@record(frozen=True, slots=True)
class ConsentNeeded:
    """The user must decide. ``allowed_before`` is the scope that the user has allowed the client at another time."""

    user: User
    request: AuthorizationRequest
    prompt: ConsentPrompt
    allowed_before: Scope = ()


@record(frozen=True, slots=True)
class Decision:
    """Nothing is left to do: the user has decided.

    ``is_allowed`` is None if nobody was asked, as the stored ``consent`` is enough.
    """

    user: User
    consent: Consent | None
    is_allowed: bool | None


def interaction(
    server: AuthorizationServer, request: AuthorizationRequest, submission: Submission, user: User | None
) -> LoginNeeded | ConsentNeeded | Decision:
    """Return what the user must do next, or the decision.

    Raise :exc:`LoginRequired` or :exc:`ConsentRequired` if the request forbids to show a page.
    """
    is_new = submission.is_allowed is None and not submission.is_shown
    if user is None or (is_new and prompt.must_sign_in(request.prompt, user, submission.sent_at)):
        return request_login(server, request.params, request.client, user)
    consents = server.consents
    consent = consents.get_consent(user.id, request.client.client_id) if consents else None
    asked = ConsentPrompt(request.redirect_uri, request.scope, request.resource)
    if _is_decided(submission, asked):
        return Decision(user, consent, submission.is_allowed)
    if not submission.is_shown and "consent" not in request.prompt and _is_enough(consent, request):
        return Decision(user, consent, None)
    if "none" in request.prompt:
        # "An error is returned if [...] the Client does not have pre-configured consent", OpenID Connect Core 3.1.2.1
        raise ConsentRequired(
            "the user has not allowed this yet, and prompt is none",
            hint="let the client repeat the request without prompt=none, so that the user can decide",
        )
    return ConsentNeeded(user, request, asked, consent.allowed_at(request.resource) if consent else ())


def request_login(
    server: AuthorizationServer, params: Params, client: Client | None = None, user: User | None = None
) -> LoginNeeded:
    """Return that the user must sign in. Raise :exc:`LoginRequired` if the request forbids to show a page."""
    if prompt.is_prompt_none(params):
        # "The Authorization AuthorizationServer MUST NOT display any authentication or consent user interface pages"
        raise LoginRequired(
            "nobody is signed in, and prompt is none",
            hint="let the client repeat the request without prompt=none, so that the user can sign in",
        )
    return LoginNeeded(client, user, int(server.clock()) if prompt.asks_for_login(params) else None)


def _is_decided(submission: Submission, asked: ConsentPrompt) -> bool:
    """Return whether the user has decided about all that is asked for.

    A request without scope asks for the scope of the client, which may have grown since the page was shown.
    """
    if not submission.is_allowed:
        return submission.is_allowed is not None
    return submission.shown is None or submission.shown.covers(asked)


def _is_enough(consent: Consent | None, request: AuthorizationRequest) -> bool:
    """Return whether a stored consent stands for the decision of the user.

    It does not if another program could pose as the client, :rfc:`8252#section-8.6`, and not for a client that nobody
    vouches for. A client with a metadata document must be on the host that vouches for it, as the document may have
    changed since.
    """
    client, redirect_uri = request.client, request.redirect_uri
    if consent is None or not consent.covers(request.scope, request.resource):
        return False
    if client.is_unverified and find_host(client) is None:
        return False
    is_authenticated = client.is_confidential or not redirects.is_interceptable(redirect_uri)
    return is_authenticated and not is_cross_host(client, redirect_uri)
