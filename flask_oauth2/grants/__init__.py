"""Grants and response types: the ways for a client to obtain an authorization, one line each."""

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
"""Grants of the token endpoint. ``implicit`` does not use it. ``password`` needs the application's ``usergetter``."""

RESPONSE_TYPES: tuple[type[ResponseType], ...] = (Code, ImplicitToken)
"""Response types in the order in which a request with several runs them. Each receives the response so far."""

DISCOURAGED = {"implicit": IMPLICIT_DISCOURAGED, "password": PASSWORD_DISCOURAGED}
"""The warning that is logged at start if the application enables a discouraged grant, by grant type."""

__all__ = ["DISCOURAGED", "GRANTS", "RESPONSE_TYPES", "Password"]
