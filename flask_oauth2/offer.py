"""What a server offers: the built-in parts that its settings name, and those that the application adds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from . import grants
from .clients import METHODS
from .clients.base import ClientAuthMethod
from .endpoints import ENDPOINTS, Endpoint
from .errors import ConfigurationError
from .grants.base import GrantType, ResponseType
from .messages import Request
from .records import User
from .settings import DEVICE_CODE, Settings
from .stores.callbacks import Callbacks
from .tokens.answers import AnswerMembers, Issued
from .tokens.bindings import BINDINGS
from .tokens.bindings.base import Binding
from .tokens.formats import FORMATS
from .tokens.formats.base import ReferenceFormat, SelfContainedFormat, TokenFormat
from .tokens.types import TYPES, TokenType

log = logging.getLogger("flask_oauth2")


@dataclass(slots=True)
class Parts:
    """What an application adds to the tables of grants, tokens and clients, and its callbacks."""

    grants: dict[str, GrantType] = field(default_factory=dict)
    response_types: dict[str, ResponseType] = field(default_factory=dict)
    token_types: dict[str, TokenType] = field(default_factory=dict)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    bindings: dict[str, Binding] = field(default_factory=dict)
    answer_members: dict[str, AnswerMembers] = field(default_factory=dict)
    token_formats: dict[str, TokenFormat] = field(default_factory=dict)
    auth_methods: dict[str, ClientAuthMethod] = field(default_factory=dict)
    usergetter: Callable[..., Any] | None = None
    token_handler: Callable[[], Mapping[str, Any] | None] | None = None
    registration_policy: Callable[[dict[str, Any], Request], Mapping[str, Any] | None] | None = None
    user_is_active: Callable[[str], object] | None = None
    developer_policy: Callable[[User], object] | None = None
    callbacks: Callbacks = field(default_factory=Callbacks)


class Offer:
    """The grants, response types, tokens and client authentication methods of one server, by their names.

    Raises :exc:`ConfigurationError` for settings that ask for what is not there.
    """

    def __init__(self, settings: Settings, parts: Parts) -> None:
        named = settings.grant_types
        if twice := set(named).intersection(parts.grants):
            raise ConfigurationError(
                f"OAUTH2_GRANT_TYPES names {', '.join(twice)}, which the application has registered as a grant of its "
                "own: leave it to one of them"
            )
        if DEVICE_CODE in named and not settings.secret_keys:
            raise ConfigurationError("OAUTH2_GRANT_TYPES names device_code, which needs a SECRET_KEY: set one")
        built_in = [grant() for grant in grants.GRANTS if grant.name in named]
        if "password" in named:
            built_in.append(grants.Password(_require_usergetter(parts)))
        self.grants: dict[str, GrantType] = {grant.name: grant for grant in built_in} | parts.grants
        """Those of the token endpoint."""
        self.grant_types = (*named, *parts.grants)
        """The names of all, ``implicit`` too."""

        own_types = [kind() for kind in grants.RESPONSE_TYPES if kind.grant_type in named]
        own_names = [response_type.name for response_type in own_types]
        self.response_types: dict[str, ResponseType] = {
            response_type.name: response_type for response_type in own_types
        } | parts.response_types
        self.response_type_sets = [
            names for size in range(1, len(own_names) + 1) for names in combinations(own_names, size)
        ] + [(name,) for name in parts.response_types]
        """Those that may be asked for together."""

        built_in_types = {kind.name.lower(): kind for kind in (make() for make in TYPES)}
        self.token_types: dict[str, TokenType] = parts.token_types | built_in_types
        """By scheme, in lower case."""
        self.bindings: tuple[Binding, ...] = (*(make() for make in BINDINGS), *parts.bindings.values())
        """In the order in which they look for a proof in a token request."""
        built_in_formats = [make(settings) for make in FORMATS]
        self.formats: dict[str, TokenFormat] = {kind.name: kind for kind in built_in_formats} | parts.token_formats
        self.self_contained_formats: dict[str, SelfContainedFormat] = {
            name: kind for name, kind in self.formats.items() if isinstance(kind, SelfContainedFormat)
        }
        self.reference_formats: dict[str, ReferenceFormat] = {
            name: kind for name, kind in self.formats.items() if not isinstance(kind, SelfContainedFormat)
        }
        self.answer_members: tuple[AnswerMembers, ...] = (
            *(() if parts.token_handler is None else (_of_token_handler(parts.token_handler),)),
            *parts.answer_members.values(),
        )
        """The functions that complete a token response."""
        if settings.access_token_format not in self.formats:
            raise ConfigurationError(
                f"OAUTH2_ACCESS_TOKEN_FORMAT must be one of {', '.join(self.formats)}, "
                f"not {settings.access_token_format!r}"
            )
        if settings.access_token_format == "signed" and not settings.secret_keys:
            raise ConfigurationError("OAUTH2_ACCESS_TOKEN_FORMAT is 'signed', which needs a SECRET_KEY: set one")

        self.endpoints: dict[str, Endpoint] = {endpoint.name: endpoint for endpoint in ENDPOINTS} | parts.endpoints
        self.auth_methods: tuple[ClientAuthMethod, ...] = (
            *(kind() for kind in METHODS),
            *parts.auth_methods.values(),
        )
        self.auth_schemes = [method.scheme.lower() for method in self.auth_methods if method.scheme]
        for name, reason in grants.DISCOURAGED.items():
            if name in named:
                log.warning("OAUTH2_GRANT_TYPES names %s: %s", name, reason)


def _of_token_handler(handler: Callable[[], Mapping[str, Any] | None]) -> AnswerMembers:
    def complete(_: Issued) -> Mapping[str, Any] | None:
        return handler()

    return complete


def _require_usergetter(parts: Parts) -> Callable[..., Any]:
    if parts.usergetter is None:
        raise ConfigurationError(
            "OAUTH2_GRANT_TYPES names password, which needs a function that checks a name and a password: "
            "decorate one with @provider.usergetter"
        )
    return parts.usergetter
