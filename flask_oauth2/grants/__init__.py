"""How a client comes to be authorized: grants and response types, one line each."""

from __future__ import annotations

from .authorization_code import AuthorizationCode, Code
from .base import GrantType, ResponseType
from .client_credentials import ClientCredentials
from .device_code import DeviceCode
from .implicit import DISCOURAGED as IMPLICIT_DISCOURAGED
from .implicit import ImplicitToken
from .password import DISCOURAGED as PASSWORD_DISCOURAGED
from .password import Password
from .refresh_token import RefreshToken

GRANTS: tuple[type[GrantType], ...] = (AuthorizationCode, ClientCredentials, RefreshToken, DeviceCode)
"""``implicit`` has no half at the token endpoint; ``password`` needs the application's ``usergetter``."""

RESPONSE_TYPES: tuple[type[ResponseType], ...] = (Code, ImplicitToken)
"""In the order in which a request that names several runs them: each sees the answer so far."""

DISCOURAGED = {"implicit": IMPLICIT_DISCOURAGED, "password": PASSWORD_DISCOURAGED}
"""Why, said once at start."""

__all__ = ["DISCOURAGED", "GRANTS", "RESPONSE_TYPES", "Password"]
