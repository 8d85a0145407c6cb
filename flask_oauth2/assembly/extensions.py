"""Extensions: the parts and callbacks that an application registers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..authorization_details import AuthorizationDetailsType
from ..clients.authentication.base import ClientAuthMethod
from ..endpoints.base import Endpoint
from ..grants.base import GrantType, ResponseType
from ..http.messages import Request
from ..records import AccessToken, Client, User
from ..resources import Resource
from ..stores.callbacks import Callbacks
from ..tokens.answers import AnswerMembers
from ..tokens.bindings.base import Binding
from ..tokens.formats.base import TokenFormat
from ..tokens.types import TokenType


@dataclass(slots=True)
class Extensions:
    """Registered parts by name, and callbacks."""

    grants: dict[str, GrantType] = field(default_factory=dict)
    response_types: dict[str, ResponseType] = field(default_factory=dict)
    token_types: dict[str, TokenType] = field(default_factory=dict)
    token_formats: dict[str, TokenFormat] = field(default_factory=dict)
    bindings: dict[str, Binding] = field(default_factory=dict)
    answer_members: dict[str, AnswerMembers] = field(default_factory=dict)
    auth_methods: dict[str, ClientAuthMethod] = field(default_factory=dict)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    details_types: dict[str, AuthorizationDetailsType] = field(default_factory=dict)
    other_resources: dict[str, Resource] = field(default_factory=dict)
    usergetter: Callable[..., Any] | None = None
    registration_policy: Callable[[dict[str, Any], Request], Mapping[str, Any] | None] | None = None
    user_is_active: Callable[[str], object] | None = None
    developer_policy: Callable[[User], object] | None = None
    access_token_claims: Callable[[AccessToken, Client], Mapping[str, Any] | None] | None = None
    callbacks: Callbacks = field(default_factory=Callbacks)
