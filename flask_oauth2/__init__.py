"""Make any Flask application an OAuth 2 provider."""

from .clients.secret import hash_secret
from .errors import (
    AccessDenied,
    ConfigurationError,
    ConsentRequired,
    InsufficientScope,
    InvalidClient,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    InvalidToken,
    LoginRequired,
    OAuth2Error,
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
    "Client",
    "ConfigurationError",
    "Consent",
    "ConsentRequired",
    "Grant",
    "InsufficientScope",
    "InvalidClient",
    "InvalidGrant",
    "InvalidRequest",
    "InvalidScope",
    "InvalidTarget",
    "InvalidToken",
    "Issue",
    "LoginRequired",
    "MemoryStore",
    "OAuth2Error",
    "OAuth2Provider",
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
