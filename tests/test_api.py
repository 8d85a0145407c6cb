"""The public names: changing this list is changing the API."""

from __future__ import annotations

import flask_oauth2


def test_public_names() -> None:
    assert flask_oauth2.__all__ == sorted(flask_oauth2.__all__)
    assert flask_oauth2.__all__ == [
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
    for name in flask_oauth2.__all__:
        assert getattr(flask_oauth2, name).__doc__


def test_public_methods_of_the_provider() -> None:
    public = {name for name in dir(flask_oauth2.OAuth2Provider) if not name.startswith("_")}
    assert public == {
        "asking_client",
        "authorize_handler",
        "clientgetter",
        "consent_view",
        "create_tables",
        "current_user",
        "described",
        "developer_policy",
        "get_current_user",
        "grant_type",
        "grantgetter",
        "grantsetter",
        "has_login_view",
        "has_users",
        "init_app",
        "load_user",
        "login_url",
        "metrics",
        "models",
        "protect_mcp",
        "protect_resource",
        "register_client_auth_method",
        "register_response_type",
        "register_token_format",
        "register_token_type",
        "registration_policy",
        "require_oauth",
        "revoke_handler",
        "revoke_user",
        "server",
        "token_handler",
        "tokengetter",
        "tokensetter",
        "user_is_active",
        "usergetter",
        "userloader",
    }
