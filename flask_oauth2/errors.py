"""OAuth 2.0 errors, one class for each registered error code. :mod:`flask_oauth2.answering` renders them.

::

    OAuth2Error
    ├── InvalidRequest                  400  RFC 6749 section 5.2, RFC 6750 section 3.1
    ├── InvalidClient                   401  RFC 6749 section 5.2
    ├── InvalidGrant                    400
    ├── UnauthorizedClient              400
    ├── UnsupportedGrantType            400
    ├── UnsupportedResponseType         400  RFC 6749 section 4.1.2.1
    ├── InvalidScope                    400
    ├── InvalidTarget                   400  RFC 8707 section 2
    ├── InvalidAuthorizationDetails     400  RFC 9396 section 5
    ├── InvalidRequestURI               400  RFC 9101 section 7
    ├── RequestURINotSupported          400
    ├── InvalidRedirectURI              400  RFC 7591 section 3.2.2
    ├── InvalidClientMetadata           400
    ├── AccessDenied                    400
    ├── AuthorizationPending            400  RFC 8628 section 3.5
    ├── SlowDown                        400
    ├── ExpiredToken                    400
    ├── LoginRequired                   400  OpenID Connect Core 1.0, section 3.1.2.6
    ├── ConsentRequired                 400
    ├── UnmetAuthenticationRequirements 400  RFC 9470 section 5
    ├── TemporarilyUnavailable          503, or 429 after too many requests or failed attempts
    ├── InvalidToken                    401  RFC 6750 section 3.1
    ├── InsufficientScope               403
    └── InsufficientUserAuthentication  401  RFC 9470 section 3
    ConfigurationError                  a wrong setting, raised when the application starts
    FetchError                          a failed request to another server
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from shlex import quote

# "Values for the "error_description" parameter MUST NOT include
# characters outside the set %x20-21 / %x23-5B / %x5D-7E.", RFC 6749 5.2
_FORBIDDEN = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")


class ConfigurationError(Exception):
    """A setting or argument of the application is wrong. The message names it and says how to fix it."""


def update_client(client_id: str, options: str) -> str:
    """Return the shell command that changes a client. The caller must quote untrusted values in ``options``."""
    return f"flask oauth2 client update {quote(client_id)} {options}"


class FetchError(Exception):
    """A failed request to another server.

    :param reason: the failure, for the log.
    :param hint: how to fix it, for the log.
    :param is_gone: whether the other server responded that the resource does not exist.
    """

    def __init__(self, reason: str, hint: str | None = None, is_gone: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        self.is_gone = is_gone


class OAuth2Error(Exception):
    """An error response for the client, with further facts for the log.

    :param description: one sentence for the client's developer: what is wrong. It never contains a secret.
    :param rule: the specification and section that the request violates, such as ``"rfc7636 4.6"``.
    :param expected: the expected value, for the log.
    :param received: the received value, for the log. It is never a secret.
    :param hint: how the developer of the application or the client can fix it, for the log.
    :param page_description: replaces ``description`` on pages if that contains text of the request. A page that shows
        text of an attacker as its own helps phishing (CWE-451).
    :param status: the HTTP status, if it differs from that of the class.
    :param headers: HTTP headers of the response.
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
        page_description: str | None = None,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(description)
        self.page_description = description if page_description is None else page_description
        self.description = _FORBIDDEN.sub("?", description if len(description) <= 200 else description[:197] + "...")
        self.rule = rule or self.rule
        self.expected = expected
        self.received = received
        self.hint = hint
        self.status = status or self.status
        self.headers = headers or {}

    @property
    def parameters(self) -> dict[str, str]:
        """The members of the error response."""
        return {"error": self.code, "error_description": self.description}


class InvalidRequest(OAuth2Error):
    """A parameter is missing, repeated or malformed."""

    code = "invalid_request"


class InvalidClient(OAuth2Error):
    """The client is unknown or client authentication failed."""

    code = "invalid_client"
    status = 401


class InvalidGrant(OAuth2Error):
    """The code, password or refresh token is wrong, used, expired or was issued to another client."""

    code = "invalid_grant"


class UnauthorizedClient(OAuth2Error):
    """The authenticated client may not use this grant type."""

    code = "unauthorized_client"


class UnsupportedGrantType(OAuth2Error):
    """The server does not support the grant type."""

    code = "unsupported_grant_type"


class UnsupportedResponseType(OAuth2Error):
    """The server does not support the response type."""

    code = "unsupported_response_type"
    rule = "rfc6749 4.1.2.1"


class InvalidScope(OAuth2Error):
    """The scope is malformed, unknown or exceeds the scope that may be granted."""

    code = "invalid_scope"
    rule = "rfc6749 3.3"


class InvalidTarget(OAuth2Error):
    """The resource is malformed, unknown or may not be granted."""

    code = "invalid_target"
    rule = "rfc8707 2"


class InvalidAuthorizationDetails(OAuth2Error):
    """The authorization details are malformed, of an unknown type, or exceed what was granted."""

    code = "invalid_authorization_details"
    rule = "rfc9396 5"


class InvalidRequestURI(OAuth2Error):
    """The ``request_uri`` is unknown, expired or belongs to another client."""

    code = "invalid_request_uri"
    rule = "rfc9126 4"


class RequestURINotSupported(OAuth2Error):
    """The ``request_uri`` is the URI of a request object, which the server does not fetch."""

    code = "request_uri_not_supported"
    rule = "rfc9101 7"


class InvalidRedirectURI(OAuth2Error):
    """A client may not register this redirect URI."""

    code = "invalid_redirect_uri"
    rule = "rfc7591 3.2.2"


class InvalidClientMetadata(OAuth2Error):
    """A client metadata member other than ``redirect_uris`` is not valid."""

    code = "invalid_client_metadata"
    rule = "rfc7591 3.2.2"


class AccessDenied(OAuth2Error):
    """The resource owner or the authorization server denied the request."""

    code = "access_denied"
    rule = "rfc6749 4.1.2.1"


class AuthorizationPending(OAuth2Error):
    """The user has not decided yet. The device must poll again: this is the normal course of the grant."""

    code = "authorization_pending"
    rule = "rfc8628 3.5"
    log_level = logging.DEBUG


class SlowDown(OAuth2Error):
    """The user has not decided yet, and the device polls too fast. It must increase its interval by 5 seconds."""

    code = "slow_down"
    rule = "rfc8628 3.5"
    log_level = logging.INFO


class ExpiredToken(OAuth2Error):
    """The device code has expired before the user decided."""

    code = "expired_token"
    rule = "rfc8628 3.5"
    log_level = logging.INFO


class LoginRequired(OAuth2Error):
    """The user must sign in, and the request has ``prompt=none``."""

    code = "login_required"
    rule = "openid-connect-core-1_0 3.1.2.6"


class ConsentRequired(OAuth2Error):
    """The user must give consent, and the request has ``prompt=none``."""

    code = "consent_required"
    rule = "openid-connect-core-1_0 3.1.2.6"


class UnmetAuthenticationRequirements(OAuth2Error):
    """The user cannot be authenticated as the client requires."""

    code = "unmet_authentication_requirements"
    rule = "rfc9470 5"


class TemporarilyUnavailable(OAuth2Error):
    """The store is unavailable (503), or there were too many requests or failed attempts (429).

    The client may try again after ``retry_after`` seconds.
    """

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


class InsufficientUserAuthentication(OAuth2Error):
    """The token is valid, but its user must be authenticated in another way, or again.

    :param acr_values: the accepted authentication context classes.
    :param max_age: the maximum number of seconds since the user signed in.
    """

    code = "insufficient_user_authentication"
    status = 401
    rule = "rfc9470 3"

    def __init__(
        self, description: str, *, acr_values: Sequence[str], max_age: int | None, received: str | None = None
    ) -> None:
        self._required = {"acr_values": " ".join(acr_values)} if acr_values else {}
        if max_age is not None:
            self._required["max_age"] = str(max_age)
        super().__init__(
            description,
            expected=", ".join(f"{name} {value}" for name, value in self._required.items()),
            received=received,
            hint="let the client send acr_values and max_age of the challenge in a new authorization request",
        )

    @property
    def parameters(self) -> dict[str, str]:
        """The members of the error response, with the ``acr_values`` and ``max_age`` that are required."""
        return {**super().parameters, **self._required}


class InsufficientScope(OAuth2Error):
    """The token is valid, but its scope does not allow the request."""

    code = "insufficient_scope"
    status = 403
    rule = "rfc6750 3.1"
