"""Make any Flask application an OAuth 2 provider."""

from .authorization_details import AuthorizationDetailsType
from .clients.authentication.base import Credentials
from .clients.secrets import hash_secret
from .endpoints.base import Call, Endpoint
from .errors import (
    AccessDenied,
    AuthorizationPending,
    ConfigurationError,
    ConsentRequired,
    ExpiredToken,
    InsufficientScope,
    InsufficientUserAuthentication,
    InvalidAuthorizationDetails,
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
    UnmetAuthenticationRequirements,
    UnsupportedGrantType,
    UnsupportedResponseType,
)
from .grants.base import Approval
from .http.messages import Params, Request, Response
from .provider import OAuth2Provider
from .records import AccessToken, Authorization, Client, Consent, Grant, Issuer, Token, User
from .resource.current_token import current_token
from .resource.resource_server import ResourceServer
from .resource.verify import NoToken, TokenVerifier, Verified, challenge, read_value
from .resources import Resource
from .stores.memory import MemoryStore
from .tokens.answers import Issued
from .tokens.base import TokenGrant, TokenRequest
from .tokens.bindings.base import Binding, ProofContext
from .values import hash_token

__version__ = "0.1.0"

__all__ = [
    "AccessDenied",
    "AccessToken",
    "Approval",
    "Authorization",
    "AuthorizationDetailsType",
    "AuthorizationPending",
    "Binding",
    "Call",
    "Client",
    "ConfigurationError",
    "Consent",
    "ConsentRequired",
    "Credentials",
    "Endpoint",
    "ExpiredToken",
    "Grant",
    "InsufficientScope",
    "InsufficientUserAuthentication",
    "InvalidAuthorizationDetails",
    "InvalidClient",
    "InvalidClientMetadata",
    "InvalidGrant",
    "InvalidRedirectURI",
    "InvalidRequest",
    "InvalidRequestURI",
    "InvalidScope",
    "InvalidTarget",
    "InvalidToken",
    "Issued",
    "Issuer",
    "LoginRequired",
    "MemoryStore",
    "NoToken",
    "OAuth2Error",
    "OAuth2Provider",
    "Params",
    "ProofContext",
    "Request",
    "RequestURINotSupported",
    "Resource",
    "ResourceServer",
    "Response",
    "SlowDown",
    "TemporarilyUnavailable",
    "Token",
    "TokenGrant",
    "TokenRequest",
    "TokenVerifier",
    "UnauthorizedClient",
    "UnmetAuthenticationRequirements",
    "UnsupportedGrantType",
    "UnsupportedResponseType",
    "User",
    "Verified",
    "challenge",
    "current_token",
    "hash_secret",
    "hash_token",
    "read_value",
]
