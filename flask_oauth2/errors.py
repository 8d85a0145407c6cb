"""Every registered error once, as a class; raised anywhere, rendered once by :mod:`flask_oauth2.server`.

::

    OAuth2Error
    ├── InvalidRequest            400  RFC 6749 section 5.2, RFC 6750 section 3.1
    ├── InvalidClient             401  RFC 6749 section 5.2
    ├── InvalidGrant              400
    ├── UnauthorizedClient        400
    ├── UnsupportedGrantType      400
    ├── UnsupportedResponseType   400  RFC 6749 section 4.1.2.1
    ├── InvalidScope              400
    ├── InvalidTarget             400  RFC 8707 section 2
    ├── InvalidRequestURI         400  RFC 9101 section 7
    ├── RequestURINotSupported    400
    ├── InvalidRedirectURI        400  RFC 7591 section 3.2.2
    ├── InvalidClientMetadata     400
    ├── AccessDenied              400
    ├── AuthorizationPending      400  RFC 8628 section 3.5
    ├── SlowDown                  400
    ├── ExpiredToken              400
    ├── LoginRequired             400  OpenID Connect Core 1.0, section 3.1.2.6
    ├── ConsentRequired           400
    ├── TemporarilyUnavailable    503, or 429 for who guesses too fast
    ├── InvalidToken              401  RFC 6750 section 3.1
    └── InsufficientScope         403
    ConfigurationError            a mistake of the application's own, raised at start
    FetchError                    what another server was asked for did not come
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from shlex import quote

# :rfc:`6749#section-5.2`: "Values for the "error_description" parameter MUST NOT include
# characters outside the set %x20-21 / %x23-5B / %x5D-7E."
_FORBIDDEN = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")


class ConfigurationError(Exception):
    """The application asks for something that cannot be; the message names the option and the hint."""


def update_client(client_id: str, options: str) -> str:
    """The hint that an operator types into a shell. Of ``options`` what a stranger has sent is to be quoted."""
    return f"flask oauth2 client update {quote(client_id)} {options}"


class FetchError(Exception):
    """What another server was asked for did not come as it should.

    :param reason: for the log: what came in its place.
    :param hint: for the log: what can be done about it here.
    :param is_gone: whether the other server says that there is no such thing.
    """

    def __init__(self, reason: str, hint: str | None = None, is_gone: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        self.is_gone = is_gone


class OAuth2Error(Exception):
    """What a client is told, and beside it what only the log is told.

    :param description: one sentence for the client's developer: what is wrong, never a value of a secret.
    :param rule: the specification and section that asks for it, such as ``"rfc7636 4.6"``.
    :param expected: for the log: what would have been right.
    :param received: for the log: what came instead; never a secret.
    :param hint: for the log: what the application's or the client's developer can do about it.
    :param shown: the description for pages, if ``description`` holds text of the request: a page that shows text of
        a stranger as its own is an instrument of phishing (CWE-451).
    :param status: HTTP status, where it differs from the class's own.
    :param headers: HTTP headers that go with the answer.
    """

    code = "server_error"
    status = 400
    rule = "rfc6749 5.2"
    log_level = logging.WARNING

    def __init__(
        self,
        description: str,
        *,
        rule: str | None = None,
        expected: str | None = None,
        received: object = None,
        hint: str | None = None,
        shown: str | None = None,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(description)
        self.shown = description if shown is None else shown
        self.description = _FORBIDDEN.sub("?", description if len(description) <= 200 else description[:197] + "...")
        self.rule = rule or self.rule
        self.expected = expected
        self.received = received
        self.hint = hint
        self.status = status or self.status
        self.headers = headers or {}

    @property
    def parameters(self) -> dict[str, str]:
        """The members of the answer."""
        return {"error": self.code, "error_description": self.description}


class InvalidRequest(OAuth2Error):
    """Something is missing, repeated or malformed."""

    code = "invalid_request"


class InvalidClient(OAuth2Error):
    """The client is unknown or did not prove who it is."""

    code = "invalid_client"
    status = 401


class InvalidGrant(OAuth2Error):
    """The code, password or refresh token is wrong, spent, expired or somebody else's."""

    code = "invalid_grant"


class UnauthorizedClient(OAuth2Error):
    """The client is who it says, but may not do this."""

    code = "unauthorized_client"


class UnsupportedGrantType(OAuth2Error):
    """No such grant here."""

    code = "unsupported_grant_type"


class UnsupportedResponseType(OAuth2Error):
    """No such response type here."""

    code = "unsupported_response_type"
    rule = "rfc6749 4.1.2.1"


class InvalidScope(OAuth2Error):
    """The scope is malformed, unknown or more than may be granted."""

    code = "invalid_scope"
    rule = "rfc6749 3.3"


class InvalidTarget(OAuth2Error):
    """The resource is malformed, unknown, or not one that may be granted."""

    code = "invalid_target"
    rule = "rfc8707 2"


class InvalidRequestURI(OAuth2Error):
    """The ``request_uri`` names no authorization request of the client, or one that has expired."""

    code = "invalid_request_uri"
    rule = "rfc9126 4"


class RequestURINotSupported(OAuth2Error):
    """The ``request_uri`` is the URI of a request object, which the server does not fetch."""

    code = "request_uri_not_supported"
    rule = "rfc9101 7"


class InvalidRedirectURI(OAuth2Error):
    """A redirect URI that a client may not register."""

    code = "invalid_redirect_uri"
    rule = "rfc7591 3.2.2"


class InvalidClientMetadata(OAuth2Error):
    """Something else that a client says of itself and may not be."""

    code = "invalid_client_metadata"
    rule = "rfc7591 3.2.2"


class AccessDenied(OAuth2Error):
    """The resource owner, or the server for them, said no."""

    code = "access_denied"
    rule = "rfc6749 4.1.2.1"


class AuthorizationPending(OAuth2Error):
    """The user has not decided yet: the device is to ask again, which is how the grant works and no mistake."""

    code = "authorization_pending"
    rule = "rfc8628 3.5"
    log_level = logging.DEBUG


class SlowDown(OAuth2Error):
    """The same, and the device asked too soon."""

    code = "slow_down"
    rule = "rfc8628 3.5"
    log_level = logging.INFO


class ExpiredToken(OAuth2Error):
    """The user did not decide in time."""

    code = "expired_token"
    rule = "rfc8628 3.5"
    log_level = logging.INFO


class LoginRequired(OAuth2Error):
    """Nobody is signed in, or not lately enough, and the request forbids to ask."""

    code = "login_required"
    rule = "openid-connect-core-1_0 3.1.2.6"


class ConsentRequired(OAuth2Error):
    """The user has not allowed it, and the request forbids to ask."""

    code = "consent_required"
    rule = "openid-connect-core-1_0 3.1.2.6"


class TemporarilyUnavailable(OAuth2Error):
    """Come back after ``retry_after`` seconds: the store is away (503), or too many guesses came (429)."""

    code = "temporarily_unavailable"
    rule = "rfc6749 4.1.2.1"

    def __init__(
        self,
        description: str,
        *,
        retry_after: int,
        status: int = 503,
        rule: str | None = None,
        received: object = None,
        hint: str | None = None,
    ) -> None:
        headers = {"Retry-After": str(retry_after)}
        super().__init__(description, rule=rule, status=status, headers=headers, received=received, hint=hint)


class InvalidToken(OAuth2Error):
    """The token is unknown, expired, revoked or malformed."""

    code = "invalid_token"
    status = 401
    rule = "rfc6750 3.1"


class InsufficientScope(OAuth2Error):
    """The token is good, but does not reach this far."""

    code = "insufficient_scope"
    status = 403
    rule = "rfc6750 3.1"
