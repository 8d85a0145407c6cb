"""User interaction before an authorization response: sign in, or give or deny consent."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ...checks import acr_values, authorization_details, max_age, prompt
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
    """The content of a consent page: the redirect URI, the scope, the protected resources and the details."""

    redirect_uri: str
    scope: Scope
    resource: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    """The authorization details, each as text."""

    def covers(self, other: ConsentPrompt) -> bool:
        """Return whether this prompt contains everything that the other contains."""
        pairs = (self.scope, other.scope), (self.resource, other.resource), (self.details, other.details)
        return all(set(more) <= set(shown) for shown, more in pairs) and other.redirect_uri == self.redirect_uri


@record(frozen=True, slots=True)
class Submission:
    """An authorization request from a browser, and the steps that the user has completed for it."""

    http: Request

    params: Params
    """The parameters that the browser sends. ``request_uri`` may refer to saved parameters."""

    find_user: Callable[[], User | None]
    """Returns the signed-in user. It is called after the client and the redirect URI are verified."""

    is_resumed: bool = False
    """True if a signed ticket proves that the browser returns with this request from a login page or consent page."""

    is_allowed: bool | None = None
    """The decision of the user on a consent page, or None if the user has not decided."""

    is_shown: bool = False
    """True if a custom consent page was shown and the application has not read its form yet."""

    shown_prompt: ConsentPrompt | None = None
    """The prompt of the page whose form the user submitted."""

    sent_at: int | None = None
    """The time when this request sent the user to the login page, or None if it did not."""

    answer_id: str | None = None
    """The random ID of the form that the user submitted, or None without a form."""

    @property
    def is_answered(self) -> bool:
        """Return whether the user pressed a button on a page that names the client and the host of the redirect URI."""
        return self.is_allowed is not None and self.answer_id is not None


@record(frozen=True, slots=True)
class LoginNeeded:
    """The user must sign in. Then the browser must send the request again.

    ``client`` is None if the server fetches the metadata document of the client only after the user signs in.
    ``sent_at`` is the time of this redirect if the server must verify that the user signs in after it, otherwise None.
    """

    client: Client | None
    user: User | None
    sent_at: int | None = None


@record(frozen=True, slots=True)
class ConsentNeeded:
    """The user must give or deny consent. ``consent`` is what the user allowed the client earlier, or None."""

    user: User
    request: AuthorizationRequest
    prompt: ConsentPrompt
    consent: Consent | None = None


@record(frozen=True, slots=True)
class Decision:
    """The decision of the user: no interaction is left.

    ``is_allowed`` is None if the stored ``consent`` covers the request and no page was shown.
    """

    user: User
    consent: Consent | None
    is_allowed: bool | None


def interaction(
    server: AuthorizationServer, request: AuthorizationRequest, submission: Submission, user: User | None
) -> LoginNeeded | ConsentNeeded | Decision:
    """Return the next interaction with the user, or the decision of the user.

    Raise :exc:`LoginRequired` or :exc:`ConsentRequired` if a page is needed and the request has ``prompt=none``.
    """
    if user is None or _must_sign_in(server, request, submission, user):
        return request_login(server, request.params, request.client, user)
    consents = server.consents
    consent = consents.get_consent(user.id, request.client.client_id) if consents else None
    details = authorization_details.write_each(request.authorization_details) if request.authorization_details else ()
    needed = ConsentPrompt(request.redirect_uri, request.scope, request.resource, details)
    if _is_decided(submission, needed):
        return Decision(user, consent, submission.is_allowed)
    if not submission.is_shown and "consent" not in request.prompt and _is_enough(server, consent, request):
        return Decision(user, consent, None)
    if "none" in request.prompt:
        # "An error is returned if [...] the Client does not have pre-configured consent", OpenID Connect Core 3.1.2.1
        raise ConsentRequired(
            "the user has not given consent, and prompt is none",
            hint="let the client repeat the request without prompt=none, so that the user can decide",
        )
    return ConsentNeeded(user, request, needed, consent)


def request_login(
    server: AuthorizationServer, params: Params, client: Client | None = None, user: User | None = None
) -> LoginNeeded:
    """Return that the user must sign in. Raise :exc:`LoginRequired` if the request has ``prompt=none``."""
    if prompt.is_prompt_none(params):
        # "MUST NOT display any authentication or consent user interface pages", OpenID Connect Core 3.1.2.1
        raise LoginRequired(
            "the user is not signed in, and prompt is none",
            hint="let the client repeat the request without prompt=none, so that the user can sign in",
        )
    return LoginNeeded(client, user, int(server.clock()) if _asks_for_login(params) else None)


def _must_sign_in(
    server: AuthorizationServer, request: AuthorizationRequest, submission: Submission, user: User
) -> bool:
    """Return whether the user must sign in again, or in another way. Forms are shown after that."""
    is_form, sent_at = submission.is_allowed is not None or submission.is_shown, submission.sent_at
    if not is_form and request.prompt and prompt.must_sign_in(request.prompt, user, sent_at):
        return True
    if (
        not is_form
        and request.max_age is not None
        and max_age.is_exceeded(request.max_age, user, sent_at, server.clock())
    ):
        return True
    return bool(request.acr_values) and acr_values.is_missing(request.acr_values, user, is_form or sent_at is not None)


def _asks_for_login(params: Params) -> bool:
    """Return whether the request may send a signed-in user to the login page. Its parameters need not be valid."""
    return prompt.asks_for_login(params) or not {"max_age", "acr_values"}.isdisjoint(params.values)


def _is_decided(submission: Submission, needed: ConsentPrompt) -> bool:
    """Return whether the decision of the user covers the whole request.

    A request without ``scope`` has the scope of the client, which may have grown after the page was shown.
    """
    if not submission.is_allowed:
        return submission.is_allowed is not None
    return submission.shown_prompt is None or submission.shown_prompt.covers(needed)


def _is_enough(server: AuthorizationServer, consent: Consent | None, request: AuthorizationRequest) -> bool:
    """Return whether a stored consent replaces the decision of the user.

    It does not if another program can impersonate the client, :rfc:`8252#section-8.6`, or if the client is unverified.
    For a client with a metadata document, the redirect URI must be on the host of the document, because the document
    may have changed after the consent.
    """
    client, redirect_uri = request.client, request.redirect_uri
    if consent is None or not consent.covers(request.scope, request.resource):
        return False
    details = request.authorization_details
    if details and not authorization_details.are_remembered(server, client, consent, details):
        return False
    if client.is_unverified and find_host(client) is None:
        return False
    is_authenticated = client.is_confidential or not redirects.is_interceptable(redirect_uri)
    return is_authenticated and not is_cross_host(client, redirect_uri)
