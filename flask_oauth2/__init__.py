"""Make any Flask application an OAuth 2 provider."""

from .clients.secret import hash_secret
from .errors import (
    AccessDenied,
    AuthorizationPending,
    ConfigurationError,
    ConsentRequired,
    ExpiredToken,
    InsufficientScope,
    InvalidClient,
    InvalidClientMetadata,
    InvalidGrant,
    InvalidRedirectURI,
    InvalidRequest,
    InvalidRequestURI,
    InvalidScope,
    InvalidTarget,
    InvalidToken,
    LoginRequired,
    OAuth2Error,
    RequestURINotSupported,
    SlowDown,
    TemporarilyUnavailable,
    UnauthorizedClient,
    UnsupportedGrantType,
    UnsupportedResponseType,
)
from .grants.base import Approval, Issue, TokenRequest
from .guard import current_token
from .provider import OAuth2Provider
from .records import AccessToken, Authorization, Client, Consent, Grant, Token, User
from .stores.memory import MemoryStore

__version__ = "0.1.0"

__all__ = [
    "AccessDenied",
    "AccessToken",
    "Approval",
    "Authorization",
    "AuthorizationPending",
    "Client",
    "ConfigurationError",
    "Consent",
    "ConsentRequired",
    "ExpiredToken",
    "Grant",
    "InsufficientScope",
    "InvalidClient",
    "InvalidClientMetadata",
    "InvalidGrant",
    "InvalidRedirectURI",
    "InvalidRequest",
    "InvalidRequestURI",
    "InvalidScope",
    "InvalidTarget",
    "InvalidToken",
    "Issue",
    "LoginRequired",
    "MemoryStore",
    "OAuth2Error",
    "OAuth2Provider",
    "RequestURINotSupported",
    "SlowDown",
    "TemporarilyUnavailable",
    "Token",
    "TokenRequest",
    "UnauthorizedClient",
    "UnsupportedGrantType",
    "UnsupportedResponseType",
    "User",
    "current_token",
    "hash_secret",
]
